"""Waiting for an operator or for time, with an effect that is tried again by itself.

Imports ``effects``, ``lifecycle``, ``model``, ``pacing``, ``reports``. Invariant: what waits costs
no attempt of a job, and is done for the records as they stand when its time comes.
"""

from __future__ import annotations

from dataclasses import replace

from watcher.core import pacing
from watcher.core.effects import (
    Copy,
    Dispose,
    Effect,
    Fetch,
    PassOn,
    Publish,
    Quarantine,
    Submit,
)
from watcher.core.lifecycle import UNFINISHED, FileEvent, Step
from watcher.core.model import FileState, Work
from watcher.core.reports import Context
from watcher.errors import WatcherError


def hold(step: Step, effect: Effect, error: WatcherError, context: Context) -> None:
    """Wait for an operator or for time; the effect is tried again by itself."""
    file = step.work.file
    tries = file.attempt + 1
    longest = pacing.SLOWEST_HELD if file.state in UNFINISHED else pacing.SLOWEST_TRANSIENT
    at = pacing.transient(tries, now=context.now, spread=context.spread, longest=longest)
    if file.state in UNFINISHED:
        step.move_file(
            FileEvent.HOLD, context.now, str(error), reason=str(error), attempt=tries, next_at=at
        )
    else:
        reason = file.reason if file.state is FileState.FAILED else str(error)
        step.save_file(context.now, "waiting", str(error), reason=reason, attempt=tries, next_at=at)
    step.timers.append((at, renewed(effect, step.work)))


def renewed(effect: Effect, work: Work) -> Effect:
    """The same effect for the records as they stand now."""
    if isinstance(effect, Submit | Copy | Fetch | PassOn):
        job = next(job for job in work.jobs if job.id == effect.job.id)
        fresh = replace(effect, file=work.file, job=job)
        return replace(fresh, resumed=True) if isinstance(fresh, Submit) else fresh
    if isinstance(effect, Publish):
        return replace(effect, file=work.file, resumed=True)
    return replace(effect, file=work.file) if isinstance(effect, Dispose | Quarantine) else effect
