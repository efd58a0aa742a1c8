"""Whether anybody has written to some files since they were last asked about.

Imports the standard library. Invariant: in doubt somebody has: files that changed within the last
second, that lie elsewhere, or whose times are in the future, are never taken as unchanged.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

SURE = 1.0  # seconds that a change must lie back: a file system's clock ticks a few ms apart
Facts = tuple[tuple[int, int, int], ...]


class Calm:
    """Some files, and how they looked when nothing was found in them."""

    def __init__(self) -> None:
        self._known: Facts = ()

    def looks(self, places: Iterable[Path]) -> Facts:
        """How they look now, to be asked before they are read; empty where that tells nothing."""
        found = []
        for place in places:
            try:
                one = place.stat()
            except OSError:
                found.append((0, 0, 0))
                continue
            if time.time() - one.st_mtime <= SURE:
                return ()
            found.append((one.st_ino, one.st_size, one.st_mtime_ns))
        return tuple(found)

    def unchanged(self, facts: Facts) -> bool:
        """Whether they look as when nothing was found."""
        return bool(facts) and facts == self._known

    def found_nothing(self, facts: Facts) -> None:
        """They held nothing when they looked like this."""
        self._known = facts
