"""Giving final names, so that a power cut at any point leaves whole files or none.

Imports ``beneath``, ``faults``, ``rename``, the content digest and the ports. Invariant: a name
appears only for content that was fsynced before, and when a call returns the names are durable
too: the folders it touched were fsynced, the parents of new ones included.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Self

from watcher import content
from watcher.adapters.files.beneath import (
    CREATE,
    READ,
    Held,
    facts_at,
    open_file,
    open_root,
    prove_regular,
    seen,
    split,
    step,
)
from watcher.adapters.files.faults import Told, fault, shown
from watcher.adapters.files.rename import (
    Rename,
    begin_writing,
    clear,
    copy_beside,
    part_name,
    rename_new,
    sync_folder,
)
from watcher.core.model import printable
from watcher.core.ports import Placement
from watcher.core.templates import numbered
from watcher.errors import FileChanged, FileError, FileGone, TargetExists

_HELD_AT_MOST = 64  # descriptors; enough for a batch in one tree
_AT_CWD = -100  # AT_FDCWD of fcntl.h: the name is an absolute path


class Folders:
    """The folders that one call gives names in: opened once, made when missing, fsynced at the
    end of the block, whether it succeeds or not, since a name may have been given before a fault.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[tuple[str, ...], int] = {}
        self._touched: set[tuple[str, ...]] = set()
        self._fault: FileError | None = None

    def __enter__(self) -> Self:
        """Open the root. Raises ``FolderOffline``."""
        self._open[()] = open_root(self._root)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Fsync what was touched, close everything."""
        try:
            if error is None:
                self.sync()
            elif isinstance(error, FileError):
                # a failed fsync must not hide the first fault
                with suppress(FileError):
                    self.sync()
        finally:
            for fd in self._open.values():
                os.close(fd)
            self._open.clear()

    def at(self, names: list[str], target: str) -> int:
        """A descriptor of a folder below the root that will be touched; lives until ``at`` is
        called again. Raises ``TargetExists`` when a file stands where a folder is needed,
        ``OutsideRoot`` when a link does.
        """
        if len(self._open) > _HELD_AT_MOST:
            self._renew()
        path: tuple[str, ...] = ()
        fd = self._open[path]
        for name in names:
            below = (*path, name)
            if below not in self._open:
                self._open[below] = self._enter(fd, below, target)
            path, fd = below, self._open[below]
        self._touched.add(path)
        return fd

    def _enter(self, folder: int, below: tuple[str, ...], target: str) -> int:
        try:
            os.mkdir(below[-1], dir_fd=folder)
        except FileExistsError:
            return _existing(folder, below, target)
        self._touched.add(below[:-1])
        return step(folder, below[-1], list(below))

    def _renew(self) -> None:
        with suppress(FileError):  # the last fsync tells of it
            self.sync()
        root = self._open.pop(())
        for fd in self._open.values():
            os.close(fd)
        self._open = {(): root}

    def sync(self) -> None:
        """Fsync what was touched since the last time. Raises the first fault there ever was."""
        touched, self._touched = self._touched, set()
        # parents first: a durable file in a folder that is not would be lost with it
        for path in sorted(touched, key=len):
            try:
                with Told("/".join(path) or shown(self._root)):
                    sync_folder(self._open[path])
            except FileError as error:
                self._fault = self._fault or error
        if self._fault is not None:
            raise self._fault


def _existing(folder: int, below: tuple[str, ...], target: str) -> int:
    try:
        return step(folder, below[-1], list(below))
    except FileGone as error:
        raise TargetExists(
            f"a file stands where the folder {printable('/'.join(below))} is needed",
            where=printable(target),
            fix="move it away",
        ) from error


class Publisher:
    """Publishing with the process's umask and the kernel's rename."""

    def __init__(self, rename: Rename | None, umask: int) -> None:
        self._rename = rename
        self._mode = 0o666 & ~umask

    def publish(self, output: Path, placements: Sequence[Placement]) -> None:
        """See ``Files.publish``."""
        (error,) = self.publish_each(output, [placements])
        if error is not None:
            raise error

    def publish_each(
        self, output: Path, units: Sequence[Sequence[Placement]]
    ) -> list[FileError | None]:
        """See ``Files.publish_each``."""
        with Folders(output) as folders:
            # all contents first: then names follow each other closely, and none is ahead
            ready = iter(self._harden(list(chain.from_iterable(units))))
            answers = [
                self._placed(folders, unit, list(islice(ready, len(unit)))) for unit in units
            ]
            try:
                folders.sync()
            except FileError as error:  # which names are durable is not known
                return [answer or error for answer in answers]
        return answers

    def _placed(
        self, folders: Folders, unit: Sequence[Placement], ready: Sequence[bool | FileError]
    ) -> FileError | None:
        try:
            for one in ready:
                if isinstance(one, FileError):
                    return one
            for placement, present in zip(unit, ready, strict=True):
                with Told(placement.target):
                    self._place(folders, placement, present=present is True)
        except FileError as error:
            return error
        return None

    def _harden(self, placements: Sequence[Placement]) -> list[bool | FileError]:
        """Prove the staged lengths, set the modes, fsync: for each true, or false when an earlier
        try has moved it, or what is wrong.

        Writing begins for many before the first is waited for, so that one commit of the file
        system's journal carries all of them.
        """
        found: list[bool | FileError] = []
        for start in range(0, len(placements), _HELD_AT_MOST):
            some = [self._opened(one) for one in placements[start : start + _HELD_AT_MOST]]
            for fd in some:
                if isinstance(fd, int):
                    begin_writing(fd)
            found += [
                _synced(fd, one.staged) if isinstance(fd, int) else fd or False
                for fd, one in zip(some, placements[start:], strict=False)
            ]
        return found

    def _opened(self, placement: Placement) -> int | FileError | None:
        """The staged file, proved and with its mode; None when an earlier try has moved it."""
        try:
            fd = os.open(placement.staged, READ)
        except FileNotFoundError:
            return None if placement.resumed else _gone(placement)
        except OSError as error:
            return fault(error, shown(placement.staged))
        try:
            with Told(shown(placement.staged)):
                self._prove(fd, placement)
        except FileError as error:
            os.close(fd)
            return error
        return fd

    def _prove(self, fd: int, placement: Placement) -> None:
        where = shown(placement.staged)
        found = os.fstat(fd)
        prove_regular(found, where)
        if found.st_size != placement.size:
            raise FileChanged(
                f"the staged file has {found.st_size} bytes instead of {placement.size}",
                where=where,
                fix="it will be fetched again",
            )
        if stat.S_IMODE(found.st_mode) != self._mode:
            os.fchmod(fd, self._mode)

    def _place(self, folders: Folders, placement: Placement, *, present: bool) -> None:
        *names, name = split(placement.target)
        folder = folders.at(names, placement.target)
        there = facts_at(folder, name)
        if there and placement.resumed and _equal(folder, name, there, placement):
            if present:
                placement.staged.unlink(missing_ok=True)
            return
        if not present:
            raise _gone(placement)
        if there and not (placement.replace and stat.S_ISREG(there.st_mode)):
            raise taken(placement.target)
        self._name(placement.staged, folder, name, replace=placement.replace)

    def _name(self, staged: Path, folder: int, name: str, *, replace: bool) -> None:
        try:
            self._move((_AT_CWD, os.fspath(staged)), (folder, name), replace=replace)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._carry(staged, folder, name, replace=replace)

    def _carry(self, staged: Path, folder: int, name: str, *, replace: bool) -> None:
        """Another file system is mounted below the output: copy beside the target first."""
        with Held(os.open(staged, READ)) as source:
            part = copy_beside(source, folder, name)[0]
        try:
            self._move((folder, part), (folder, name), replace=replace)
        except OSError:
            clear(folder, part)
            raise
        staged.unlink()

    def _move(self, source: tuple[int, str], target: tuple[int, str], *, replace: bool) -> None:
        if replace:
            os.rename(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0])
        else:
            rename_new(self._rename, source, target)

    def write(self, root: Path, target: str, body: bytes, *, replace: bool) -> None:
        """See ``Files.write``."""
        *names, name = split(target)
        with Folders(root) as folders, Told(target):
            folder = folders.at(names, target)
            there = facts_at(folder, name)
            if there and not (replace and stat.S_ISREG(there.st_mode)):
                raise taken(target)
            part = part_name(name)
            clear(folder, part)
            try:
                _put(folder, part, body)
                self._move((folder, part), (folder, name), replace=replace)
            except OSError:
                clear(folder, part)
                raise


def _synced(fd: int, staged: Path) -> bool | FileError:
    """Fsync and close."""
    try:
        with Held(fd), Told(shown(staged)):
            os.fsync(fd)
    except FileError as error:
        return error
    return True


def _put(folder: int, name: str, body: bytes) -> None:
    """A new durable file."""
    with Held(os.open(name, CREATE, 0o666, dir_fd=folder)) as fd:
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)


def _equal(folder: int, name: str, there: os.stat_result, placement: Placement) -> bool:
    """Whether the target already holds what is to be published."""
    if not stat.S_ISREG(there.st_mode) or there.st_size != placement.size:
        return False
    with os.fdopen(open_file(folder, name, placement.target), "rb", buffering=0) as stream:
        return content.digest(stream) == placement.digest


def _gone(placement: Placement) -> FileGone:
    return FileGone(
        "the staged file is gone", where=shown(placement.staged), fix="it will be fetched again"
    )


def taken(target: str) -> TargetExists:
    """The error for a name that is not free."""
    return TargetExists(
        "something else stands under this name", where=printable(target), fix="move it away"
    )


def free_name(root: Path, target: str) -> str:
    """See ``Files.free_name``."""
    split(target)
    number, free = 1, target
    while seen(root, free) is not None:
        number += 1
        free = numbered(target, number)
    return free
