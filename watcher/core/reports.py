"""What a scheduler's word on a job, or its silence, means for the file.

Imports ``lifecycle`` and what it stands on. Invariant: a job is run again only where running it
again can help, and only as often as its rule allows.
"""

from __future__ import annotations

from dataclasses import dataclass

from watcher.core import pacing
from watcher.core.effects import Fetch
from watcher.core.lifecycle import JobEvent, Step, again, fail, spec_of
from watcher.core.model import JobRecord, JobState, JobStatus, Phase, Work
from watcher.core.settings import Folder, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a decision about one file needs besides the file.

    ``owned``: which source path owns each target that matters. ``spread``: jitter in [0, 1).
    ``repeat``: its outputs get names of their own, since its unchanged content came before.
    ``taken``: how many jobs the scheduler of the effect has taken in this life of the daemon.
    """

    folder: Folder
    rule: Rule
    now: float
    spread: float = 0.0
    owned: dict[str, str]
    repeat: bool = False
    taken: int = 0


def told(work: Work, job: JobRecord, status: JobStatus | None, context: Context) -> Step:
    """A scheduler's word on a submitted or running job; None is "certainly not there"."""
    step, now = Step(work), context.now
    if status is None:
        lost(step, job, "the scheduler no longer knows the job", context)
    elif status.phase is Phase.SUCCEEDED:
        step.move_job(
            job, JobEvent.DONE, now, progress=100, step="", result=status.result,
            warnings=status.warnings, error="",
        )  # fmt: skip
        step.effects.append(Fetch(step.work.file, step.job(job.id)))
    elif status.phase in (Phase.FAILED, Phase.REVOKED):
        reason = status.error or _SAID[status.phase]
        if status.permanent:
            step.save_job(job, now, "gave up", attempt=job.attempt + 1)
            fail(step, now, reason=reason, job=step.job(job.id))
        else:
            failed_run(step, job, reason, context)
    elif status.phase is Phase.RUNNING and job.state is JobState.SUBMITTED:
        step.move_job(job, JobEvent.RAN, now, progress=status.progress, step=status.step)
    return step


_SAID = {
    Phase.FAILED: "the job failed; the scheduler gives no reason",
    Phase.REVOKED: "the job was revoked at the scheduler before it ran",
}


def stalled(work: Work, job: JobRecord, quiet: float, context: Context) -> Step:
    """No news of a job for too long: send it once more, then give up."""
    step = Step(work)
    reason = f"stalled: no news of the job for {quiet / 60:.0f} minutes"
    failed_run(step, job, reason, context, retries=pacing.STALL_RETRIES)
    return step


def vanished(work: Work, job: JobRecord, context: Context) -> Step:
    """A job that was seen is unknown again: the scheduler lost its store."""
    step = Step(work)
    lost(step, job, "the scheduler lost the job; its store was wiped or restarted", context)
    return step


def lost(step: Step, job: JobRecord, reason: str, context: Context) -> None:
    """The scheduler lost the job: no fault of the file, so it is sent again at least twice."""
    least = max(context.rule.retries, pacing.LOST_RETRIES)
    failed_run(step, job, reason, context, retries=least)


def quiet_for(work: Work, job: JobRecord, quiet: float, context: Context) -> Step:
    """Tell people, once, that nothing was heard of a job for long."""
    step = Step(work)
    where = f"queue {spec.queue!r}" if (spec := spec_of(context.rule, job)).queue else "its queue"
    text = f"no news of the job for {quiet / 60:.0f} minutes; "
    if job.state is JobState.SUBMITTED:
        text += f"it waits, or no worker listens to {where}: the scheduler cannot tell"
    else:
        text += "it is slow, or its worker has died: the scheduler cannot tell"
    if job.error != text:
        step.save_job(job, context.now, "quiet", text, error=text)
    return step


def followed(work: Work, job: JobRecord, remote: str, now: float) -> Step:
    """The scheduler runs the job under this one of the two ids: our key, or the reply's."""
    step = Step(work)
    step.save_job(job, now, "followed", remote, remote=remote)
    return step


def failed_run(
    step: Step, job: JobRecord, reason: str, context: Context, *, retries: int | None = None
) -> None:
    """A run failed: the next one after a while, or the end when its rule allows no more."""
    verdict = pacing.retry(
        job.attempt + 1,
        retries=context.rule.retries if retries is None else retries,
        base=context.rule.retry_after,
        now=context.now,
        spread=context.spread,
    )
    if isinstance(verdict, pacing.RetryAt):
        again(step, job, context.now, reason=reason, at=verdict.at, counts=True)
    else:
        tries = f" (tried {verdict.tries} times)" if verdict.tries > 1 else ""
        step.save_job(job, context.now, "gave up", "", attempt=verdict.tries)
        fail(step, context.now, reason=reason + tries, job=step.job(job.id))
