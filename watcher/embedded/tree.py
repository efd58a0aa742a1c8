"""Trees of files: listed, brought elsewhere, made durable, deleted.

Imports the standard library, ``watcher.content``, ``core.model`` and ``watcher.errors``. Invariant:
no link is followed where that is not said.
"""
# strings: with small files, pathlib costs more than the calls themselves
# ruff: noqa: PTH103, PTH106, PTH108, PTH114, PTH120, PTH123, PTH208

from __future__ import annotations

import os
import stat
from pathlib import Path

from watcher import content
from watcher.core.model import Fetched
from watcher.errors import JobLost


def bring(source: Path, into: Path, name: str) -> Fetched:
    """Put an output below ``into``: a hard link where the file system can, else a copy."""
    target = into / name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        with source.open("rb") as stream, target.open("xb") as copy:
            return Fetched(name, *content.copy(stream, copy))
    with target.open("rb") as stream:
        return Fetched(name, *content.copy(stream, None))


def bring_made(source: Path, into: Path, made: Fetched) -> Fetched:
    """As ``bring``, of an output whose content is known. Raises ``JobLost``: it is another."""
    path, target = f"{source}/{made.name}", f"{into}/{made.name}"
    if "/" in made.name:
        os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError:  # another file system, or one without links
        whole = bring(Path(path), into, made.name) == made
    else:
        found = os.lstat(target)
        whole = stat.S_ISREG(found.st_mode) and found.st_size == made.size
    if not whole:
        raise JobLost("an output is not what the job made", where=made.name)
    return made


def listed(top: str) -> list[tuple[str, int, str]] | None:
    """Name, size and digest of every output below a folder; None where one is no regular file."""
    found: list[tuple[str, int, str]] = []
    for folder, below, names in os.walk(top):
        if any(os.path.islink(f"{folder}/{name}") for name in below):
            return None
        for name in sorted(names):
            path = f"{folder}/{name}"
            facts = os.lstat(path)
            if not stat.S_ISREG(facts.st_mode):
                return None
            chunk = min(content.CHUNK, facts.st_size + 1)
            with open(path, "rb", buffering=0) as stream:
                size, digest = content.copy(stream, None, chunk)
            found.append((os.path.relpath(path, top), size, digest))
    return found


def clear(path: str) -> None:
    """Remove what is there, if anything is; an empty folder may stay. Raises ``OSError``."""
    try:
        if os.listdir(path):
            delete(path)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(path)


def delete(path: str) -> None:
    """Remove a file or a tree without following links. Raises ``OSError``."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
        return
    with os.scandir(path) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            delete(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(path)


def sync_all(top: Path) -> None:
    """Every regular file and folder below: else a power cut could leave a job that succeeded with
    empty outputs, and they would be delivered."""
    for place, _, names in os.walk(top):
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                sync(path)
        sync(Path(place))


def sync(path: Path) -> None:
    """One file or folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
