"""Performs effects: each is one call that composes the ports and says what came of it.

Imports ``core`` and ``content``. Invariant: no decision and no record is made here; every error of
the tree comes back as ``Wrong``; anything else is a fault of the program and is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from watcher.content import Hashing
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
    Sent,
    Staged,
    Submit,
    Unsure,
    Wrong,
)
from watcher.core.epochs import Epoch, settings_of
from watcher.core.model import FileRecord, Fingerprint, JobRecord, Phase, printable
from watcher.core.params import effective, spoken
from watcher.core.ports import Backend, Files, JobRequest, Placement, Source
from watcher.core.settings import Folder, Rule, Settings
from watcher.core.templates import suffixed
from watcher.errors import FileChanged, FileError, FileGone, NoSpace, TargetExists, WatcherError

ERROR_SUFFIX = ".error.txt"


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


@dataclass(frozen=True, slots=True)
class World:
    """All that effects act on."""

    settings: Settings
    backends: Mapping[str, Backend]
    files: Files
    former: Sequence[Epoch] = ()

    def folder(self, name: str, file_id: int) -> Folder:
        """A folder by its name, as a file was accepted under it."""
        settings = settings_of(self.settings, self.former, file_id)
        return next(folder for folder in settings.folders if folder.name == name)

    def rule(self, file: FileRecord) -> Rule:
        """The rule that took a file."""
        rules = self.folder(file.folder, file.id).rules
        return next(rule for rule in rules if rule.name == file.rule)


def perform(world: World, effect: Effect) -> Result:
    """Do one effect and say what came of it."""
    try:
        return _PERFORM[type(effect)](world, effect)
    except _OnOurSide as carried:
        return Wrong(carried.error, ours=True)
    except WatcherError as error:
        return Wrong(error, ours=isinstance(error, NoSpace))


# ---------------------------------------------------------------- submit
def _submit(world: World, effect: Submit) -> Result:
    file, job = effect.file, effect.job
    backend = world.backends[job.scheduler]
    if effect.resumed:
        told = backend.status([job.key]).get(job.key)
        if told is not None:
            return Unsure() if told.phase is Phase.UNSEEN else Sent(job.key)
    folder, rule = world.folder(file.folder, file.id), world.rule(file)
    spec = rule.jobs[job.index]
    _unchanged(world, folder, file)
    readers: list[Hashing] = []
    request = JobRequest(
        key=job.key,
        name=_job_name(file),
        process=spec.process,
        script=spec.script,
        command=spec.command,
        values=spoken(rule, spec, file) | {"here": str(world.settings.source.parent)},
        at=file.accepted_at,
        entrypoint=spec.entrypoint,
        params=effective(rule, spec, file),
        sources=_sources(world, folder, file, readers),
        queue=spec.queue,
        time_limit=spec.time_limit,
        priority=file.priority,
    )
    sent = backend.submit(request)
    try:
        _unchanged(world, folder, file)
    except FileError:
        with suppress(WatcherError):
            backend.cancel(sent.remote)
        raise
    return Sent(sent.remote, readers[0].hexdigest() if readers else "")


def _job_name(file: FileRecord) -> str:
    return printable(f"{file.folder}/{file.path}")[-200:]


def _sources(
    world: World, folder: Folder, file: FileRecord, readers: list[Hashing]
) -> tuple[Source, ...]:
    def main() -> Hashing:
        reader = Hashing(world.files.open(folder.input, file.path))
        readers[:] = [reader]  # a repeated reading counts alone
        return reader

    def opener(path: str) -> Callable[[], Hashing]:
        return lambda: Hashing(world.files.open(folder.input, path))

    own = PurePosixPath(file.path).name
    parts = (Source(part.name, part.print.size, opener(part.path)) for part in file.parts)
    return (Source(own, file.print.size, main), *parts)


def _unchanged(world: World, folder: Folder, file: FileRecord) -> None:
    """Every file of the asset is the one that settled; else it settles anew."""
    _same(world, folder, file.path, file.print)
    for part in file.parts:
        _same(world, folder, part.path, part.print)


def _same(world: World, folder: Folder, path: str, expect: Fingerprint) -> None:
    facts = world.files.look(folder.input, path)
    if facts is None:
        world.files.identity(folder.input)  # a missing root is offline, not a missing file
        raise FileGone("the file is gone", where=printable(path))
    if facts.fingerprint != expect:
        raise FileChanged("it changed while it was read; it settles anew", where=printable(path))


# ---------------------------------------------------------------- staging
def token(file_id: int, job_id: int, arrival: int) -> str:
    """The name of a job's staging folder; a file that starts over never meets its past life's."""
    return f"{file_id:x}-{job_id:x}-{arrival}"


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
        return world.files.staging(folder.output, world.settings.state, name)


def _copy(world: World, effect: Copy) -> Result:
    file = effect.file
    folder = world.folder(file.folder, file.id)
    _same(world, folder, file.path, file.print)
    into = _emptied(world, folder, file, effect.job)
    with _our_side():
        _prove_room(world, folder, into, file.print.size)
    copied = world.files.stage_copy(folder.input, file.path, into, PurePosixPath(file.path).name)
    _same(world, folder, file.path, file.print)
    return Staged((copied,), copied.digest)


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
            staged=_staged_path(world, folder, effect.file, place.job_id) / place.name,
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
        _forgive(world, folder, effect.file)
    return Done()


def _forgive(world: World, folder: Folder, file: FileRecord) -> None:
    """A file that failed before, was moved back and is delivered now leaves no reason behind."""
    with suppress(FileError):
        note = suffixed(file.path, ERROR_SUFFIX)
        facts = world.files.look(folder.failed, note)
        if facts is not None and world.files.look(folder.failed, file.path) is None:
            world.files.remove(folder.failed, note, facts.fingerprint)


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


def _staged_path(world: World, folder: Folder, file: FileRecord, job_id: int) -> Path:
    return world.files.staged(
        folder.output, world.settings.state, token(file.id, job_id, file.arrival)
    )


# ---------------------------------------------------------------- the source
def _dispose(world: World, effect: Dispose) -> Result:
    file = effect.file
    folder = world.folder(file.folder, file.id)
    if isinstance(folder.done, Path):
        result = _move(world, folder, file, folder.done)
        _move_parts(world, folder, file, effect.parts, folder.done)
        return result
    world.files.remove(folder.input, file.path, file.print)
    for part in file.parts:
        if part.path in effect.parts:
            world.files.remove(folder.input, part.path, part.print)
    return Done()


def _quarantine(world: World, effect: Quarantine) -> Result:
    file = effect.file
    folder = world.folder(file.folder, file.id)
    try:
        result = _move(world, folder, file, folder.failed)
    except (FileGone, FileChanged):
        result = Done("its source is gone or was replaced")
    if isinstance(result, Done):
        target = suffixed(file.disposal, ERROR_SUFFIX)
        world.files.write(folder.failed, target, effect.text.encode("utf-8", "backslashreplace"))
        _move_parts(world, folder, file, effect.parts, folder.failed)
    return result


def _move(world: World, folder: Folder, file: FileRecord, into: Path) -> Result:
    try:
        world.files.archive(folder.input, file.path, file.print, into, file.disposal)
    except TargetExists:
        return Clash(file.disposal, world.files.free_name(into, file.disposal))
    return Done()


def _move_parts(
    world: World, folder: Folder, file: FileRecord, parts: tuple[str, ...], into: Path
) -> None:
    """Parts follow their main file under their own names; one that cannot is left in place."""
    for part in file.parts:
        if part.path not in parts:
            continue
        with suppress(FileError):
            free = world.files.free_name(into, part.path)
            world.files.archive(folder.input, part.path, part.print, into, free)


def _identify(world: World, effect: Identify) -> Result:
    folder = world.folder(effect.file.folder, effect.file.id)
    return Done(world.files.digest(folder.input, effect.file.path))


def _return(world: World, effect: Return) -> Result:
    file = effect.file
    folder = world.folder(file.folder, file.id)
    world.files.archive(folder.failed, file.disposal, file.print, folder.input, file.path)
    for part in file.parts:
        with suppress(FileError):
            world.files.archive(folder.failed, part.path, part.print, folder.input, part.path)
    with suppress(FileError):
        note = suffixed(file.disposal, ERROR_SUFFIX)
        facts = world.files.look(folder.failed, note)
        if facts is not None:
            world.files.remove(folder.failed, note, facts.fingerprint)
    return Done()


def _clean(world: World, effect: Clean) -> Result:
    for job in effect.jobs:
        folder = world.folder(effect.folder, job.file_id)
        with suppress(WatcherError):
            world.files.discard(
                folder.output, world.settings.state, token(job.file_id, job.id, effect.arrival)
            )
        for remote in {job.remote, job.key} - {""}:  # sent, or perhaps sent
            backend = world.backends[job.scheduler]
            with suppress(WatcherError):
                if effect.cancel:
                    backend.cancel(remote)
                backend.forget(remote)
    return Done()


_PERFORM: dict[type[Effect], Callable[..., Result]] = {
    Submit: _submit,
    Copy: _copy,
    Fetch: _fetch,
    Publish: _publish,
    Dispose: _dispose,
    Quarantine: _quarantine,
    Identify: _identify,
    Return: _return,
    Clean: _clean,
}
