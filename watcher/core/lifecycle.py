"""The state machine of files and their jobs: the tables, the moves, and what recovery does.

Imports ``model``, ``ports`` (the changes), ``effects``, ``settings``. Invariant: a move that is not
in the tables raises, and the ledger refuses it as well.

Theory of operation
-------------------
The promises: every file that a rule takes is delivered, or stands in the failed folder with its
reason; never neither, never both, never twice. For every effect: the intent is recorded, the effect
done, the outcome recorded. A crash can come between any two of these, so each effect is repeatable
or recognisable:

=============  ===========================  ==================================================
found          what may have happened       what ``recover`` does
=============  ===========================  ==================================================
accepted       nothing                      nothing: it is in its lane
waiting        a pass copy in staging,      start it again, staging is emptied first; an equal
               or under its planned name    content under the recorded name counts as done
submitting     sent or not                  ask for the key; certainly absent: send again under
                                            the same key; unsure: hold, then the same
submitted,     anything                     ask; "no such job" sends again under a new key, and
running                                     history tells
fetching       part of the outputs staged   empty the staging, fetch again
staged         some outputs published       publish again: an equal content under the recorded
                                            name counts as done
held           as staged                    as staged
delivered      source archived or not       dispose again: source gone and archive there is done
failed         source moved or not          quarantine again, likewise
=============  ===========================  ==================================================

A new attempt of a job takes a new key; a repeated sending of the same attempt keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from watcher.core.effects import Clean, Copy, Dispose, Effect, Fetch, Quarantine, Submit
from watcher.core.model import Asset, FileRecord, FileState, JobRecord, JobState, Work
from watcher.core.ports import Change, NewFile, Note, SaveFile, SaveJob
from watcher.core.settings import PASS, Folder, JobSpec, Rule, stands_alone


class JobEvent(StrEnum):
    """What can happen to a job."""

    START = "start"
    SENT = "sent"
    RAN = "ran"
    DONE = "done"
    STAGED = "staged"
    PLANNED = "planned"
    PUBLISHED = "published"
    SKIP = "skip"  # an unchanged content that its rule does not want twice
    AGAIN = "again"  # this attempt is void; wait for the next
    FAIL = "fail"
    RESTART = "restart"  # the file itself starts over


class FileEvent(StrEnum):
    """What can happen to a file."""

    BEGIN = "begin"
    HOLD = "hold"
    PUBLISHED = "published"
    SKIP = "skip"
    FAIL = "fail"
    DISPOSED = "disposed"
    RESTART = "restart"


J, E = JobState, JobEvent
JOB_MOVES: dict[tuple[JobState, JobEvent], JobState] = {
    (J.WAITING, E.START): J.SUBMITTING,
    (J.WAITING, E.STAGED): J.STAGED,  # pass: the copy is its own job
    (J.WAITING, E.PUBLISHED): J.DELIVERED,  # pass: copied and named in one go
    (J.WAITING, E.SKIP): J.DELIVERED,
    (J.WAITING, E.AGAIN): J.WAITING,
    (J.WAITING, E.FAIL): J.FAILED,
    (J.SUBMITTING, E.SENT): J.SUBMITTED,
    (J.SUBMITTING, E.AGAIN): J.WAITING,
    (J.SUBMITTING, E.FAIL): J.FAILED,
    (J.SUBMITTED, E.RAN): J.RUNNING,
    (J.SUBMITTED, E.DONE): J.FETCHING,
    (J.SUBMITTED, E.AGAIN): J.WAITING,
    (J.SUBMITTED, E.FAIL): J.FAILED,
    (J.RUNNING, E.DONE): J.FETCHING,
    (J.RUNNING, E.AGAIN): J.WAITING,
    (J.RUNNING, E.FAIL): J.FAILED,
    (J.FETCHING, E.STAGED): J.STAGED,
    (J.FETCHING, E.AGAIN): J.WAITING,
    (J.FETCHING, E.FAIL): J.FAILED,
    (J.STAGED, E.PLANNED): J.STAGED,
    (J.STAGED, E.PUBLISHED): J.DELIVERED,
    (J.STAGED, E.DONE): J.FETCHING,  # staging was lost: fetch again
    (J.STAGED, E.AGAIN): J.WAITING,
    (J.STAGED, E.FAIL): J.FAILED,
    **{(state, E.RESTART): J.WAITING for state in JobState if state not in (J.DELIVERED, J.FAILED)},
}
F, V = FileState, FileEvent
FILE_MOVES: dict[tuple[FileState, FileEvent], FileState] = {
    (F.SETTLING, V.BEGIN): F.ACCEPTED,
    (F.ACCEPTED, V.BEGIN): F.WORKING,
    (F.ACCEPTED, V.HOLD): F.HELD,
    (F.ACCEPTED, V.PUBLISHED): F.DELIVERED,
    (F.ACCEPTED, V.SKIP): F.DELIVERED,
    (F.ACCEPTED, V.FAIL): F.FAILED,
    (F.ACCEPTED, V.RESTART): F.ACCEPTED,
    (F.WORKING, V.PUBLISHED): F.DELIVERED,
    (F.WORKING, V.HOLD): F.HELD,
    (F.WORKING, V.FAIL): F.FAILED,
    (F.WORKING, V.RESTART): F.ACCEPTED,
    (F.HELD, V.BEGIN): F.WORKING,
    (F.HELD, V.HOLD): F.HELD,
    (F.HELD, V.PUBLISHED): F.DELIVERED,
    (F.HELD, V.FAIL): F.FAILED,
    (F.HELD, V.RESTART): F.ACCEPTED,
    (F.DELIVERED, V.DISPOSED): F.ARCHIVED,
}
UNFINISHED = (FileState.ACCEPTED, FileState.WORKING, FileState.HELD)
IN_FLIGHT = (JobState.SUBMITTING, JobState.SUBMITTED, JobState.RUNNING)


class IllegalMove(AssertionError):
    """A move that is not in the tables: a fault of the program, never of the user."""


@dataclass(slots=True)
class Step:
    """A decision in the making: the work as it will be, the changes to record first, the effects
    to do after they are recorded, and those to do later if nothing else happens."""

    work: Work
    changes: list[Change] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    timers: list[tuple[float, Effect]] = field(default_factory=list)  # (wall time, effect)

    def job(self, job_id: int) -> JobRecord:
        """The job as it stands now in this step."""
        return next(job for job in self.work.jobs if job.id == job_id)

    def move_job(
        self, job: JobRecord, event: JobEvent, now: float, note: str = "", **new: Any
    ) -> None:
        """Move one job and record it."""
        try:
            state = JOB_MOVES[job.state, event]
        except KeyError:
            raise IllegalMove(f"job {job.label}: {event} in state {job.state}") from None
        after = job._replace(state=state, changed_at=now, version=job.version + 1, **new)
        self.changes.append(SaveJob(job, after, (Note(now, event, note),)))
        jobs = tuple(after if other.id == job.id else other for other in self.work.jobs)
        self.work = Work(self.work.file, jobs)

    def move_file(self, event: FileEvent, now: float, note: str = "", **new: Any) -> None:
        """Move the file and record it."""
        file = self.work.file
        try:
            state = FILE_MOVES[file.state, event]
        except KeyError:
            raise IllegalMove(f"file {file.path}: {event} in state {file.state}") from None
        self.save_file(now, event, note, state=state, **new)

    def save_job(
        self, job: JobRecord, now: float, event: str = "", note: str = "", **new: Any
    ) -> None:
        """Change fields of a job without a move, and record it: with the change before, where that
        was the same job's. Without an ``event`` its history says nothing of it."""
        last = self.changes[-1] if self.changes else None
        if isinstance(last, SaveJob) and last.after is job:
            after = job._replace(changed_at=now, **new)
            both = (*last.notes, Note(now, event, note))
            self.changes[-1] = SaveJob(last.before, after, both)
        else:
            after = job._replace(changed_at=now, version=job.version + 1, **new)
            notes = (Note(now, event, note),) if event else ()
            self.changes.append(SaveJob(job, after, notes))
        jobs = tuple(after if other.id == job.id else other for other in self.work.jobs)
        self.work = Work(self.work.file, jobs)

    def save_file(self, now: float, event: str, note: str = "", **new: Any) -> None:
        """Change fields of the file without (or with a checked) move, and record it."""
        file = self.work.file
        after = file._replace(changed_at=now, version=file.version + 1, **new)
        self.changes.append(SaveFile(file, after, (Note(now, event, note),)))
        self.work = Work(after, self.work.jobs)


def accept(
    asset: Asset,
    rule: Rule,
    ids: Sequence[int],
    *,
    arrival: int,
    now: float,
    digest: str = "",
    holder: int = 0,
) -> Step:
    """A settled asset becomes a file with its jobs. ``ids``: one for the file, one for each job."""
    file = FileRecord(
        id=ids[0],
        folder=asset.folder,
        path=asset.path,
        arrival=arrival,
        state=FILE_MOVES[FileState.SETTLING, FileEvent.BEGIN],
        rule=rule.name,
        print=asset.print,
        digest=digest,
        holder=holder,
        parts=asset.parts,
        priority=rule.priority,
        warnings=asset.warnings,
        params=asset.params,
        accepted_at=now,
        changed_at=now,
    )
    jobs = tuple(
        JobRecord(
            id=job_id,
            file_id=file.id,
            index=index,
            label=spec.label,
            scheduler="" if spec.process == PASS else spec.scheduler,
            state=JobState.WAITING,
            changed_at=now,
        )
        for index, (job_id, spec) in enumerate(zip(ids[1:], rule.jobs, strict=True))
    )
    work = Work(file, jobs)
    return Step(work, [NewFile(file, jobs, (Note(now, "accepted", rule.name),))])


def spec_of(rule: Rule, job: JobRecord) -> JobSpec:
    """The rule's words on a job."""
    return rule.jobs[job.index]


def start(work: Work, job: JobRecord, rule: Rule, *, key: str, now: float) -> Step:
    """A slot is free: begin one waiting job. A pass job needs no record to begin with, since
    copying into emptied staging can be repeated."""
    step = Step(work)
    if spec_of(rule, job).process == PASS:
        step.effects.append(Copy(work.file, job))
        return step
    begin(step, now)
    step.move_job(job, JobEvent.START, now, key=key, remote="", submitted_at=now, next_at=0.0)
    step.effects.append(
        Submit(step.work.file, step.job(job.id), fed=feeder(step.work, spec_of(rule, job)))
    )
    return step


def clean(work: Work, jobs: tuple[JobRecord, ...], *, cancel: bool = False) -> Clean:
    """Free what these jobs of this arrival left."""
    return Clean(work.file.folder, work.file.arrival, jobs, cancel=cancel)


def begin(step: Step, now: float) -> None:
    """The first job begins, and the file with it."""
    if step.work.file.state in (FileState.ACCEPTED, FileState.HELD):
        step.move_file(FileEvent.BEGIN, now, reason="", next_at=0.0, attempt=0)


def again(step: Step, job: JobRecord, now: float, *, reason: str, at: float, counts: bool) -> None:
    """This attempt is void: wait for the next one, under a new key."""
    if job.remote:
        step.effects.append(clean(step.work, (job,), cancel=True))
    step.move_job(
        job, JobEvent.AGAIN, now, reason,
        error=reason, next_at=at, attempt=job.attempt + counts, key="", remote="", outputs=(),
        progress=None, step="",
    )  # fmt: skip


def fail(step: Step, now: float, *, reason: str, job: JobRecord | None = None) -> None:
    """The file fails for good: every open job with it, and nothing of it is published.

    The source's place in the failed folder is part of the record before it is moved.
    """
    label = f"{job.label}: {reason}" if job is not None and len(step.work.jobs) > 1 else reason
    for other in step.work.jobs:
        if (other.state, JobEvent.FAIL) in JOB_MOVES:
            own = job is None or other.id == job.id
            text = reason if own else "given up: another job of this file failed"
            step.move_job(other, JobEvent.FAIL, now, text, error=text)
    step.effects.append(clean(step.work, step.work.jobs, cancel=True))
    path = step.work.file.path
    step.move_file(FileEvent.FAIL, now, label, reason=label, disposal=path, attempt=0, next_at=0.0)
    step.effects.append(Quarantine(step.work.file, ""))


def restart(work: Work, asset: Asset, now: float, *, why: str) -> Step:
    """The file in work was replaced by new content: void what is under way and begin anew."""
    step = Step(work)
    step.effects.append(clean(work, work.jobs, cancel=True))
    for job in work.jobs:
        step.move_job(
            job, JobEvent.RESTART, now, why,
            key="", remote="", attempt=0, next_at=0.0, progress=None, step="", error="",
            outputs=(), warnings=(), result=None,
        )  # fmt: skip
    step.move_file(
        FileEvent.RESTART, now, why,
        arrival=work.file.arrival + 1, print=asset.print, parts=asset.parts, digest="",
        warnings=asset.warnings, params=asset.params, reason="", attempt=0, next_at=0.0,
        accepted_at=now,
    )  # fmt: skip
    return step


def finish(step: Step, folder: Folder, rule: Rule, now: float) -> None:
    """All outputs are published: the file is delivered, and its source is due."""
    for job in step.work.jobs:
        step.move_job(job, JobEvent.PUBLISHED, now, error="")
    if not _left_nothing(step.work, rule):
        step.effects.append(clean(step.work, step.work.jobs))
    _source_due(step, FileEvent.PUBLISHED, folder, now, "")


def _left_nothing(work: Work, rule: Rule) -> bool:
    """Whether the only thing that was staged has its final name now."""
    alone = len(work.jobs) == 1 and stands_alone(rule, 0)
    return alone and all(one.target for one in work.jobs[0].outputs)


def skip(step: Step, folder: Folder, now: float, why: str) -> None:
    """An unchanged content came again and is not wanted twice: its source is due at once."""
    for job in step.work.jobs:
        step.move_job(job, JobEvent.SKIP, now)
    _source_due(step, FileEvent.SKIP, folder, now, why)


def _source_due(step: Step, event: FileEvent, folder: Folder, now: float, reason: str) -> None:
    keep = folder.done == "keep"
    step.move_file(
        event, now, reason,
        reason=reason, attempt=0, next_at=0.0, disposed=keep,
        disposal="" if keep else step.work.file.path,
    )  # fmt: skip
    if not keep:
        step.effects.append(Dispose(step.work.file))


def feeder(work: Work, spec: JobSpec) -> JobRecord | None:
    """The job whose outputs are another one's input; None where the file itself is."""
    return None if spec.after is None else work.jobs[spec.after]


def ready(work: Work, spec: JobSpec) -> bool:
    """Whether what a job is about is there: the file, or the outputs of the job before it."""
    fed = feeder(work, spec)
    return fed is None or fed.state is JobState.STAGED


def recover(work: Work, rule: Rule | None = None) -> list[Effect]:
    """What to do at once for a record found after a crash; the table of the module's theory.

    Waiting jobs are started by the engine when a slot is free; submitted and running ones are
    asked for by its next poll; a file whose jobs are all staged is planned by it anew.
    """
    file = work.file
    if file.state is FileState.DELIVERED:
        return [Dispose(file)]
    if file.state is FileState.FAILED:
        return [Quarantine(file, "")]
    effects: list[Effect] = []
    for job in work.jobs:
        if job.state is JobState.SUBMITTING:
            fed = feeder(work, spec_of(rule, job)) if rule is not None else None
            effects.append(Submit(file, job, resumed=True, fed=fed))
        elif job.state is JobState.FETCHING:
            effects.append(Fetch(file, job))
    return effects


def all_staged(work: Work) -> bool:
    """Whether every job's outputs lie in staging."""
    return all(job.state is JobState.STAGED for job in work.jobs)
