"""Copies into staging and final names: for one file, or for many of one folder in one go.

Imports ``core`` and its neighbours ``disposal``, ``receipts``, ``sending``, ``world``. Invariant:
what happens on our side of a file (staging, output) is told apart from what happens at its source,
and an error of one file is no other's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from watcher.core import bundles
from watcher.core.effects import (
    Clash,
    Copy,
    Done,
    Passed,
    PassOn,
    Place,
    Publish,
    Result,
    Staged,
    Wrong,
)
from watcher.core.model import Fetched, FileRecord, JobRecord, printable
from watcher.core.ports import Lone, Placement
from watcher.core.settings import Folder, stands_alone
from watcher.daemon import receipts
from watcher.daemon.disposal import forgive
from watcher.daemon.sending import staging_of, token, unchanged
from watcher.daemon.world import World
from watcher.errors import FileError, NoSpace, TargetExists, WatcherError


class OnOurSide(Exception):
    """An error on our side of the file."""

    def __init__(self, error: WatcherError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def our_side() -> Iterator[None]:
    """A block on our side of the file."""
    try:
        yield
    except FileError as error:
        raise OnOurSide(error) from error


def wrong(error: WatcherError) -> Wrong:
    """The result of an error; a full disk is ours wherever it shows."""
    return Wrong(error, ours=isinstance(error, NoSpace))


# ---------------------------------------------------------------- staging
def emptied(world: World, folder: Folder, file: FileRecord, job: JobRecord) -> Path:
    """An empty staging folder for a job."""
    with our_side():
        name = token(file.id, job.id, file.arrival)
        return world.files.staging(folder.output, world.home(folder), name)


def copy(world: World, effect: Copy) -> Result:
    """Stage the file itself, and its parts where the rule takes them along."""
    file, rule = effect.file, world.rule(effect.file)
    if stands_alone(rule, effect.job.index):
        return copy_each(world, [effect])[0]
    folder, stage = world.folder(file.folder, file.id), world.files.stage_copy
    unchanged(world, folder, file)
    sent = [part for part in file.parts if part.name and rule.bundle is not None]
    into = emptied(world, folder, file, effect.job)
    with our_side():
        size = file.print.size + sum(part.print.size for part in sent)
        _prove_room(world, folder, into, size)
    copied = stage(folder.input, file.path, into, bundles.within(rule, file.path, file.path))
    others = [stage(folder.input, part.path, into, part.name) for part in sent]
    unchanged(world, folder, file)
    return Staged((copied, *others), copied.digest)


def copy_each(world: World, effects: Sequence[Copy]) -> list[Result]:
    """Stage files of one folder whose jobs stand alone."""
    folder = world.folder(effects[0].file.folder, effects[0].file.id)
    return [
        wrong(answer) if isinstance(answer, FileError) else Staged((answer,), answer.digest)
        for answer in _copied(world, folder, effects)
    ]


def _copied(
    world: World, folder: Folder, effects: Sequence[Copy | PassOn]
) -> Sequence[Fetched | FileError]:
    lones = [
        Lone(token(file.id, one.job.id, file.arrival), folder.input, file.path, file.print)
        for one in effects
        for file in (one.file,)
    ]
    with our_side():
        return world.files.stage_lone(folder.output, world.home(folder), lones)


def pass_on(world: World, effect: PassOn) -> Result:
    """Stage the file itself and give it its final name."""
    return pass_each(world, [effect])[0]


def pass_each(world: World, effects: Sequence[PassOn]) -> list[Result]:
    """Stage files of one folder and give them their final names."""
    folder = world.folder(effects[0].file.folder, effects[0].file.id)
    home = staging_of(world, folder, effects[0].file, 0).parent  # any token: all lie in one folder
    copied = _copied(world, folder, effects)
    units = [
        [_placement(home, effect, effect.place, one)] if isinstance(one, Fetched) else []
        for effect, one in zip(effects, copied, strict=True)
    ]
    errors: Sequence[FileError | None]
    try:
        errors = world.files.publish_each(folder.output, units)
    except FileError as error:  # which names were given is not known
        errors = [error] * len(units)
    return [
        wrong(one) if isinstance(one, FileError) else _passed(one, error)
        for one, error in zip(copied, errors, strict=True)
    ]


def _placement(
    home: Path, effect: PassOn | Publish, place: Place, staged: Place | Fetched
) -> Placement:
    """What is staged for a place; ``staged`` tells its length and digest."""
    file = effect.file
    own = home / token(file.id, place.job_id, file.arrival)
    return Placement(
        staged=own if place.alone else own / place.name,
        target=place.target,
        size=staged.size,
        digest=staged.digest,
        replace=place.replace,
        resumed=effect.resumed,
    )


def _passed(copied: Fetched, error: FileError | None) -> Passed:
    """What is wrong with a name, publishing the staged copy will tell."""
    tried = error is not None and not isinstance(error, TargetExists)
    return Passed(copied, named=error is None, tried=tried)


def _prove_room(world: World, folder: Folder, into: Path, size: int) -> None:
    """A file that cannot fit is not begun: it would fill the disk that others still fit on."""
    free = world.files.space(into)
    if free < size:
        raise NoSpace(
            f"the disk of the output has {free >> 20} MiB free, and this file needs {size >> 20}",
            where=printable(str(folder.output)),
            fix="free some space; it goes on by itself",
        )


# ---------------------------------------------------------------- publish
def publish(world: World, effect: Publish) -> Result:
    """Give a file's outputs their final names."""
    return publish_each(world, [effect])[0]


def publish_each(world: World, effects: Sequence[Publish]) -> list[Result]:
    """Publish files of one folder."""
    folder = world.folder(effects[0].file.folder, effects[0].file.id)
    # any token: all of them lie in one folder
    staged = staging_of(world, folder, effects[0].file, 0).parent
    units = [[_placement(staged, effect, one, one) for one in effect.places] for effect in effects]
    clashes = [_taken(world, folder, unit) for unit in units]
    free = [[] if clash else unit for unit, clash in zip(units, clashes, strict=True)]
    answers = world.files.publish_each(folder.output, free)
    return [
        clash or _ended(world, folder, effect, answer)
        for effect, clash, answer in zip(effects, clashes, answers, strict=True)
    ]


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


def _ended(world: World, folder: Folder, effect: Publish, error: FileError | None) -> Result:
    """What follows the final names, in the same effect."""
    try:
        return _followed(world, folder, effect, error)
    except WatcherError as trouble:
        return wrong(trouble)


def _followed(world: World, folder: Folder, effect: Publish, error: FileError | None) -> Result:
    places = effect.places
    if isinstance(error, TargetExists):
        named = (place.target for place in places if printable(place.target) == error.where)
        taken = next(named, places[0].target)
        return Clash(taken, world.files.free_name(folder.output, taken))
    if error is not None:
        return wrong(error)
    receipts.write(world, folder, effect)
    if effect.file.arrival > 1:
        forgive(world, folder, effect.file)
    return Done()
