"""Who is next: lanes of accepted files, round robin among equals, priority first.

Imports ``model`` and ``ports`` (the lane). Invariant: a lane holds a bounded window of its files in
memory; the rest stays in the ledger, so that 100,000 waiting files cost nothing here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from watcher.core.model import Work
from watcher.core.ports import Lane

WINDOW = 256


@dataclass(slots=True)
class Queue:
    """One lane's files: a window in memory, and how many more the ledger holds after it."""

    priority: int
    window: deque[Work] = field(default_factory=deque)
    beyond: int = 0
    last: tuple[int, int] | None = None  # (priority, id) of the last one ever in the window

    def add(self, work: Work) -> None:
        """A newly accepted file: the newest of its lane."""
        if self.beyond or len(self.window) >= WINDOW:
            self.beyond += 1
        else:
            self.append(work)

    def append(self, work: Work) -> None:
        """Put the next file of the ledger's order at the end of the window."""
        self.window.append(work)
        self.last = (work.file.priority, work.file.id)

    def __len__(self) -> int:
        return len(self.window) + self.beyond


class Lanes:
    """All lanes, and whose turn it is."""

    def __init__(self) -> None:
        self._queues: dict[Lane, Queue] = {}
        self._turn: dict[Lane, int] = {}
        self._clock = 0

    def queue(self, lane: Lane, priority: int) -> Queue:
        """A lane's queue, made when missing."""
        return self._queues.setdefault(lane, Queue(priority))

    def replace(self, work: Work) -> bool:
        """A waiting file's record changed: keep the window true. False when it is not in one."""
        queue = self._queues.get(Lane(work.file.folder, work.file.rule))
        for index, held in enumerate(queue.window if queue else ()):
            if held.file.id == work.file.id and queue is not None:
                queue.window[index] = work
                return True
        return False

    def holds(self, work: Work) -> bool:
        """Whether a file waits in the ledger's part of its lane."""
        queue = self._queues.get(Lane(work.file.folder, work.file.rule))
        if queue is None or not queue.beyond:
            return False
        return queue.last is None or (-work.file.priority, work.file.id) > (
            -queue.last[0],
            queue.last[1],
        )

    def order(self, allowed: Callable[[Lane], bool]) -> Iterator[tuple[Lane, Queue]]:
        """Lanes with files that may go now, again and again, until none is left.

        The highest priority comes first; among equals the one served longest ago.
        """
        while True:
            ready = [
                (-queue.priority, self._turn.get(lane, 0), lane)
                for lane, queue in self._queues.items()
                if len(queue) and allowed(lane)
            ]
            if not ready:
                return
            lane = min(ready, key=lambda row: row[:2])[2]
            self._clock += 1
            self._turn[lane] = self._clock
            yield lane, self._queues[lane]

    def waiting(self) -> dict[Lane, int]:
        """How many files wait in each lane."""
        return {lane: len(queue) for lane, queue in self._queues.items() if len(queue)}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())
