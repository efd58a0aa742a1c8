"""The files in work, as the engine holds them in memory, and how many are where.

Imports ``core`` only. Invariant: every work in here is also in the ledger; nothing final stays.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from watcher.core.lifecycle import IN_FLIGHT, UNFINISHED
from watcher.core.model import FileState, Work


@dataclass(slots=True)
class Tally:
    """What this run has seen to its end."""

    delivered: int = 0
    failed: int = 0


@dataclass(slots=True)
class Active:
    """The files in work and the counts that limits are held against."""

    works: dict[int, Work] = field(default_factory=dict)
    ready: deque[tuple[int, int]] = field(default_factory=deque)  # waiting jobs of begun files
    copying: set[int] = field(default_factory=set)  # pass jobs under way
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def put(self, work: Work) -> None:
        """Hold a work, or let it go when nothing is left to do for it."""
        old = self.works.get(work.file.id)
        if old is not None:
            self._count(old, -1)
        if done_with(work):
            self.works.pop(work.file.id, None)
            self.copying.difference_update(job.id for job in work.jobs)
            return
        self.works[work.file.id] = work
        self._count(work, 1)

    def drop(self, file_id: int) -> None:
        """Let go of a work that came to nothing."""
        old = self.works.pop(file_id, None)
        if old is not None:
            self._count(old, -1)

    def _count(self, work: Work, by: int) -> None:
        file = work.file
        if file.state in UNFINISHED:
            self.counts["folder", file.folder] += by
            self.counts["rule", f"{file.folder}/{file.rule}"] += by
            self.counts["held", file.folder] += by * (file.state is FileState.HELD)
        for job in work.jobs:
            if job.state in IN_FLIGHT:
                self.counts["scheduler", job.scheduler] += by


def done_with(work: Work) -> bool:
    """Whether nothing remains to be done for a file."""
    return work.file.state not in UNFINISHED and work.file.disposed
