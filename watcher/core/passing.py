"""A file that is delivered as it is: copied and named in one go, under a name recorded before.

Imports ``delivery``, ``effects``, ``lifecycle``, ``model``, ``settings``. Invariant: the final name
is recorded before the effect begins, so that after a crash the content under it is known again.

Half of the work on a small file would be the record of its copy, between one effect and the next;
here a copy that comes to its name leaves none. What does not go so smoothly (the name is taken, the
file was here before, its name holds its hash) goes the general way: staged, planned, published.
"""

from __future__ import annotations

from watcher.core.delivery import Planned, plan
from watcher.core.effects import PassOn
from watcher.core.lifecycle import Step
from watcher.core.model import FileRecord, JobRecord, Output, Work
from watcher.core.settings import Rule, stands_alone


def begin(work: Work, job: JobRecord, rule: Rule, now: float) -> Step | None:
    """Begin a job that may be done in one go; None when it goes the general way."""
    if not _may(rule, work.file):
        return None
    resumed = bool(job.outputs)
    name = work.file.path.rpartition("/")[2]
    named = job if resumed else job._replace(outputs=(Output(name, work.file.print.size, ""),))
    planned = plan(Work(work.file, (named,)), rule, {})
    if not isinstance(planned, Planned):
        return None
    step = Step(work)
    if not resumed:
        step.save_job(job, now, outputs=planned.outputs[0])
    (place,) = planned.places
    step.effects.append(PassOn(step.work.file, step.work.jobs[0], place, resumed=resumed))
    return step


def _may(rule: Rule, file: FileRecord) -> bool:
    """Whether nothing about the name depends on the content or on who owns it."""
    lone = len(rule.jobs) == 1 and stands_alone(rule, 0) and rule.jobs[0].keep
    return lone and file.arrival == 1 and not rule.receipt and "{hash" not in (rule.deliver or "")
