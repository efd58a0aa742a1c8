"""The identity of bytes: xxh3_128, read or copied in flat memory.

Imports xxhash only. Invariant: whoever compares contents, compares these digests.
"""

from __future__ import annotations

from typing import Protocol

import xxhash

CHUNK = 1 << 20


class Writes(Protocol):
    """Anything with ``write``."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Take all of the bytes."""
        ...


class Reads(Protocol):
    """Anything with ``read`` and ``close``: a file, or a stream that hashes on the way."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; nothing at the end."""
        ...

    def close(self) -> object:
        """Done with it."""
        ...


class Hash(Protocol):
    """The state of a digest that is being made, as xxhash has it."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more bytes."""
        ...

    def reset(self) -> None:
        """Begin anew."""
        ...

    def hexdigest(self) -> str:
        """The digest of what was taken in, in hex."""
        ...


def hashing() -> Hash:
    """An empty xxh3_128."""
    return xxhash.xxh3_128()


class Hashing:
    """A stream that hashes what is read through it, so that sending a file also identifies it."""

    def __init__(self, stream: Reads) -> None:
        self._stream = stream
        self._state = xxhash.xxh3_128()

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes of the stream beneath."""
        chunk = self._stream.read(size)
        self._state.update(chunk)
        return chunk

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer from the stream beneath; the bytes that came, 0 at the end."""
        fill = getattr(self._stream, "readinto", None)
        if fill is not None:
            count: int = fill(buffer)
        else:
            chunk = self._stream.read(len(buffer))
            count = len(chunk)
            buffer[:count] = chunk
        self._state.update(buffer[:count])
        return count

    def close(self) -> None:
        """Close the stream beneath."""
        self._stream.close()

    def hexdigest(self) -> str:
        """xxh3_128 of what was read so far, as 32 hex digits."""
        return self._state.hexdigest()


def digest(stream: Reads) -> str:
    """xxh3_128 of the rest of a stream, as 32 hex digits."""
    return copy(stream, None)[1]


def copy(source: Reads, target: Writes | None, chunk: int = CHUNK) -> tuple[int, str]:
    """Copy the rest of ``source`` into ``target`` and hash it on the way.

    ``chunk`` bytes are read at a time: a small file needs no large buffer.

    Returns:
        The number of bytes and their xxh3_128 as 32 hex digits.
    """
    state = xxhash.xxh3_128()
    size = 0
    while piece := source.read(chunk):
        state.update(piece)
        size += len(piece)
        if target is not None:
            target.write(piece)
    return size, state.hexdigest()
