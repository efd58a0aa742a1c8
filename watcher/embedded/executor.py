"""The executor port: who runs the jobs of a scheduler, on this machine or on others.

Imports the package's ``folders`` and ``store``. Invariant: an executor that was given a job ends
it, or leaves it for the next start; the end is in the store before it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from watcher.embedded.folders import Folders
from watcher.embedded.store import Job, Store

CRASHES = 2  # a crash is run again once: the next time it is the job's own fault


@dataclass(frozen=True, slots=True)
class Books:
    """What an executor works on. ``ended`` is called with the id of each job that ended."""

    store: Store
    folders: Folders
    ended: Callable[[str], None]


class Executor(Protocol):
    """Runs jobs."""

    def recover(self, unfinished: Sequence[Job]) -> None:
        """Take up what the last owner of the folder left, oldest first; called once, at first."""

    def put(self, job: Job) -> None:
        """Run a waiting job, by priority and age, not before its countdown."""

    def cancel(self, job_id: str) -> None:
        """End a job as REVOKED: at once when it waits, within moments when it runs."""

    def close(self) -> None:
        """Stop. What has not ended is left for the next start."""


Hire = Callable[[Books], Executor]


def due(job: Job, folders: Folders) -> float:
    """The wall time (UTC seconds) before which a job is not run."""
    countdown = 0.0 if job.runs else folders.config(job.id).get("countdown", 0.0)
    return float(job.requested + countdown)
