"""Performs effects: each is one call that composes the ports and says what came of it.

Imports ``core`` and its neighbours ``delivering``, ``sending``, ``disposal`` and ``world``.
Invariant: no decision and no record is made here; every error of the tree comes back as ``Wrong``;
anything else is a fault of the program and is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress

from watcher.core.effects import (
    Clean,
    Copy,
    Dispose,
    Done,
    Effect,
    Fetch,
    Identify,
    Outcome,
    PassOn,
    Publish,
    Quarantine,
    Result,
    Return,
    Staged,
    Submit,
    Wrong,
)
from watcher.core.settings import stands_alone
from watcher.daemon.delivering import (
    OnOurSide,
    copy,
    copy_each,
    emptied,
    pass_each,
    pass_on,
    publish,
    publish_each,
    wrong,
)
from watcher.daemon.disposal import bring_back, dispose, quarantine
from watcher.daemon.sending import submit, token, unchanged
from watcher.daemon.world import World
from watcher.errors import FileError, WatcherError


def perform(world: World, effect: Effect) -> Result:
    """Do one effect and say what came of it."""
    try:
        return _PERFORM[type(effect)](world, effect)
    except OnOurSide as carried:
        return Wrong(carried.error, ours=True)
    except WatcherError as error:
        return wrong(error)


def perform_all(world: World, effects: Sequence[Effect]) -> list[Outcome]:
    """Do many effects, together what can be done so, and say what came of each."""
    units: dict[Hashable, list[Effect]] = {}
    for effect in effects:
        units.setdefault(_together(world, effect), []).append(effect)
    return [outcome for unit in units.values() for outcome in _performed(world, unit)]


def _together(world: World, effect: Effect) -> Hashable:
    """Effects of one answer are done in one go."""
    if isinstance(effect, Copy):
        rule = world.rule(effect.file)
        if not stands_alone(rule, effect.job.index):
            return id(effect)
    elif not isinstance(effect, Publish | PassOn):
        return id(effect)
    return type(effect), id(world.folder(effect.file.folder, effect.file.id))


def _performed(world: World, unit: list[Effect]) -> list[Outcome]:
    if len(unit) == 1:
        return [Outcome(unit[0], perform(world, unit[0]))]
    try:
        results = _TOGETHER[type(unit[0])](world, unit)
    except OnOurSide as carried:
        return [Outcome(effect, Wrong(carried.error, ours=True)) for effect in unit]
    except WatcherError as error:
        return [Outcome(effect, wrong(error)) for effect in unit]
    return [Outcome(effect, result) for effect, result in zip(unit, results, strict=True)]


# ---------------------------------------------------------------- staging
def file_of(name: str) -> int | None:
    """The file that a staging folder belongs to, None when the name is not one of ours."""
    words = name.split("-")
    try:
        return int(words[0], 16) if len(words) == 3 else None  # noqa: PLR2004  (as ``token``)
    except ValueError:
        return None


def _fetch(world: World, effect: Fetch) -> Result:
    folder = world.folder(effect.file.folder, effect.file.id)
    into = emptied(world, folder, effect.file, effect.job)
    try:
        return Staged(world.backends[effect.job.scheduler].fetch(effect.job.remote, into))
    except FileError as error:  # a scheduler's own troubles are of another class
        raise OnOurSide(error) from error


def _identify(world: World, effect: Identify) -> Result:
    folder = world.folder(effect.file.folder, effect.file.id)
    if not effect.read:
        unchanged(world, folder, effect.file)
        return Done()
    return Done(world.files.digest(folder.input, effect.file.path))


def _clean(world: World, effect: Clean) -> Result:
    for job in effect.jobs:
        folder = world.folder(effect.folder, job.file_id)
        with suppress(WatcherError):
            world.files.discard(
                folder.output, world.home(folder), token(job.file_id, job.id, effect.arrival)
            )
        for remote in {job.remote, job.key} - {""}:  # sent, or perhaps sent
            backend = world.backends[job.scheduler]
            with suppress(WatcherError):
                if effect.cancel:
                    backend.cancel(remote)
                backend.forget(remote)
    return Done()


_PERFORM: dict[type[Effect], Callable[..., Result]] = {
    Submit: submit,
    Copy: copy,
    PassOn: pass_on,
    Fetch: _fetch,
    Publish: publish,
    Dispose: dispose,
    Quarantine: quarantine,
    Identify: _identify,
    Return: bring_back,
    Clean: _clean,
}
_TOGETHER: dict[type[Effect], Callable[..., list[Result]]] = {
    Copy: copy_each,
    PassOn: pass_each,
    Publish: publish_each,
}
