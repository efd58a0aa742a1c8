"""Multipart uploads in flat memory; several files as one zip that is written while it is sent.

Imports errors, ports, content's Reads and requests-toolbelt. Invariants: each source is opened
once and closed; a source that is not as long as it said raises ``FileChanged``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from requests_toolbelt import MultipartEncoder, MultipartEncoderMonitor

from watcher.core.source import Source
from watcher.errors import FileChanged, WatcherError

BLOCK = 1 << 20
EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time a zip can tell: equal sources, equal bytes


class Body:
    """A stream of known length made of chunks; ``len`` is what remains, as the encoder wants it.

    ``failure`` keeps what went wrong in our own files: ``requests`` would call it a broken
    connection.
    """

    def __init__(self, chunks: Iterator[bytes], size: int) -> None:
        self._chunks = chunks
        self._held = memoryview(b"")  # a view: cutting a piece off copies nothing of the rest
        self.len = size
        self.failure: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes (all that remain when negative)."""
        want = self.len if size < 0 else min(size, self.len)
        parts: list[memoryview] = []
        while want:
            if not self._held:
                self._held = memoryview(self._next())
            part, self._held = self._held[:want], self._held[want:]
            parts.append(part)
            want -= len(part)
            self.len -= len(part)
        return b"".join(parts)

    def _next(self) -> bytes:
        try:
            return next(self._chunks)
        except (OSError, WatcherError) as error:
            self.failure = error
            raise

    def close(self) -> None:
        """Close the source in work."""
        close = getattr(self._chunks, "close", None)
        if close:
            close()


def _content(source: Source) -> Iterator[bytes]:
    """The bytes of a source, proved to be as many as it said."""
    stream = source.open()
    left = source.size
    try:
        while chunk := stream.read(BLOCK):
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
    finally:
        stream.close()
    if left:
        raise FileChanged("changed while it was sent", where=source.name)


def _zeros(source: Source) -> Iterator[bytes]:
    block = bytes(BLOCK)
    for start in range(0, source.size, BLOCK):
        yield block[: source.size - start]


class _Sink:
    """What zipfile writes to: not seekable, emptied after every write."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes, /) -> int:
        self._held += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken


def _zip(sources: Sequence[Source], read: Callable[[Source], Iterator[bytes]]) -> Iterator[bytes]:
    sink = _Sink()
    # zipfile asks for write and flush alone when the target cannot seek
    with zipfile.ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
        for source in sources:
            entry = zipfile.ZipInfo(source.name, EPOCH)
            with archive.open(entry, "w", force_zip64=True) as member:
                for chunk in read(source):
                    member.write(chunk)
                    yield sink.take()
    yield sink.take()


def body(sources: Sequence[Source]) -> Body:
    """One source as it is, or several as a stored zip.

    The zip's length must be known before it is sent: it is that of a zip of zeros.
    """
    if len(sources) == 1:
        return Body(_content(sources[0]), sources[0].size)
    return Body(_zip(sources, _content), sum(map(len, _zip(sources, _zeros))))


def multipart(
    fields: Mapping[str, Any], progress: Callable[[int, int], None] | None
) -> MultipartEncoderMonitor:
    """The form as a stream; ``progress(sent, total)`` in bytes of the whole form."""
    encoder = MultipartEncoder(fields=dict(fields))
    total = encoder.len
    heard = progress or (lambda _sent, _total: None)
    return MultipartEncoderMonitor(encoder, lambda each: heard(each.bytes_read, total))
