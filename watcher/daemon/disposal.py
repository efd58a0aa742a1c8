"""What becomes of sources: archived, deleted, put aside as failed, brought back.

Imports ``core`` and ``world``. Invariant: an asset moves as one: its parts keep their places beside
the main file, and a folder keeps all that is in it below one name.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from watcher.core import bundles
from watcher.core.effects import Clash, Dispose, Done, Quarantine, Result, Return
from watcher.core.model import FileRecord
from watcher.core.settings import Folder
from watcher.core.templates import suffixed
from watcher.daemon.world import World
from watcher.errors import FileChanged, FileError, FileGone, TargetExists

ERROR_SUFFIX = ".error.txt"


def dispose(world: World, effect: Dispose) -> Result:
    """Archive or delete a delivered source and the parts that only it needs."""
    file = effect.file
    folder = world.folder(file.folder, file.id)
    if isinstance(folder.done, Path):
        result = _move(world, folder, file, folder.done)
        if isinstance(result, Done):
            _move_parts(world, folder, file, effect.parts, folder.done)
        return result
    world.files.remove(folder.input, file.path, file.print)
    for part in file.parts:
        if part.path in effect.parts:
            world.files.remove(folder.input, part.path, part.print)
    _tidy(world, folder, file)
    return Done()


def quarantine(world: World, effect: Quarantine) -> Result:
    """Put a failed source into the failed folder, beside the text that says why."""
    file = effect.file
    folder = world.folder(file.folder, file.id)
    try:
        result = _move(world, folder, file, folder.failed)
    except (FileGone, FileChanged):
        result = Done("its source is gone or was replaced")
    if isinstance(result, Done):
        text = effect.text.encode("utf-8", "backslashreplace")
        world.files.write(folder.failed, _note(world, file, file.disposal), text)
        _move_parts(world, folder, file, effect.parts, folder.failed)
    return result


def forgive(world: World, folder: Folder, file: FileRecord) -> None:
    """A file that failed before, was moved back and is delivered now leaves no reason behind."""
    with suppress(FileError):
        note = _note(world, file, file.path)
        facts = world.files.look(folder.failed, note)
        if facts is not None and world.files.look(folder.failed, file.path) is None:
            world.files.remove(folder.failed, note, facts.fingerprint)


def bring_back(world: World, effect: Return) -> Result:
    """Move a failed asset back into its input, and its reason away."""
    file = effect.file
    folder = world.folder(file.folder, file.id)
    world.files.archive(folder.failed, file.disposal, file.print, folder.input, file.path)
    for part in file.parts:
        with suppress(FileError):
            place = _place(world, file, part.path)
            world.files.archive(folder.failed, place, part.print, folder.input, part.path)
    with suppress(FileError):
        note = _note(world, file, file.disposal)
        facts = world.files.look(folder.failed, note)
        if facts is not None:
            world.files.remove(folder.failed, note, facts.fingerprint)
    if _is_folder(world, file):
        with suppress(FileError):
            world.files.prune(folder.failed, bundles.top(file.disposal))
    return Done()


def _move(world: World, folder: Folder, file: FileRecord, into: Path) -> Result:
    try:
        world.files.archive(folder.input, file.path, file.print, into, file.disposal)
    except TargetExists:
        return Clash(file.disposal, _free(world, file, into))
    return Done()


def _free(world: World, file: FileRecord, into: Path) -> str:
    """A free name for the main file; a folder gets one for the whole of it."""
    if not _is_folder(world, file):
        return world.files.free_name(into, file.disposal)
    top, _, rest = file.path.partition("/")
    return f"{world.files.free_name(into, top)}/{rest}"


def _move_parts(
    world: World, folder: Folder, file: FileRecord, parts: tuple[str, ...], into: Path
) -> None:
    """Parts follow their main file under their own names; one that cannot is left in place."""
    for part in file.parts:
        if part.path not in parts:
            continue
        with suppress(FileError):
            free = world.files.free_name(into, _place(world, file, part.path))
            world.files.archive(folder.input, part.path, part.print, into, free)
    _tidy(world, folder, file)


def _place(world: World, file: FileRecord, path: str) -> str:
    """Where a part stands beside its main file, in the archive or failed folder."""
    if not _is_folder(world, file) or bundles.top(path) != bundles.top(file.path):
        return path
    return f"{bundles.top(file.disposal)}/{path.partition('/')[2]}"


def _tidy(world: World, folder: Folder, file: FileRecord) -> None:
    """A folder that was dropped goes as one: what is empty of it is removed."""
    if _is_folder(world, file):
        with suppress(FileError):
            world.files.prune(folder.input, bundles.top(file.path))


def _note(world: World, file: FileRecord, place: str) -> str:
    """The name of the text that says why: beside the file, or beside the folder as a whole."""
    whole = bundles.top(place) if _is_folder(world, file) else place
    return suffixed(whole, ERROR_SUFFIX)


def _is_folder(world: World, file: FileRecord) -> bool:
    try:
        return bundles.kind(world.rule(file)) == "folder"
    except StopIteration:  # the rule is no longer configured
        return False
