"""Copies and publications that wait for a thread: small ones leave together.

Imports ``core``. Invariant: nobody waits to fill a group: a free thread takes what is there, and
what comes meanwhile is the next group; who is large goes alone, and has a thread of its own.
"""

from __future__ import annotations

import threading
from collections import deque

from watcher.core.effects import Copy, Publish

GROUP = 128  # files in one group at most
HEAVY = 64 << 10  # so many bytes weigh as much as a file does by itself


class Crowd:
    """See the module. Args: ``threads``: how many may work on it at once."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, Copy | Publish]] = deque()
        self._weight = 0  # of all that wait
        self._working = 0

    def add(self, effect: Copy | Publish) -> bool:
        """One more; true when another thread is to come and ``take``."""
        with self._lock:
            weight = weight_of(effect)
            self._waiting.append((weight, effect))
            self._weight += weight
            wanted = self._working < self._threads and self._weight > GROUP * self._working
            self._working += wanted
            return wanted

    def take(self) -> list[Copy | Publish]:
        """The next group; with an empty one the thread is released."""
        taken: list[Copy | Publish] = []
        left = GROUP
        with self._lock:
            while self._waiting and (not taken or self._waiting[0][0] <= left):
                weight, effect = self._waiting.popleft()
                self._weight -= weight
                left -= weight
                taken.append(effect)
            self._working -= not taken
        return taken


def weight_of(effect: Copy | Publish) -> int:
    """How much of a group an effect is."""
    if isinstance(effect, Copy):
        return 1 + effect.file.print.size // HEAVY
    return 1 + sum(place.size for place in effect.places) // HEAVY
