"""Copies and publications that wait for a thread: small ones leave together.

Imports ``core``. Invariant: nobody waits to fill a group: a free thread takes what is there, and
what comes meanwhile is the next group; who is large goes alone, and has a thread of its own.
"""

from __future__ import annotations

import threading
from collections import deque

from watcher.core.effects import Copy, PassOn, Publish

Grouped = Copy | Publish | PassOn
GROUP = 128  # files in one group at most
HEAVY = 64 << 10  # so many bytes weigh as much as a file does by itself


class Crowd:
    """See the module. Args: ``threads``: how many may work on it at once."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, Grouped]] = deque()
        self._weight = 0  # of all that wait
        self._working = 0

    def add(self, effect: Grouped) -> bool:
        """One more; true when another thread is to come and ``take``."""
        with self._lock:
            weight = weight_of(effect)
            self._waiting.append((weight, effect))
            self._weight += weight
            wanted = self._working < self._threads and self._weight > GROUP * self._working
            self._working += wanted
            return wanted

    def take(self) -> list[Grouped]:
        """The next group; with an empty one the thread is released."""
        taken: list[Grouped] = []
        left = GROUP
        with self._lock:
            while self._waiting and (not taken or self._waiting[0][0] <= left):
                weight, effect = self._waiting.popleft()
                self._weight -= weight
                left -= weight
                taken.append(effect)
            self._working -= not taken
        return taken


def weight_of(effect: Grouped) -> int:
    """How much of a group an effect is."""
    if isinstance(effect, Publish):
        return 1 + sum(place.size for place in effect.places) // HEAVY
    return 1 + effect.file.print.size // HEAVY
