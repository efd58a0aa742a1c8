"""The files that have not settled yet, and when each is to be looked at again.

Imports ``core``. Invariant: one entry a key however many hints come, and one heap for all of them:
100,000 candidates cost a few hundred bytes each and no timer.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

from watcher.core import assets
from watcher.core.settle import Candidate, Hint

Key = tuple[str, str]  # folder, path

_STRENGTH = {Hint.SCAN: 0, Hint.CREATED: 1, Hint.CLOSED: 2, Hint.MOVED: 3}


@dataclass(slots=True)
class Pending:
    """One candidate. ``hint`` is the strongest since the last look; ``silent`` is true while only
    a periodic scan has told of it."""

    at: float
    hint: Hint
    silent: bool = False
    memory: Candidate | None = None


class Candidates:
    """All candidates of all folders. Not thread-safe: the intake thread owns it."""

    def __init__(self) -> None:
        self._pending: dict[Key, Pending] = {}
        self._heap: list[tuple[float, Key]] = []
        self._mains: set[Key] = set()  # those that may call for parts

    def __len__(self) -> int:
        return len(self._pending)

    def folders(self) -> Iterator[str]:
        """The folder of each candidate."""
        return (folder for folder, _ in tuple(self._pending))

    def mains(self, folder: str) -> Iterator[str]:
        """The paths of a folder's candidates that may call for parts."""
        return (path for name, path in tuple(self._mains) if name == folder)

    def hinted(self, key: Key, hint: Hint, *, now: float, silent: bool = False) -> None:
        """Note a reason to look; a closed or moved file is looked at now."""
        pending = self._pending.get(key)
        if pending is None:
            self._pending[key] = Pending(now, hint, silent)
            if assets.has_references(key[1]):
                self._mains.add(key)
            heapq.heappush(self._heap, (now, key))
            return
        pending.silent = pending.silent and silent
        if _STRENGTH[hint] > _STRENGTH[pending.hint]:
            pending.hint = hint
        if _STRENGTH[hint] >= _STRENGTH[Hint.CLOSED] and pending.at > now:
            self._at(key, pending, now)

    def due(self, now: float, limit: int) -> list[tuple[Key, Pending]]:
        """Take up to ``limit`` candidates whose time has come off the heap; each stays here until
        it is put back or dropped."""
        found: list[tuple[Key, Pending]] = []
        while self._heap and self._heap[0][0] <= now and len(found) < limit:
            at, key = heapq.heappop(self._heap)
            pending = self._pending.get(key)
            if pending is not None and pending.at == at:
                pending.at = math.inf  # another entry of the same time must not find it again
                found.append((key, pending))
        return found

    def again(self, key: Key, memory: Candidate, at: float) -> None:
        """Keep a candidate for a later look."""
        pending = self._pending[key]
        pending.memory = memory
        pending.hint = Hint.SCAN
        self._at(key, pending, at)

    def drop(self, key: Key) -> None:
        """Forget a candidate."""
        self._pending.pop(key, None)
        self._mains.discard(key)

    def next_at(self) -> float | None:
        """When the next look is due; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def _at(self, key: Key, pending: Pending, at: float) -> None:
        pending.at = at
        heapq.heappush(self._heap, (at, key))
