"""The private folder in which outputs wait for their final names.

Imports ``beneath``, ``faults``, ``rename`` and the model. Invariant: staging and output can be
joined by one rename; where they cannot, staging is a hidden folder inside the output.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from watcher.adapters.files.beneath import (
    CREATE,
    Held,
    open_file,
    open_folder,
    open_root,
    split,
    step,
)
from watcher.adapters.files.faults import Told
from watcher.adapters.files.rename import clear, copy_all
from watcher.core.model import Fetched, printable
from watcher.errors import FileGone, OutsideRoot

INSIDE_STATE = "staging"
INSIDE_OUTPUT = ".watcher-staging"


def staging(output: Path, state: Path, token: str) -> Path:
    """See ``Files.staging``."""
    place = staged(output, state, token)
    with Held(home(place)) as folder, Told(token):
        clear_tree(folder, token)
        os.mkdir(token, 0o700, dir_fd=folder)
    return place


def home(place: Path) -> int:
    """A descriptor of the folder that holds a place that ``staged`` gave, made when missing."""
    name = place.parent.name
    with Held(open_root(place.parent.parent)) as root, Told(name):
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=root)
        return step(root, name, [name])


def staged(output: Path, state: Path, token: str) -> Path:
    """See ``Files.staged``."""
    _prove_token(token)
    with Held(open_root(output)) as target, Held(open_root(state)) as ours, Told(token):
        near = joined(ours, target, token)
    return (state / INSIDE_STATE if near else output / INSIDE_OUTPUT) / token


def _prove_token(token: str) -> None:
    if len(split(token)) != 1:
        raise OutsideRoot("a staging token is one name", where=printable(token))


def joined(one: int, other: int, name: str) -> bool:
    """Whether a file can be renamed from one open folder to the other.

    Asked by renaming what does not exist: besides other devices, this tells bind mounts of one
    disk apart (containers, sandboxed units), which ``st_dev`` does not. rename(2): EXDEV.
    """
    if os.fstat(one).st_dev != os.fstat(other).st_dev:
        return False
    absent = f".watcher-probe-{name}"[:200]
    try:
        os.rename(absent, absent, src_dir_fd=one, dst_dir_fd=other)
    except OSError as error:
        return error.errno != errno.EXDEV
    return True


def discard(output: Path, state: Path, token: str) -> None:
    """See ``Files.discard``. Looks in both places: the mounts may have changed since."""
    _prove_token(token)
    for root, name in ((state, INSIDE_STATE), (output, INSIDE_OUTPUT)):
        with Held(open_root(root)) as home, Told(token):
            _discard(home, name, token)


def leftovers(output: Path, state: Path) -> tuple[str, ...]:
    """See ``Files.leftovers``."""
    found: list[str] = []
    for root, name in ((state, INSIDE_STATE), (output, INSIDE_OUTPUT)):
        with Held(open_root(root)) as home, Told(name), suppress(FileGone):
            found.extend(_names(step(home, name, [name])))
    return tuple(found)


def _names(folder: int) -> list[str]:
    with Held(folder):
        return os.listdir(folder)


def adopt(seats: Path, mine: str, living: Sequence[str]) -> None:
    """See ``Files.adopt``.

    A folder is renamed first, which ends its owner's reach: ``<dead>`` to ``<mine>.<dead>``. What
    a crash left so named has no living first word and is taken over the same way.
    """
    with Held(open_root(seats.parent)) as output, Told(seats.name):
        try:
            home = step(output, seats.name, [seats.name])
        except FileGone:
            return
        with Held(home):
            for name in _names(os.dup(home)):
                if name.partition(".")[0] not in {mine, *living}:
                    os.rename(name, f"{mine}.{name}", src_dir_fd=home, dst_dir_fd=home)
            for name in _names(os.dup(home)):
                if name.startswith(f"{mine}."):
                    _merge(home, name, mine)


def _merge(home: int, name: str, mine: str) -> None:
    """Move the tokens of one seat folder into another; what both have is the latter's."""
    with Held(_made(os.dup(home), [mine, INSIDE_STATE])) as target, suppress(FileGone):
        with Held(step(home, name, [name])) as folder:
            inner = step(folder, INSIDE_STATE, [name, INSIDE_STATE])
        with Held(inner):
            for token in _names(os.dup(inner)):
                _carried(inner, target, token)
    clear_tree(home, name)


def _carried(source: int, target: int, token: str) -> None:
    try:
        os.rename(token, token, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
            raise


def _discard(home: int, name: str, token: str) -> None:
    try:
        folder = step(home, name, [name])
    except FileGone:
        return
    with Held(folder):
        clear_tree(folder, token)
    if name == INSIDE_OUTPUT:
        # others may be staging there
        with suppress(OSError):
            os.rmdir(name, dir_fd=home)


def clear_tree(folder: int, name: str) -> None:
    """Remove a file or a tree without following links; fine when there is none."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=folder)
    except FileNotFoundError:
        return


def stage_copy(root: Path, path: str, into: Path, name: str) -> Fetched:
    """See ``Files.stage_copy``."""
    names, parts = split(path), split(name)
    with Held(open_folder(root, names[:-1])) as folder:
        source = open_file(folder, names[-1], path)
    with Held(source), Held(_made(open_root(into), parts[:-1])) as target, Told(path):
        try:
            with Held(os.open(parts[-1], CREATE, 0o666, dir_fd=target)) as fd:
                size, digest = copy_all(source, fd)
        except FileExistsError:
            raise
        except OSError:
            clear(target, parts[-1])
            raise
    return Fetched(name, size, digest)


def _made(fd: int, names: list[str]) -> int:
    """A descriptor of a folder below an open one, which is closed; made when missing. Nothing of
    staging is durable yet."""
    for depth, name in enumerate(names):
        with Held(fd), Told("/".join(names)):
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=fd)
            fd = step(fd, name, names[: depth + 1])
    return fd
