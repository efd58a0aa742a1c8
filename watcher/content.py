"""The identity of bytes: xxh3_128, read or copied in flat memory.

Imports xxhash only. Invariant: whoever compares contents, compares these digests.
"""

from __future__ import annotations

from typing import IO, Protocol

import xxhash

CHUNK = 1 << 20


class Writes(Protocol):
    """Anything with ``write``."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Take all of the bytes."""
        ...


def digest(stream: IO[bytes]) -> str:
    """xxh3_128 of the rest of a stream, as 32 hex digits."""
    return copy(stream, None)[1]


def copy(source: IO[bytes], target: Writes | None) -> tuple[int, str]:
    """Copy the rest of ``source`` into ``target`` and hash it on the way.

    Returns:
        The number of bytes and their xxh3_128 as 32 hex digits.
    """
    state = xxhash.xxh3_128()
    size = 0
    while chunk := source.read(CHUNK):
        state.update(chunk)
        size += len(chunk)
        if target is not None:
            target.write(chunk)
    return size, state.hexdigest()
