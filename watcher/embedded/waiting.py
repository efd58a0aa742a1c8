"""The waiting jobs: highest priority first, then oldest; some not before their time.

Imports the standard library and the package's ``store``. Invariant: a job that was put is taken
once, unless the queue is closed first.
"""

from __future__ import annotations

import heapq
import threading
import time
from dataclasses import dataclass, field

from watcher.embedded.store import Job


@dataclass(slots=True)
class Waiting:
    """The queue, for any thread."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    heap: list[tuple[int, int, str]] = field(default_factory=list)
    later: list[tuple[float, int, int, str]] = field(default_factory=list)
    closed: bool = False

    def put(self, job: Job, *, due: float = 0.0) -> None:
        """Add a job; ``due`` is the wall time before which it is not taken."""
        with self.changed:
            heapq.heappush(self.later, (due, -job.priority, job.seq, job.id))
            self.changed.notify()

    def take(self) -> str | None:
        """The next job; None when the queue is closed."""
        with self.changed:
            while not self.closed:
                self._ripen()
                if self.heap:
                    return heapq.heappop(self.heap)[2]
                self.changed.wait(self._pause())
            return None

    def close(self) -> None:
        """Let every taker go with None."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def _ripen(self) -> None:
        now = time.time()
        while self.later and self.later[0][0] <= now:
            heapq.heappush(self.heap, heapq.heappop(self.later)[1:])

    def _pause(self) -> float | None:
        """Seconds until the next job is due; a clock that is set costs a minute at most."""
        return min(60.0, max(0.0, self.later[0][0] - time.time())) if self.later else None
