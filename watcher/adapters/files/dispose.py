"""What becomes of a source when its work is done: moved away, or deleted.

Imports ``beneath``, ``faults``, ``publish``, ``rename``, the content digest and the model.
Invariant: only the file that was worked on is touched, nothing is replaced, and at every moment
its content stands whole under at least one name, until ``remove`` is asked to delete it.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watcher import content
from watcher.adapters.files.beneath import (
    Held,
    facts_at,
    open_file,
    open_folder,
    prove_regular,
    seen,
    split,
)
from watcher.adapters.files.faults import Told
from watcher.adapters.files.publish import Folders, taken
from watcher.adapters.files.rename import (
    Rename,
    clear,
    copy_beside,
    part_name,
    rename_new,
    sync_folder,
)
from watcher.core.model import Fingerprint, printable
from watcher.errors import FileChanged, FileGone

_COARSEST_NS = 2_000_000_000  # FAT keeps times in steps of two seconds


@dataclass(frozen=True, slots=True)
class _Spot:
    """A name in an open folder, and the path that people know it by."""

    folder: int
    name: str
    path: str

    @property
    def place(self) -> tuple[int, str]:
        return self.folder, self.name

    def facts(self) -> os.stat_result | None:
        return facts_at(self.folder, self.name)


def _verified(spot: _Spot, expect: Fingerprint) -> os.stat_result | None:
    """The facts of the source if it is the expected one; None when it is gone."""
    found = spot.facts()
    if found is None:
        return None
    prove_regular(found, spot.path)
    if _print(found) != expect:
        raise _changed(spot.path)
    return found


def _print(found: os.stat_result) -> Fingerprint:
    return Fingerprint(found.st_size, found.st_mtime_ns)


def _changed(path: str, more: str = "") -> FileChanged:
    return FileChanged(
        f"the file was replaced or changed after it was worked on{more}", where=printable(path)
    )


class Archivist:
    """Moving sources with the kernel's rename."""

    def __init__(self, rename: Rename | None) -> None:
        self._rename = rename

    def archive(self, root: Path, path: str, expect: Fingerprint, into: Path, target: str) -> None:
        """See ``Files.archive``."""
        *names, name = split(path)
        try:
            folder = open_folder(root, names)
        except FileGone:
            _prove_archived(into, target, path, expect)
            return
        with Held(folder), Told(path):
            source = _Spot(folder, name, path)
            self._recall(source)
            found = _verified(source, expect)
            if found is None:
                _prove_archived(into, target, path, expect)
            else:
                self._away(source, found, into, target)
            sync_folder(folder)

    def remove(self, root: Path, path: str, expect: Fingerprint) -> None:
        """See ``Files.remove``."""
        *names, name = split(path)
        try:
            folder = open_folder(root, names)
        except FileGone:
            return
        with Held(folder), Told(path):
            spot = _Spot(folder, name, path)
            self._finish(spot, expect)
            found = _verified(spot, expect)
            if found is not None:
                self._drop(spot, found)
            sync_folder(folder)

    def _drop(self, source: _Spot, found: os.stat_result) -> None:
        """Unlink this very file, and never one that takes its name at the same moment: it goes
        under a hidden name first, is looked at there, and comes back if it is another."""
        aside = _aside(source)
        try:
            rename_new(self._rename, source.place, aside.place)
        except FileNotFoundError:
            return
        moved = aside.facts()
        if moved is None or not _is_same(moved, found):
            self._put_back(source, aside)
            raise _changed(source.path)
        clear(*aside.place)

    def _put_back(self, source: _Spot, aside: _Spot) -> None:
        with suppress(FileExistsError):  # then a still newer version stands there already
            rename_new(self._rename, aside.place, source.place)
        clear(*aside.place)

    def _recall(self, source: _Spot) -> None:
        """What a ``_drop`` that died has left under the hidden name comes back, to be judged like
        any other: it may be a newer file than the one that was archived."""
        aside = _aside(source)
        if aside.facts() is not None:
            self._put_back(source, aside)

    def _finish(self, source: _Spot, expect: Fingerprint) -> None:
        """What a ``_drop`` that died has left under the hidden name: unlinked, or put back."""
        aside = _aside(source)
        left = aside.facts()
        if left is not None and _print(left) != expect:
            self._put_back(source, aside)
        clear(*aside.place)

    def _away(self, source: _Spot, found: os.stat_result, into: Path, target: str) -> None:
        *names, name = split(target)
        with Folders(into) as folders, Told(target):
            goal = _Spot(folders.at(names, target), name, target)
            there = goal.facts()
            if there is None:
                carried = self._move(source, found, goal)
            elif _same_content(source, found, goal, there):
                carried = True
            else:
                raise taken(target)
        # only now is the target's name durable
        if carried:
            self._drop(source, found)

    def _move(self, source: _Spot, found: os.stat_result, goal: _Spot) -> bool:
        """Give the source its new name. True: it was copied, and the source is still there."""
        try:
            rename_new(self._rename, source.place, goal.place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._carry(source, found, goal)
            return True
        moved = goal.facts()
        if moved is None or not _is_same(moved, found):
            self._undo(source, goal)
        return False

    def _undo(self, source: _Spot, goal: _Spot) -> None:
        """Another file was moved, since it took the name in between: put it back."""
        try:
            rename_new(self._rename, goal.place, source.place)
        except OSError as error:
            more = f"; a version of it stands in {printable(goal.path)}"
            raise _changed(source.path, more) from error
        raise _changed(source.path)

    def _carry(self, source: _Spot, found: os.stat_result, goal: _Spot) -> None:
        """Copy to another file system; the name appears when the copy is whole and durable."""
        with Held(open_file(source.folder, source.name, source.path)) as fd:
            if not _is_same(os.fstat(fd), found):
                raise _changed(source.path)
            part, size, digest = copy_beside(fd, goal.folder, goal.name)
            unchanged = size == found.st_size and _is_same(os.fstat(fd), found)
        try:
            _prove_copied(source, unchanged=unchanged and _digest(goal, part) == digest)
            rename_new(self._rename, (goal.folder, part), goal.place)
        except BaseException:
            clear(goal.folder, part)
            raise


def _prove_copied(source: _Spot, *, unchanged: bool) -> None:
    if not unchanged:
        raise _changed(source.path)


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """The same file with the same content, as far as ``stat`` can tell."""
    return (one.st_dev, one.st_ino, *_pair(one)) == (other.st_dev, other.st_ino, *_pair(other))


def _pair(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _aside(source: _Spot) -> _Spot:
    """The hidden name under which a file waits for its end."""
    name = part_name(source.name).removesuffix(".part") + ".gone"
    return _Spot(source.folder, name, source.path)


def _same_content(source: _Spot, found: os.stat_result, goal: _Spot, there: os.stat_result) -> bool:
    """Whether an earlier try brought this file there and died before it unlinked the source."""
    if not _alike(there, _print(found)):
        return False
    if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino):
        return True
    return _digest(source, source.name) == _digest(goal, goal.name)


def _alike(found: os.stat_result, expect: Fingerprint) -> bool:
    """A regular file of this length and time, which a coarser file system may have rounded."""
    if not stat.S_ISREG(found.st_mode) or found.st_size != expect.size:
        return False
    return abs(found.st_mtime_ns - expect.mtime_ns) <= _COARSEST_NS


def _digest(spot: _Spot, name: str) -> str:
    with os.fdopen(open_file(spot.folder, name, spot.path), "rb", buffering=0) as stream:
        return content.digest(stream)


def _prove_archived(into: Path, target: str, path: str, expect: Fingerprint) -> None:
    """The source is gone: fine if the target holds it. Makes the target's name durable."""
    found = seen(into, target)
    if found is None or not _alike(found, expect):
        raise FileGone("it is neither in its folder nor in the archive", where=printable(path))
    with Held(open_folder(into, split(target)[:-1])) as folder, Told(target):
        sync_folder(folder)


def prune(root: Path, directory: str) -> None:
    """See ``Files.prune``. Only rmdir(2) is asked, which takes nothing but empty folders."""
    names = split(directory)
    try:
        parent = open_folder(root, names[:-1])
    except FileGone:
        return
    with Held(parent), Told(directory):
        for _, folders, _, at in os.fwalk(names[-1], topdown=False, dir_fd=parent):
            for name in folders:
                with suppress(OSError):
                    os.rmdir(name, dir_fd=at)
        with suppress(OSError):
            os.rmdir(names[-1], dir_fd=parent)
