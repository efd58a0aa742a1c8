"""Sends jobs: the request with its sources, proved unchanged before and after they were read.

Imports ``content``, ``core`` and ``world``. Invariant: a job whose sources changed while they were
read is void.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from watcher.content import Hashing
from watcher.core import bundles, globs
from watcher.core.effects import Result, Sent, Submit, Unsure
from watcher.core.model import FileRecord, Fingerprint, JobRecord, Phase, printable
from watcher.core.params import effective, spoken
from watcher.core.ports import JobRequest, Reads, Source
from watcher.core.settings import Folder, Rule
from watcher.daemon.archives import chosen
from watcher.daemon.world import World
from watcher.errors import (
    FileChanged,
    FileError,
    FileGone,
    FolderOffline,
    Refused,
    WatcherError,
)


def submit(world: World, effect: Submit) -> Result:
    """Send a job, unless its scheduler has it already."""
    file, job = effect.file, effect.job
    backend = world.backends[job.scheduler]
    if effect.resumed:
        told = backend.status([job.key]).get(job.key)
        if told is not None:
            return Unsure() if told.phase is Phase.UNSEEN else Sent(job.key)
    folder, rule = world.folder(file.folder, file.id), world.rule(file)
    spec = rule.jobs[job.index]
    readers: list[Hashing] = []
    if effect.fed is None:
        unchanged(world, folder, file)
        sources = _sources(world, rule, file, readers)
    else:
        sources = _outputs_of(world, file, effect.fed, spec.take)
    request = JobRequest(
        key=job.key,
        name=_job_name(rule, file),
        process=spec.process,
        script=spec.script,
        command=spec.command,
        values=spoken(rule, spec, file) | {"here": str(world.settings.source.parent)},
        at=file.accepted_at,
        entrypoint=spec.entrypoint,
        params=effective(rule, spec, file),
        sources=sources,
        root_file="" if effect.fed else root_in_archive(world, folder, rule, file),
        queue=spec.queue,
        time_limit=spec.time_limit,
        priority=file.priority,
    )
    sent = backend.submit(request)
    try:
        if effect.fed is None:
            unchanged(world, folder, file)
    except FolderOffline:
        # nothing is known against it: when the folder is back, its scan tells of new content. To
        # cancel would be worse, since the next try under this key would find a revoked job
        pass
    except FileError:
        with suppress(WatcherError):
            backend.cancel(sent.remote)
        raise
    return Sent(sent.remote, readers[0].hexdigest() if readers else "")


def _job_name(rule: Rule, file: FileRecord) -> str:
    return printable(f"{file.folder}/{bundles.title(rule, file.path)}")[-200:]


def _sources(
    world: World, rule: Rule, file: FileRecord, readers: list[Hashing]
) -> tuple[Source, ...]:
    folder = world.folder(file.folder, file.id)

    def main() -> Hashing:
        reader = Hashing(world.files.open(folder.input, file.path))
        readers[:] = [reader]  # a repeated reading counts alone
        return reader

    def opener(path: str) -> Callable[[], Hashing]:
        return lambda: Hashing(world.files.open(folder.input, path))

    own = bundles.within(rule, file.path, file.path)
    sent = (part for part in file.parts if part.name)
    parts = (Source(part.name, part.print.size, opener(part.path)) for part in sent)
    return (Source(own, file.print.size, main), *parts)


def _outputs_of(world: World, file: FileRecord, fed: JobRecord, take: str) -> tuple[Source, ...]:
    """The staged outputs of another job, the main one first.

    Raises:
        Refused: there is none, or none that ``take`` asks for.
        FileGone: staging was lost.
    """
    folder = world.folder(file.folder, file.id)
    place = staging_of(world, folder, file, fed.id)
    fits = [one for one in fed.outputs if not take or globs.matches(take, one.name)]
    if not fits:
        wanted = f" that matches take: {take!r}" if take else ""
        raise Refused(f"job {fed.label} made no output{wanted}")
    main = min(fits, key=lambda one: (bundles.likely(one.name) or len(bundles.MAINS) + 1, one.name))
    ordered = (main, *(one for one in fed.outputs if one is not main))

    def opener(name: str) -> Callable[[], Reads]:
        return lambda: world.files.open(place, name)

    for one in ordered:
        if world.files.look(place, one.name) is None:
            raise FileGone("staging was lost", where=one.name)
    return tuple(Source(one.name, one.size, opener(one.name)) for one in ordered)


def staging_of(world: World, folder: Folder, file: FileRecord, job_id: int) -> Path:
    """Where the outputs of a job are staged."""
    name = token(file.id, job_id, file.arrival)
    return world.files.staged(folder.output, world.home(folder), name)


def token(file_id: int, job_id: int, arrival: int) -> str:
    """The name of a job's staging folder; a file that starts over never meets its past life's."""
    return f"{file_id:x}-{job_id:x}-{arrival}"


def root_in_archive(world: World, folder: Folder, rule: Rule, file: FileRecord) -> str:
    """The name, inside an archive that was dropped, of the file that a job is about; empty where
    the rule chooses none. Raises ``Refused`` when no file in the archive matches."""
    if not rule.root_file or rule.bundle is not None:
        return ""
    with world.files.open(folder.input, file.path) as stream:
        return chosen(file.path, stream, rule.root_file)


def unchanged(world: World, folder: Folder, file: FileRecord) -> None:
    """Prove that every file of the asset is the one that settled; else it settles anew."""
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
