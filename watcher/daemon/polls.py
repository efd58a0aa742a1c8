"""Which jobs to ask a scheduler for, and when; its circuit breaker and what waits behind it.

Imports ``core`` only. Invariant: at most one poll of a scheduler is under way, polls keep their
distance, no job is asked for more often than ``poll_every``, and a scheduler that does not answer
is only probed, after a growing while.

A job is asked for the first time after ``poll_every`` too, but where jobs turn out to have ended by
then, the first look at the next ones comes ever sooner; where one still runs, later again. So many
small jobs do not wait for the clock, and no long one is asked for more often than it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from watcher.core import pacing
from watcher.core.effects import Effect
from watcher.core.model import JobStatus, Phase
from watcher.core.settings import SchedulerSettings

IDLE_PROBE = 30.0  # seconds between probes of a scheduler without jobs, so that health is true
WITNESS_LIFE = 72000.0  # seconds; the real scheduler keeps records for a day
SOONEST = 0.05  # seconds after which a job may be looked at first
TOLD_EVERY = 60.0  # seconds between two lines about one scheduler's ups and downs


@dataclass(slots=True)
class Asked:
    """One submitted job, as the poll loop sees it; times are monotonic.

    ``key`` is our id for it, which some schedulers follow although they answer with another.
    """

    key: str
    file_id: int
    job_id: int
    since: float
    due: float
    news: float  # when something last changed
    last: object = None
    seen: bool = False
    asked: float = 0.0  # when it was last heard of; 0 before that

    def joins(self, now: float, look: float, least: float) -> bool:
        """Whether it is due, or near enough: half-way there, and not asked for in the last
        ``least`` seconds, nor for the first time sooner than half of ``look`` after it was sent."""
        if not self.asked:
            return self.due <= now + look / 2
        near = max(least, (self.due - self.asked) / 2) if now - self.asked >= least else 0.0
        return self.due <= now + near


@dataclass(slots=True)
class Witness:
    """An ended job of ours whose record a scheduler keeps: once it is unknown again, the store was
    lost, and with it every job that waited there: the real scheduler cannot tell by itself."""

    remote: str = ""
    at: float = 0.0
    gone: float = 0.0  # since when it is unknown
    lost: float = 0.0  # jobs sent before this moment are lost

    def heard(self, word: JobStatus | None, now: float) -> None:
        """What the scheduler says of it; a certain absence proves nothing, since it was freed."""
        if word is None or now - self.at > WITNESS_LIFE:
            self.remote, self.gone = "", 0.0
        elif word.phase is not Phase.UNSEEN:
            self.gone = 0.0
        else:
            self.vanished(self.gone or now, now)

    def vanished(self, since: float, now: float) -> None:
        """A job that was seen is unknown since then."""
        self.gone = since
        if now - since >= pacing.STALL_LOST:
            self.remote, self.gone, self.lost = "", 0.0, max(self.lost, since)


@dataclass(slots=True)
class Polls:
    """The submitted jobs of one scheduler."""

    settings: SchedulerSettings
    jobs: dict[str, Asked] = field(default_factory=dict)
    breaker: pacing.Breaker = field(default_factory=pacing.Breaker)
    parked: list[Effect] = field(default_factory=list)
    busy: bool = False
    hinted: bool = False
    taken: int = 0  # jobs that it took
    witness: Witness = field(default_factory=Witness)
    next_due: float = 0.0
    told_at: float = -TOLD_EVERY
    told_down: bool = False
    away_since: float | None = None  # when it began not to answer polls
    look: float = 0.0  # seconds from sending a job until it is first asked for
    tells: bool = False  # it has told by itself that there is news

    def __post_init__(self) -> None:
        self.look = self.settings.poll_every

    def add(self, remote: str, asked: Asked) -> None:
        """Ask for this job from now on."""
        self.jobs[remote] = asked
        self.next_due = min(self.next_due, asked.due)

    def drop(self, remote: str) -> None:
        """Ask no more."""
        self.jobs.pop(remote, None)

    def hint(self, remote: str, now: float) -> None:
        """There may be news of this job."""
        self.tells = True
        if remote in self.jobs:
            self.jobs[remote].due = now
            self.next_due, self.hinted = now, True

    def hurry(self, now: float) -> None:
        """Probe it soon: something else went wrong there."""
        self.next_due = min(self.next_due, now)

    def due(self, now: float) -> tuple[str, ...] | None:
        """The jobs to ask for now, none for a probe; None while it is not time for a poll.

        Jobs that are half-way to their own time come along, so that many jobs make few polls.
        """
        if self.busy or now < self.next_due or (self.breaker.open and now < self.breaker.until):
            return None
        look, least = self.look, self.settings.poll_every
        self.hinted = False
        self.next_due = now + IDLE_PROBE
        return tuple(remote for remote, job in self.jobs.items() if job.joins(now, look, least))

    def ids(self, remotes: tuple[str, ...]) -> tuple[str, ...]:
        """All ids that these jobs may be known under, and a witness where jobs wait for long."""
        asked = [(remote, self.jobs[remote].key) for remote in remotes]
        known = [key for remote, key in asked if key not in ("", remote)]
        waits = any(job.last is not None and not job.seen for job in self.jobs.values())
        witness = [self.witness.remote] if waits and self.witness.remote else []
        return (*remotes, *known, *witness)

    def answered(self, now: float) -> None:
        """A poll is over: the next one comes when a job is due, and not at once."""
        self.busy = False
        first = min((job.due for job in self.jobs.values()), default=now + IDLE_PROBE)
        self.next_due = first if self.hinted else max(first, now + self.look)

    def silent(self, now: float) -> None:
        """It did not answer: the time until it does again counts for no job."""
        self.busy = False
        if self.away_since is None:
            self.away_since = now

    def spoke(self, now: float) -> None:
        """It answered."""
        if self.away_since is not None:
            away, self.away_since = now - self.away_since, None
            for job in self.jobs.values():
                job.news = min(now, job.news + away)

    def heard(
        self, remote: str, word: object, now: float, *, seen: bool, ended: bool = False
    ) -> float:
        """Note a scheduler's word on a job; returns for how long there has been no news."""
        job = self.jobs[remote]
        if not job.asked and not self.tells:
            self._learn(ended=ended)
        if word != job.last:
            job.last, job.news = word, now
        job.seen = job.seen or seen
        job.asked = now
        job.due = now + pacing.poll_after(now - job.since, self.settings.poll_every)
        return now - job.news

    def _learn(self, *, ended: bool) -> None:
        """From what the first look at a job showed."""
        slowest = self.settings.poll_every
        wanted = max(self.look / 2, SOONEST) if ended else self.look * 2
        self.look = min(wanted, slowest)

    def failed(self, now: float, reason: str) -> str:
        """It did not do its part; what to tell people now, if anything."""
        self.breaker = self.breaker.failed(now, reason, 0.0)
        self.next_due = self.breaker.until if self.breaker.open else now + 1.0
        if not self.breaker.open or self.told_down or now - self.told_at < TOLD_EVERY:
            return ""
        self.told_down, self.told_at = True, now
        return reason

    def passed(self, now: float) -> tuple[list[Effect], bool]:
        """It does its part: what waited for that, and whether people are to be told."""
        back = self.breaker.open and self.told_down
        self.breaker = self.breaker.passed()
        if back:
            self.told_down, self.told_at = False, now
        parked, self.parked = self.parked, []
        return parked, back
