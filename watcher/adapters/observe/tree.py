"""The folders of a tree, found without reading those that have none below them.

Imports watchdog and ``mounts``. Invariant: a folder is given before what lies in it is
read, so that whoever watches it at once misses no folder that is made meanwhile.

Where the file system counts them, a folder has as many links as folders in it, and two more: so one
that has two need not be read, however many files lie in it (fts(3) spares its readings so as well).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from watchdog.observers.inotify import InotifyEmitter, InotifyObserver, InotifyWatchGroup

from watcher.adapters.observe.mounts import file_system

COUNTED = frozenset({"ext2", "ext3", "ext4", "xfs", "tmpfs", "f2fs"})
CHILDLESS = 2  # links: its name in the folder above, and its own dot


def counts(root: bytes) -> bool:
    """Whether the file system of a folder counts the folders in each."""
    return file_system(Path(os.fsdecode(root))) in COUNTED


def count_folders(root: Path, *, enough: int) -> int:
    """How many folders lie at and below a root, links not followed; stops at ``enough``."""
    place = os.fsencode(root)
    return sum(1 for _ in islice(folders(place, counted=counts(place)), enough))


def folders(root: bytes, *, counted: bool) -> Iterator[bytes]:
    """A folder and all below it, links not followed; ``counted``: see the module. What cannot be
    read is taken for empty."""
    waiting, device = [root], 0
    while waiting:
        folder = waiting.pop()
        yield folder
        found = _facts(folder) if counted else None
        device = device or (found.st_dev if found else 0)
        # a mount below may be of a kind that does not count
        if found is None or found.st_dev != device or found.st_nlink != CHILDLESS:
            waiting += _within(folder)


def _facts(folder: bytes) -> os.stat_result | None:
    """None for what is no folder, or gone."""
    with suppress(OSError):
        found = os.lstat(folder)
        return found if stat.S_ISDIR(found.st_mode) else None
    return None


def _within(folder: bytes) -> list[bytes]:
    try:
        with os.scandir(folder) as found:
            return [one.path for one in found if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []


class Observer(InotifyObserver):
    """watchdog's own, which finds the folders to be watched by ``folders``."""

    def __init__(self) -> None:
        super().__init__()
        self._emitter_class = _Emitter


class _Emitter(InotifyEmitter):
    def on_thread_start(self) -> None:
        self._inotify = _Group(
            self._inotify_fd,
            os.fsencode(self.watch.path),
            is_recursive=self.watch.is_recursive,
            event_mask=self.get_event_mask_from_filter(),
        )


class _Group(InotifyWatchGroup):
    def __post_init__(self) -> None:
        self._counted = counts(self.path)
        super().__post_init__()

    def _add_all_callbacks(self, path: bytes) -> None:
        if not self.is_recursive:
            self._add_callback(path)
            return
        for folder in folders(path, counted=self._counted):
            self._add_callback(folder)
