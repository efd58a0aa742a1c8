"""A worker's hands: takes tasks, claims their attempts, runs them in its lanes, writes verdicts.

Imports the standard library and this package. Invariant: no attempt runs without its claim, and
every one that ran leaves a verdict; only ``serve`` moves a job on.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable
from dataclasses import dataclass

from watcher.embedded.farm.board import Row
from watcher.embedded.farm.claims import AGAIN, ENDED, LEFT, Claims, Verdict
from watcher.embedded.farm.pulse import Pulse
from watcher.embedded.farm.tasks import Task
from watcher.embedded.folders import Folders
from watcher.embedded.lane import Bench, Lane
from watcher.embedded.pool import Pool
from watcher.embedded.store import STARTED, Job, Outcome, Step

_ANY = 1 << 30  # starts: serve counts them


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    """Where a crew works: the shared folder, the worker pool, how it tells, and its name."""

    folders: Folders
    pool: Pool
    memory: int
    pulse: Pulse
    name: str


class Crew:
    """So many lanes, for any threads that bring tasks."""

    def __init__(self, hall: Hall, lanes: int) -> None:
        self._hall = hall
        self._claims = Claims(hall.folders)
        self._free: queue.SimpleQueue[_Hand] = queue.SimpleQueue()
        self._hands = [_Hand(hall, self._claims) for _ in range(lanes)]
        for hand in self._hands:
            self._free.put(hand)

    def run(self, task: Task) -> bool:
        """One attempt, unless somebody has it or the job is gone; False when we are leaving.

        Raises:
            OSError: the shared folder cannot be used.
        """
        hand = self._free.get()
        try:
            if self._hall.pulse.leaving:
                return False
            if self._claims.claim(task.job, task.attempt, self._hall.name):
                hand.run(task)
        finally:
            self._free.put(hand)
        return True

    def close(self) -> None:
        """Wait until nothing runs any more, and let the processes go."""
        for _ in self._hands:
            self._free.get()
        for hand in self._hands:
            hand.lane.close()
            self._free.put(hand)  # for a late task, which is declined
        self._hall.pool.close()


class _Hand:
    """One lane and its book: what it would write into a store becomes a verdict."""

    def __init__(self, hall: Hall, claims: Claims) -> None:
        self._hall = hall
        self._claims = claims
        bench = Bench(self, hall.folders, hall.pool, hall.memory, _ANY)
        self.lane = Lane(bench, _nothing, _nothing)
        self._task = Task(job="", attempt=0, retry=0, requested=0.0)
        self._began = 0.0

    def run(self, task: Task) -> None:
        self._task, self._began = task, time.time()
        row = Row(attempt=task.attempt, began=self._began, worker=self._hall.name, beat=0)
        running = self._hall.pulse.add(task.job, row)
        try:
            self.lane.run(task.job, running)
        finally:
            self._hall.pulse.remove(task.job)

    # ---------------------------------------------------------------- the book
    def start(self, job_id: str, at: float) -> Job | None:
        return Job(
            seq=0,
            id=job_id,
            name="",
            process="",
            priority=0,
            status=STARTED,
            requested=self._task.requested,
            started=at,
            retry=self._task.retry,
            runs=self._task.attempt,
        )

    def show(self, job_id: str, progress: int | None, steps: Iterable[Step]) -> None:
        self._hall.pulse.show(job_id, progress, steps)

    def again(self, job_id: str, *, error: str, counted: bool) -> None:
        self._judge(
            job_id, Verdict(kind=AGAIN if counted else LEFT, began=self._began, error=error)
        )

    def end(self, job: Job, outcome: Outcome, attempt: int) -> None:
        verdict = Verdict(kind=ENDED, began=self._began, outcome=outcome, kept=bool(attempt))
        self._judge(job.id, verdict)

    def _judge(self, job_id: str, verdict: Verdict) -> None:
        self._claims.judge(job_id, self._task.attempt, verdict)


def _nothing(_: object) -> None:
    """Serve tells those who listen, and puts jobs into queues."""
