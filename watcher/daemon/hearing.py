"""What schedulers say of our jobs, and what the engine makes of it.

Imports ``core`` and the daemon's books and polls. Invariant: all of it runs in the engine's thread;
a job is given up by the rules of ``pacing`` only, never for one odd word.
"""

from __future__ import annotations

from dataclasses import dataclass

from watcher.core import pacing, reports
from watcher.core.effects import Silent, Told
from watcher.core.lifecycle import Step, spec_of
from watcher.core.model import JobRecord, JobState, JobStatus, Phase, Work
from watcher.daemon.books import Books
from watcher.daemon.polls import Polls
from watcher.errors import WatcherError

ASKED = (JobState.SUBMITTED, JobState.RUNNING)
ENDED = (Phase.SUCCEEDED, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class Hint:
    """A scheduler may have news of a job."""

    scheduler: str
    remote: str


class Hearing:
    """See the module."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def failed(self, polls: Polls, error: WatcherError) -> None:
        """A scheduler did not do its part; people are told, but not in a flood."""
        if polls.failed(self.books.clock.monotonic(), str(error)):
            self.books.outside.trouble(f"scheduler {polls.settings.name}", error)

    def passed(self, polls: Polls) -> None:
        """A scheduler does its part: what waited for that goes on."""
        parked, back = polls.passed(self.books.clock.monotonic())
        self.books.release(parked)
        if back:
            self.books.outside.back(f"scheduler {polls.settings.name}")

    def poll(self) -> None:
        """Ask every scheduler whose time has come."""
        now = self.books.clock.monotonic()
        for name, polls in self.books.polls.items():
            remotes = polls.due(now)
            if remotes is not None:
                polls.busy = True
                self.books.outside.poll(name, polls.ids(remotes))

    def told(self, told: Told) -> None:
        """A scheduler's words."""
        polls = self.books.polls[told.scheduler]
        self.passed(polls)
        polls.spoke(self.books.clock.monotonic())
        now, witness = self.books.clock.monotonic(), polls.witness
        if witness.remote in told.asked and witness.remote not in polls.jobs:
            witness.heard(told.statuses.get(witness.remote), now)
        for remote in told.asked:
            asked = polls.jobs.get(remote)
            if asked is None:
                continue  # the other id of a job, or dropped meanwhile
            work = self.books.active.works.get(asked.file_id)
            job = next((one for one in work.jobs if one.id == asked.job_id), None) if work else None
            if work is None or job is None or job.state not in ASKED or job.remote != remote:
                polls.drop(remote)
            else:
                self._on_word(polls, remote, work, job, told.statuses)
        polls.answered(self.books.clock.monotonic())

    def _on_word(
        self, polls: Polls, remote: str, work: Work, job: JobRecord, said: dict[str, JobStatus]
    ) -> None:
        status = said.get(remote)
        if job.key != remote and not seen(status):
            other = said.get(job.key)
            if other is not None and seen(other):
                work, job, remote, status = self._follow(work, job, other)
            else:
                status = status or other  # one of the two ids may yet be heard of
        now = self.books.clock.monotonic()
        was_seen, before = polls.jobs[remote].seen, polls.jobs[remote].last
        if status is None or status.phase is not Phase.SILENT:
            ended = status is not None and status.phase in ENDED
            quiet = polls.heard(remote, status, now, seen=seen(status), ended=ended)
        else:
            quiet = polls.heard(remote, polls.jobs[remote].last, now, seen=False)
        if _nothing_new(job, before, status) and quiet < pacing.WARN_QUIET:
            return
        if status is not None and status.phase is Phase.SUCCEEDED:
            polls.witness.remote, polls.witness.at, polls.witness.gone = remote, now, 0.0
        swept = not was_seen and polls.jobs[remote].since < polls.witness.lost
        if swept and status is not None and status.phase is Phase.UNSEEN:
            self.books.take(reports.vanished(work, job, self.books.context(work)))
            return
        self.books.take(self._judged(work, job, status, (quiet, was_seen)))

    def _follow(
        self, work: Work, job: JobRecord, status: JobStatus
    ) -> tuple[Work, JobRecord, str, JobStatus]:
        """The scheduler follows our key, whatever its reply said."""
        step = reports.followed(work, job, job.key, self.books.clock.now())
        polls = self.books.polls[job.scheduler]
        polls.jobs[job.key] = polls.jobs.pop(job.remote)
        self.books.take(step)
        return step.work, step.job(job.id), job.key, status

    def _judged(
        self, work: Work, job: JobRecord, status: JobStatus | None, past: tuple[float, bool]
    ) -> Step:
        """What a word on a job, or the long lack of one, means."""
        quiet, was_seen = past
        context = self.books.context(work)
        if status is not None and status.phase is Phase.REVOKED and quiet < pacing.REVOKED_HOLD:
            return Step(work)  # it may yet run
        step = reports.told(work, job, status, context)
        if step.changes:
            return step
        is_seen = seen(status) or (status is not None and status.phase is Phase.SILENT)
        limit = spec_of(context.rule, job).time_limit
        queued = status is not None and status.phase is Phase.QUEUED
        was_seen = was_seen and not queued  # a queue may be long, as it may where none can tell
        verdict = pacing.silence(quiet, was_seen=was_seen, is_seen=is_seen, time_limit=limit)
        if verdict is pacing.Quiet.LOST:
            now = self.books.clock.monotonic()
            self.books.polls[job.scheduler].witness.vanished(now - quiet, now)
            return reports.vanished(work, job, context)
        if verdict is pacing.Quiet.STALLED:
            return reports.stalled(work, job, quiet, context)
        if quiet >= pacing.WARN_QUIET and not job.error:
            return reports.quiet_for(work, job, quiet, context)
        if status is not None and status.phase is Phase.RUNNING:
            shown = job._replace(progress=status.progress, step=status.step)
            jobs = tuple(shown if one.id == job.id else one for one in work.jobs)
            step.work = Work(work.file, jobs)  # shown to people, not worth a commit
        return step

    def silent(self, silent: Silent) -> None:
        """A scheduler did not answer."""
        polls = self.books.polls[silent.scheduler]
        polls.silent(self.books.clock.monotonic())
        self.failed(polls, silent.error)

    def hint(self, hint: Hint) -> None:
        """A scheduler tells by itself that there may be news."""
        self.books.polls[hint.scheduler].hint(hint.remote, self.books.clock.monotonic())


def seen(status: JobStatus | None) -> bool:
    """Whether a scheduler's word proves that it has the job."""
    return status is not None and status.phase not in (Phase.UNSEEN, Phase.SILENT)


def _nothing_new(job: JobRecord, before: object, status: JobStatus | None) -> bool:
    """Whether a job runs as it did at the last word: most polls of many jobs tell just that."""
    running = status is not None and status.phase is Phase.RUNNING
    return running and job.state is JobState.RUNNING and status == before
