"""Which jobs to ask a scheduler for, and when; its circuit breaker.

Imports ``core`` only. Invariant: at most one poll of a scheduler is under way, and a scheduler
that does not answer is left alone for a growing while.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from watcher.core import pacing
from watcher.core.settings import SchedulerSettings


@dataclass(slots=True)
class Asked:
    """One submitted job, as the poll loop sees it; times are monotonic."""

    file_id: int
    job_id: int
    since: float
    due: float
    news: float  # when something last changed
    last: object = None
    seen: bool = False


@dataclass(slots=True)
class Polls:
    """The submitted jobs of one scheduler."""

    settings: SchedulerSettings
    jobs: dict[str, Asked] = field(default_factory=dict)
    breaker: pacing.Breaker = field(default_factory=pacing.Breaker)
    busy: bool = False
    next_due: float = 0.0

    def add(self, remote: str, file_id: int, job_id: int, now: float, *, at_once: bool) -> None:
        """Ask for this job from now on."""
        due = now if at_once else now + pacing.poll_after(0.0, self.settings.poll_every)
        self.jobs[remote] = Asked(file_id, job_id, now, due, now)
        self.next_due = min(self.next_due, due) if len(self.jobs) > 1 else due

    def drop(self, remote: str) -> None:
        """Ask no more."""
        self.jobs.pop(remote, None)

    def hint(self, remote: str, now: float) -> None:
        """There may be news of this job."""
        if remote in self.jobs:
            self.jobs[remote].due = now
            self.next_due = now

    def due(self, now: float) -> tuple[str, ...]:
        """The jobs to ask for now; none while a poll is under way or the breaker is open."""
        if self.busy or now < self.next_due or not self.jobs or not self.breaker.closed(now):
            return ()
        remotes = tuple(remote for remote, job in self.jobs.items() if job.due <= now)
        self.next_due = min((job.due for job in self.jobs.values() if job.due > now), default=now)
        return remotes

    def heard(self, remote: str, word: object, now: float, *, seen: bool) -> float:
        """Note a scheduler's word on a job; returns for how long there has been no news."""
        job = self.jobs[remote]
        if word != job.last or (seen and not job.seen):
            job.last, job.news = word, now
        job.seen = job.seen or seen
        job.due = now + pacing.poll_after(now - job.since, self.settings.poll_every)
        self.next_due = min(self.next_due, job.due)
        return now - job.news
