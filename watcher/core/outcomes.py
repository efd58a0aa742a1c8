"""What each outcome of an effect means for its file: outcome in, step out.

Imports ``lifecycle``, ``reports`` and what they stand on. Invariant: code branches on the class of
an error, never on its words; whatever an operator or time can mend makes the file wait and costs no
attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from watcher.core import pacing
from watcher.core.delivery import Clashing, plan
from watcher.core.effects import (
    Clash,
    Clean,
    Copy,
    Dispose,
    Done,
    Effect,
    Fetch,
    Look,
    Outcome,
    Passed,
    PassOn,
    Place,
    Publish,
    Quarantine,
    Sent,
    Staged,
    Submit,
    Unsure,
    Wrong,
)
from watcher.core.holding import hold, renewed
from watcher.core.lifecycle import (
    FileEvent,
    JobEvent,
    Step,
    again,
    all_staged,
    begin,
    fail,
    finish,
    spec_of,
)
from watcher.core.model import JobRecord, JobState, Output, Work
from watcher.core.ports import OwnTarget
from watcher.core.repeats import content_name
from watcher.core.reports import Context, failed_run, lost
from watcher.core.settings import PASS
from watcher.errors import (
    Denied,
    FileChanged,
    FileGone,
    FolderOffline,
    Garbled,
    JobLost,
    NameTooLong,
    NoSpace,
    NotRegular,
    OutsideRoot,
    TargetExists,
    TooEarly,
    Unauthorized,
    Unreachable,
    Unsent,
    Unserved,
    WatcherError,
)

MENDABLE = (Denied, NoSpace, FolderOffline)
HOPELESS = (OutsideRoot, NameTooLong, NotRegular, TargetExists)  # a name that can never be given


def after(work: Work, outcome: Outcome, context: Context) -> Step:
    """The decision about one outcome. An outcome of a past life of the file decides nothing."""
    if stale(work, outcome.effect):
        return _too_late(Step(work), outcome)
    decide = DECISIONS[type(outcome.effect)]
    return decide(Step(work), outcome, context)


def _too_late(step: Step, outcome: Outcome) -> Step:
    """A job that was sent for a past life of the file is not wanted any more."""
    effect, result = outcome.effect, outcome.result
    if isinstance(effect, Submit) and isinstance(result, Sent):
        sent = effect.job._replace(remote=result.remote)
        step.effects.append(Clean(effect.file.folder, effect.file.arrival, (sent,), cancel=True))
    return step


def stale(work: Work, effect: Effect) -> bool:
    """Whether the effect was begun for an arrival or attempt that is no longer the present one."""
    if isinstance(effect, Submit | Copy | Fetch | PassOn):
        job = next((job for job in work.jobs if job.id == effect.job.id), None)
        moved = job is None or (job.state, job.key) != (effect.job.state, effect.job.key)
        return moved or work.file.arrival != effect.file.arrival
    if isinstance(effect, Publish | Dispose | Quarantine):
        return (work.file.arrival, work.file.state) != (effect.file.arrival, effect.file.state)
    return False


# ---------------------------------------------------------------- submit
def _submitted(step: Step, outcome: Outcome, context: Context) -> Step:
    effect, result, now = outcome.effect, outcome.result, context.now
    assert isinstance(effect, Submit)  # noqa: S101  (the dispatch table's promise, for the types)
    job = step.job(effect.job.id)
    if isinstance(result, Sent):
        _read(step, result.digest, now)
        begin(step, now)
        step.move_job(job, JobEvent.SENT, now, result.remote, remote=result.remote, error="")
    elif isinstance(result, Unsure):
        _unsure(step, effect, job, context)
    elif isinstance(result, Wrong) and isinstance(result.error, Unreachable):
        _unsent(step, effect, result.error, context)
    else:
        _source_trouble(step, outcome, job, context)
    return step


def _unsure(step: Step, effect: Submit, job: JobRecord, context: Context) -> None:
    """It may be queued, or never have arrived: hold for a bounded while, then send it again under
    the same key, which lands on the same record if it is there after all."""
    since = effect.unsure or context.now
    held = not pacing.unsure(since, context.now)
    wait = 0.0 if held else pacing.backoff(1, 2.0, 2.0, context.spread)
    again_ = replace(
        effect, file=step.work.file, job=job, resumed=not held, unsure=0.0 if held else since
    )
    step.timers.append((context.now + wait, again_))


def _unsent(step: Step, effect: Submit, error: Unreachable, context: Context) -> None:
    """It did not arrive, or nobody can say: wait, unless only this one job always goes wrong."""
    now, tries = context.now, effect.tries + (not isinstance(error, Unauthorized | Unserved))
    job = step.job(effect.job.id)
    proven = effect.proven or (effect.tries > 0 and context.taken > effect.taken)
    if pacing.poisoned(tries, garbled=isinstance(error, Garbled), proven=proven):
        reason = f"could not be sent in {tries} tries, though the scheduler answers: {error}"
        fail(step, now, reason=reason, job=job)
        return
    _note_error(step, job, error, now)
    at = pacing.transient(max(tries, 1), now=now, spread=context.spread)
    sure = isinstance(error, Unsent | Unauthorized) and not effect.resumed
    again_ = replace(effect, file=step.work.file, job=step.job(job.id), resumed=not sure)
    past = replace(again_, tries=tries, unsure=0.0, taken=context.taken, proven=proven)
    step.timers.append((at, past))


def _note_error(step: Step, job: JobRecord, error: WatcherError, now: float) -> None:
    if job.error != str(error):
        step.save_job(job, now, "unreachable", str(error), error=str(error))


def _read(step: Step, digest: str, now: float) -> None:
    if digest and digest != step.work.file.digest:
        step.save_file(now, "read", digest, digest=digest)


def _source_trouble(step: Step, outcome: Outcome, job: JobRecord, context: Context) -> None:
    """Reading the source or keeping what was read went wrong."""
    result = outcome.result
    assert isinstance(result, Wrong)  # noqa: S101  (every other result has its own branch)
    error, file = result.error, step.work.file
    if isinstance(error, FileChanged) and _fed(outcome.effect) is None:
        at = context.now + max(context.folder.settle, 1.0)
        again(step, job, context.now, reason=str(error), at=at, counts=False)
        step.effects.append(Look(file.folder, file.path))
    elif isinstance(error, FolderOffline) or (result.ours and isinstance(error, MENDABLE)):
        hold(step, outcome.effect, error, context)
    elif isinstance(error, FileGone | FileChanged) and _fed(outcome.effect) is not None:
        _starved(step, outcome.effect, job, context)
    elif isinstance(error, FileGone):
        fail(step, context.now, reason="it was removed before it could be read", job=job)
    else:
        fail(step, context.now, reason=str(error), job=job)


def _fed(effect: Effect) -> JobRecord | None:
    return effect.fed if isinstance(effect, Submit) else None


def _starved(step: Step, effect: Effect, job: JobRecord, context: Context) -> None:
    """The staged outputs that a job is about were lost: they are fetched again before it."""
    fed = _fed(effect)
    assert fed is not None  # noqa: S101  (the caller asked)
    source, reason = step.job(fed.id), "the outputs of the job before it were lost"
    again(step, job, context.now, reason=reason, at=0.0, counts=False)
    if source.state is not JobState.STAGED:
        return
    if spec_of(context.rule, source).process == PASS:
        again(step, source, context.now, reason=reason, at=0.0, counts=False)
    else:
        step.move_job(source, JobEvent.DONE, context.now, reason, outputs=())
        step.effects.append(Fetch(step.work.file, step.job(source.id)))


# ---------------------------------------------------------------- staging
def _copied(step: Step, outcome: Outcome, context: Context) -> Step:
    effect, result = outcome.effect, outcome.result
    assert isinstance(effect, Copy)  # noqa: S101  (the dispatch table's promise)
    if isinstance(result, Staged):
        begin(step, context.now)
        return _staged(step, effect.job.id, result, context)
    _source_trouble(step, outcome, step.job(effect.job.id), context)
    return step


def _fetched(step: Step, outcome: Outcome, context: Context) -> Step:
    effect, result, now = outcome.effect, outcome.result, context.now
    assert isinstance(effect, Fetch)  # noqa: S101  (the dispatch table's promise)
    job = step.job(effect.job.id)
    if isinstance(result, Staged):
        begin(step, now)
        return _staged(step, job.id, result, context)
    assert isinstance(result, Wrong)  # noqa: S101  (nothing else comes back from a fetch)
    error = result.error
    if isinstance(error, TooEarly | Unreachable):
        _not_yet(step, effect, error, context)
    elif isinstance(error, JobLost):
        lost(step, job, str(error), context)
    elif result.ours and not isinstance(error, (*HOPELESS, FileGone, FileChanged)):
        hold(step, effect, error, context)
    else:
        fail(step, now, reason=str(error), job=job)
    return step


def _not_yet(step: Step, effect: Fetch, error: WatcherError, context: Context) -> None:
    """Come back for the outputs; a scheduler that never has them ready loses the job in the end,
    while one that cannot be reached may take its time."""
    now, since = context.now, effect.since or context.now
    job = step.job(effect.job.id)
    if isinstance(error, TooEarly | Garbled) and now - since > pacing.FETCH_PATIENCE:
        reason = f"the outputs did not become ready in {(now - since) / 60:.0f} minutes: {error}"
        failed_run(step, job, reason, context, retries=pacing.STALL_RETRIES)
        return
    _note_error(step, job, error, now)
    at = pacing.transient(effect.tries + 1, now=now, spread=context.spread)
    fresh = Fetch(step.work.file, step.job(job.id), effect.tries + 1, since)
    step.timers.append((at, fresh))


def _staged(
    step: Step, job_id: int, result: Staged, context: Context, *, tried: bool = False
) -> Step:
    job = step.job(job_id)
    outputs = tuple(Output(one.name, one.size, one.digest) for one in result.outputs)
    _identified(step, result.digest)
    step.move_job(job, JobEvent.STAGED, context.now, outputs=outputs, next_at=0.0, error="")
    if all_staged(step.work):
        publish(step, context, resumed=tried)
    return step


def _identified(step: Step, digest: str) -> None:
    """The content is known: in memory only, since the next recorded change of the file carries
    it."""
    if digest and digest != step.work.file.digest:
        step.work = Work(step.work.file._replace(digest=digest), step.work.jobs)


def _passed(step: Step, outcome: Outcome, context: Context) -> Step:
    effect, result, now = outcome.effect, outcome.result, context.now
    assert isinstance(effect, PassOn)  # noqa: S101  (the dispatch table's promise)
    job = step.job(effect.job.id)
    if not isinstance(result, Passed):
        _source_trouble(step, outcome, job, context)
        return step
    one = result.output
    if not result.named:
        begin(step, now)
        staged = Staged((one,), one.digest)
        return _staged(step, job.id, staged, context, tried=result.tried)
    _identified(step, one.digest)
    outputs = (Output(one.name, one.size, one.digest, effect.place.target),)
    step.work = Work(step.work.file, (job._replace(outputs=outputs),))
    return _delivered(step, context, (effect.place,))


def publish(step: Step, context: Context, *, resumed: bool = False) -> None:
    """All jobs are staged: plan the final names (unless recorded) and publish."""
    planned = plan(step.work, context.rule, context.owned, repeat=context.repeat)
    if isinstance(planned, Clashing):
        fail(step, context.now, reason=planned.reason)
        return
    for job, outputs in zip(step.work.jobs, planned.outputs, strict=True):
        if job.outputs != outputs:
            step.save_job(job, context.now, JobEvent.PLANNED, outputs=outputs)
    step.effects.append(Publish(step.work.file, planned.places, planned.receipts, resumed=resumed))


# ---------------------------------------------------------------- publish
def _published(step: Step, outcome: Outcome, context: Context) -> Step:
    effect, result = outcome.effect, outcome.result
    assert isinstance(effect, Publish)  # noqa: S101  (the dispatch table's promise)
    if isinstance(result, Done):
        _delivered(step, context, effect.places)
    elif isinstance(result, Clash):
        _clashed(step, result, context)
    else:
        _unpublished(step, outcome, context)
    return step


def _delivered(step: Step, context: Context, places: Sequence[Place]) -> Step:
    """Everything has its final name, which is the source's own from now on."""
    file = step.work.file
    finish(step, context.folder, context.rule, context.now)
    content = content_name(context.rule, file)
    own = [place.target for place in places] + [content] * bool(content)
    step.changes += [OwnTarget(file.folder, target, file.path, file.id) for target in own]
    return step


def _clashed(step: Step, clash: Clash, context: Context) -> None:
    policy = context.rule.on_conflict
    if policy == "fail":
        reason = f"{clash.target} exists in the output folder already (on_conflict: fail)"
        fail(step, context.now, reason=reason)
        return
    renamed = "" if policy == "skip" else clash.free
    for job in step.work.jobs:
        outputs = tuple(
            Output(one.name, one.size, one.digest, renamed, published=not renamed)
            if one.target == clash.target
            else one
            for one in job.outputs
        )
        if outputs != job.outputs:
            note = f"{clash.target} exists: {renamed or 'left alone'}"
            step.save_job(job, context.now, JobEvent.PLANNED, note, outputs=outputs)
    publish(step, context, resumed=True)


def _unpublished(step: Step, outcome: Outcome, context: Context) -> None:
    result = outcome.result
    assert isinstance(result, Wrong)  # noqa: S101  (every other result has its own branch)
    error = result.error
    if isinstance(error, FileGone | FileChanged):  # staging was lost or cut: make it again
        for job in step.work.jobs:
            if spec_of(context.rule, job).process == PASS:
                again(step, job, context.now, reason=str(error), at=0.0, counts=False)
            else:
                step.move_job(job, JobEvent.DONE, context.now, str(error), outputs=())
                step.effects.append(Fetch(step.work.file, step.job(job.id)))
    elif isinstance(error, HOPELESS):
        fail(step, context.now, reason=str(error))
    else:  # some names may have been given by then: a file that failed has none
        hold(step, outcome.effect, error, context)


# ---------------------------------------------------------------- the source
def _disposed(step: Step, outcome: Outcome, context: Context) -> Step:
    effect, result, now = outcome.effect, outcome.result, context.now
    if isinstance(result, Clash):
        step.save_file(now, "renamed", result.free, disposal=result.free)
        step.effects.append(renewed(effect, step.work))
        return step
    note = ""
    if isinstance(result, Wrong):
        if not isinstance(result.error, FileGone | FileChanged):
            hold(step, effect, result.error, context)
            return step
        note = str(result.error)
        step.effects.append(Look(step.work.file.folder, step.work.file.path))
    done: dict[str, object] = {"disposed": True, "live": False, "attempt": 0, "next_at": 0.0}
    if isinstance(effect, Dispose):
        step.move_file(FileEvent.DISPOSED, now, note, reason="", **done)
    else:
        step.save_file(now, "quarantined", note or step.work.file.disposal, **done)
    return step


DECISIONS: dict[type[Effect], Callable[[Step, Outcome, Context], Step]] = {
    Submit: _submitted,
    Copy: _copied,
    Fetch: _fetched,
    Publish: _published,
    PassOn: _passed,
    Dispose: _disposed,
    Quarantine: _disposed,
}
