"""Performs effects: each is one call that composes the ports and says what came of it.

Imports ``core`` and its neighbours ``sending``, ``disposal`` and ``world``. Invariant: no decision
and no record is made here; every error of the tree comes back as ``Wrong``; anything else is a
fault of the program and is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from watcher.core import bundles
from watcher.core.effects import (
    Clash,
    Clean,
    Copy,
    Dispose,
    Done,
    Effect,
    Fetch,
    Identify,
    Publish,
    Quarantine,
    Result,
    Return,
    Staged,
    Submit,
    Wrong,
)
from watcher.core.model import FileRecord, JobRecord, printable
from watcher.core.ports import Placement
from watcher.core.settings import Folder
from watcher.daemon.disposal import bring_back, dispose, forgive, quarantine
from watcher.daemon.sending import staging_of, submit, token, unchanged
from watcher.daemon.world import World
from watcher.errors import FileError, NoSpace, TargetExists, WatcherError


class _OnOurSide(Exception):  # a carrier inside this module
    def __init__(self, error: WatcherError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def _our_side() -> Iterator[None]:
    try:
        yield
    except FileError as error:
        raise _OnOurSide(error) from error


def perform(world: World, effect: Effect) -> Result:
    """Do one effect and say what came of it."""
    try:
        return _PERFORM[type(effect)](world, effect)
    except _OnOurSide as carried:
        return Wrong(carried.error, ours=True)
    except WatcherError as error:
        return Wrong(error, ours=isinstance(error, NoSpace))


# ---------------------------------------------------------------- staging
def file_of(name: str) -> int | None:
    """The file that a staging folder belongs to, None when the name is not one of ours."""
    words = name.split("-")
    try:
        return int(words[0], 16) if len(words) == 3 else None  # noqa: PLR2004  (as ``token``)
    except ValueError:
        return None


def _emptied(world: World, folder: Folder, file: FileRecord, job: JobRecord) -> Path:
    with _our_side():
        name = token(file.id, job.id, file.arrival)
        return world.files.staging(folder.output, world.home(folder), name)


def _copy(world: World, effect: Copy) -> Result:
    file = effect.file
    folder = world.folder(file.folder, file.id)
    unchanged(world, folder, file)
    rule, copy = world.rule(file), world.files.stage_copy
    sent = [part for part in file.parts if part.name and rule.bundle is not None]
    into = _emptied(world, folder, file, effect.job)
    with _our_side():
        size = file.print.size + sum(part.print.size for part in sent)
        _prove_room(world, folder, into, size)
    copied = copy(folder.input, file.path, into, bundles.within(rule, file.path, file.path))
    others = [copy(folder.input, part.path, into, part.name) for part in sent]
    unchanged(world, folder, file)
    return Staged((copied, *others), copied.digest)


def _prove_room(world: World, folder: Folder, into: Path, size: int) -> None:
    """A file that cannot fit is not begun: it would fill the disk that others still fit on."""
    free = world.files.space(into)
    if free < size:
        raise NoSpace(
            f"the disk of the output has {free >> 20} MiB free, and this file needs {size >> 20}",
            where=printable(str(folder.output)),
            fix="free some space; it goes on by itself",
        )


def _fetch(world: World, effect: Fetch) -> Result:
    folder = world.folder(effect.file.folder, effect.file.id)
    into = _emptied(world, folder, effect.file, effect.job)
    return Staged(world.backends[effect.job.scheduler].fetch(effect.job.remote, into))


# ---------------------------------------------------------------- publish
def _publish(world: World, effect: Publish) -> Result:
    folder = world.folder(effect.file.folder, effect.file.id)
    places = effect.places
    placements = [
        Placement(
            staged=staging_of(world, folder, effect.file, place.job_id) / place.name,
            target=place.target,
            size=place.size,
            digest=place.digest,
            replace=place.replace,
            resumed=effect.resumed,
        )
        for place in places
    ]
    clash = _taken(world, folder, placements)
    if clash is not None:
        return clash
    try:
        world.files.publish(folder.output, placements)
    except TargetExists as error:
        named = (place.target for place in places if printable(place.target) == error.where)
        taken = next(named, places[0].target)
        return Clash(taken, world.files.free_name(folder.output, taken))
    for target, text in effect.receipts:
        world.files.write(folder.output, target, text.encode())
    if effect.file.arrival > 1:
        forgive(world, folder, effect.file)
    return Done()


def _taken(world: World, folder: Folder, placements: Sequence[Placement]) -> Clash | None:
    """The first of several names that is taken, found before any of them is given: a file that
    fails for it has published nothing."""
    for one in placements if len(placements) > 1 else ():
        free = one.target if one.replace else world.files.free_name(folder.output, one.target)
        if free != one.target and not (one.resumed and _there(world, folder, one)):
            return Clash(one.target, free)
    return None


def _there(world: World, folder: Folder, one: Placement) -> bool:
    """Whether an earlier try has published this very content."""
    with suppress(FileError):
        return world.files.digest(folder.output, one.target) == one.digest
    return False


def _identify(world: World, effect: Identify) -> Result:
    folder = world.folder(effect.file.folder, effect.file.id)
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
    Copy: _copy,
    Fetch: _fetch,
    Publish: _publish,
    Dispose: dispose,
    Quarantine: quarantine,
    Identify: _identify,
    Return: bring_back,
    Clean: _clean,
}
