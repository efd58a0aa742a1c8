"""One file to send to a scheduler, and the bytes that come and go.

Imports the standard library's data types only; apart from ``ports``, so that who only asks a
scheduler imports no more than that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Reads(Protocol):
    """Bytes to be read once: anything with ``read`` and ``close``."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; nothing at the end."""
        ...

    def close(self) -> object:
        """Done with it."""
        ...


class Hash(Protocol):
    """What takes in bytes on their way; ``content.hashing`` makes one."""

    def update(self, data: bytes, /) -> object:
        """Take in more bytes."""
        ...

    def reset(self) -> object:
        """Begin anew, as a download may."""
        ...


Progress = Callable[[int, int], None]  # bytes so far, and of how many


@dataclass(frozen=True, slots=True)
class Source:
    """One file to send. ``name`` is relative (``tex/a.png``); ``open`` gives its bytes once."""

    name: str
    size: int
    open: Callable[[], Reads]
