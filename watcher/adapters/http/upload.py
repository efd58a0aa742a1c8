"""Multipart uploads in flat memory; several files as one zip that is written while it is sent.

Imports errors, source and urllib3. Invariants: each source is opened once and closed; a
source that is not as long as it said raises ``FileChanged``; what a large file's bytes pass through
is one buffer, out of which they are sent.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from urllib3.fields import format_multipart_header_param as quoted
from urllib3.filepost import choose_boundary

from watcher.core.source import Reads, Source
from watcher.errors import FileChanged, WatcherError

BLOCK = 1 << 18  # what fits a core's own cache: read, hashed and sent while it lies there
JOINED = 1 << 16  # a form of so many bytes is sent in one piece
EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time a zip can tell: equal sources, equal bytes
Chunk = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Part:
    """A file in a form, of ``size`` bytes; each of its chunks is good until the next is asked
    for."""

    filename: str
    kind: str
    size: int
    chunks: Iterator[Chunk]


class Form:
    """A form of known length as chunks, once; ``sent`` bytes of its ``len`` were handed out.

    ``failure`` keeps what went wrong in our own files: the transport would call it a broken
    connection.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        parts: Mapping[str, Part],
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._boundary = choose_boundary()
        self._progress = progress
        self._parts = tuple(parts.values())
        texts = (self._head(name) + value.encode() for name, value in fields.items())
        heads = [self._head(name, part) for name, part in parts.items()]
        self._texts = b"\r\n".join(texts)
        self._heads = [b"\r\n" + head for head in heads]
        self._tail = f"\r\n--{self._boundary}--\r\n".encode()
        framing = len(self._texts) + sum(map(len, self._heads)) + len(self._tail)
        self.len = framing + sum(part.size for part in self._parts)
        self.sent = 0
        self.failure: Exception | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What the request's head says of it."""
        kind = f"multipart/form-data; boundary={self._boundary}"
        return {"Content-Type": kind, "Content-Length": str(self.len)}

    def _head(self, name: str, part: Part | None = None) -> bytes:
        shown = f"--{self._boundary}\r\nContent-Disposition: form-data; {quoted('name', name)}"
        if part is not None:
            shown += f"; {quoted('filename', part.filename)}\r\nContent-Type: {part.kind}"
        return f"{shown}\r\n\r\n".encode()

    def __iter__(self) -> Iterator[Chunk]:
        """The chunks, each good until the next is asked for."""
        if self.len <= JOINED:
            joined = bytearray()  # a chunk may be changed by the next: take it now
            for chunk in self._all():
                joined += chunk
            chunks: Iterable[Chunk] = (bytes(joined),)
        else:
            chunks = self._all()
        for chunk in chunks:
            self.sent += len(chunk)
            yield chunk
            if self._progress:
                self._progress(self.sent, self.len)

    def _all(self) -> Iterator[Chunk]:
        yield self._texts
        for head, part in zip(self._heads, self._parts, strict=True):
            yield head
            try:
                yield from part.chunks
            except (OSError, WatcherError) as error:
                self.failure = error
                raise
        yield self._tail

    def close(self) -> None:
        """Close the source in work."""
        for part in self._parts:
            close = getattr(part.chunks, "close", None)
            if close:
                close()


def blocks(stream: Reads, size: int) -> Iterator[memoryview]:
    """The rest of a stream, up to ``size`` bytes at a time.

    Each block is good until the next one is asked for: where the stream can fill a buffer, they all
    lie in one, so that no memory is taken and given back for every block.
    """
    fill = getattr(stream, "readinto", None)
    if fill is None:
        while chunk := stream.read(size):
            yield memoryview(chunk)
        return
    held = memoryview(bytearray(size))
    while count := fill(held):
        yield held[:count]


def _content(source: Source) -> Iterator[memoryview]:
    """The bytes of a source, proved to be as many as it said."""
    stream = source.open()
    left = source.size
    try:
        for chunk in blocks(stream, min(BLOCK, source.size + 1)):
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
    finally:
        stream.close()
    if left:
        raise FileChanged("changed while it was sent", where=source.name)


class _Sink:
    """What zipfile writes to: not seekable, emptied after every write, and nothing is copied."""

    def __init__(self) -> None:
        self._held: list[Chunk] = []

    def write(self, data: Chunk, /) -> int:
        self._held.append(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> list[Chunk]:
        taken, self._held = self._held, []
        return taken


class _Count:
    """What zipfile measures a zip on: ``at`` bytes so far."""

    def __init__(self) -> None:
        self.at = 0

    def write(self, data: Chunk, /) -> int:
        self.at += len(data)
        return len(data)

    def tell(self) -> int:
        return self.at

    def flush(self) -> None:
        """Nothing is held back."""


def _zip(sources: Sequence[Source]) -> Iterator[Chunk]:
    sink = _Sink()
    # zipfile asks for write and flush alone when the target cannot seek
    with zipfile.ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
        for source in sources:
            entry = zipfile.ZipInfo(source.name, EPOCH)
            with archive.open(entry, "w", force_zip64=True) as member:
                for chunk in _content(source):
                    member.write(chunk)
                    yield from sink.take()
    yield from sink.take()


def _zipped_size(sources: Sequence[Source]) -> int:
    """The length of that zip before it is written, with no byte of its content: zipfile writes all
    the rest of it, and is told that the content was written too."""
    sink = _Count()
    with zipfile.ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
        for source in sources:
            entry = zipfile.ZipInfo(source.name, EPOCH)
            with archive.open(entry, "w", force_zip64=True):
                sink.at += source.size
            entry.file_size = entry.compress_size = source.size
    return sink.at


def packed(sources: Sequence[Source], kind: str) -> Part:
    """One source as it is, or several as a stored zip."""
    if len(sources) == 1:
        only = sources[0]
        return Part(only.name.rpartition("/")[2], kind, only.size, _content(only))
    return Part("sources.zip", kind, _zipped_size(sources), _zip(sources))
