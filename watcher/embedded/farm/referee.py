"""Moves jobs on in the store of ``serve``: begun, ended, to be run again, lost.

Imports the standard library and this package. Invariant: only the current attempt
of a job, ``runs`` while it runs and ``runs + 1`` while it waits, changes anything; whatever an
older one reports, or reports twice, is passed over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from watcher.embedded.executor import CRASHES, Books
from watcher.embedded.farm.claims import AGAIN, LEFT, Claims, Verdict
from watcher.embedded.store import (
    FAILURE,
    PENDING,
    RETRY,
    REVOKED,
    RUNNING,
    STARTED,
    Job,
    Outcome,
)

WAITING = (PENDING, RETRY)
WORKING = (STARTED, RUNNING)
SERVE = "serve"
_LOST = "the worker that ran the job was lost"


@dataclass(frozen=True, slots=True)
class Referee:
    """``again`` is called with each job that waits anew."""

    books: Books
    claims: Claims
    again: Callable[[Job], None]

    def begin(self, job_id: str, attempt: int, began: float) -> bool:
        """An attempt was begun; False when it is not the current one."""
        job = self.books.store.get(job_id)
        if job is None:
            return False
        if job.status in WAITING and job.runs + 1 == attempt:
            return self.books.store.start(job_id, began) is not None
        return job.status in WORKING and job.runs == attempt

    def finish(self, job_id: str, attempt: int) -> bool:
        """Read the verdict on an attempt and act on it; False when there is none yet."""
        verdict = self.claims.verdict(job_id, attempt)
        if verdict is None:
            return False
        if self.begin(job_id, attempt, verdict.began):
            self._judge(job_id, attempt, verdict)
        return True

    def lose(self, job_id: str, attempt: int) -> bool:
        """The worker of an attempt is gone: once more, or given up; False when it had ended."""
        if self.finish(job_id, attempt) or not self.begin(job_id, attempt, time.time()):
            return False
        job = self.books.store.get(job_id)
        if job is None:
            return False
        if not self.claims.claimed(job_id, attempt):  # it never ran
            self.books.store.again(job_id, error="", counted=False)
            self._wait(job_id)
        elif job.retry + 1 < CRASHES:
            self._once_more(job_id, _LOST)
        else:
            text = f"given up: {_LOST}, twice or after a crash"
            self._end(job_id, Outcome(status=FAILURE, error=text, result=text, steps=job.steps))
        return True

    def cancel(self, job_id: str) -> int | None:
        """End a job as REVOKED; the attempt that must be stopped, or None."""
        job = self.books.store.get(job_id)
        if job is None:
            return None
        attempt = job.runs if job.status in WORKING else job.runs + 1
        # claimed by ourselves, a waiting job is run by nobody any more
        running = job.status in WORKING or not self._claim(job_id, attempt)
        self._end(job_id, Outcome(status=REVOKED, steps=job.steps))
        return attempt if running else None

    def _claim(self, job_id: str, attempt: int) -> bool:
        try:
            return self.claims.claim(job_id, attempt, SERVE)
        except OSError:  # then whoever runs it is stopped
            return False

    def _judge(self, job_id: str, attempt: int, verdict: Verdict) -> None:
        if verdict.kind == AGAIN:
            self._once_more(job_id, verdict.error)
        elif verdict.kind == LEFT:
            self.books.store.requeue(job_id)
            self._wait(job_id)
        elif verdict.outcome is not None:
            if verdict.kept:
                self.books.folders.keep_outputs(job_id, attempt)
            self._end(job_id, verdict.outcome)

    def _once_more(self, job_id: str, error: str) -> None:
        self.books.store.again(job_id, error=error, counted=True)
        self._wait(job_id)

    def _wait(self, job_id: str) -> None:
        job = self.books.store.get(job_id)
        if job is not None and job.status in WAITING:
            self.again(job)

    def _end(self, job_id: str, outcome: Outcome) -> None:
        if self.books.store.end(job_id, outcome, time.time()):
            self.books.ended(job_id)
