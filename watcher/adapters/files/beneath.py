"""Opening what lies below a root, component by component, so that no link leads out.

Imports ``faults``, ``watcher.errors`` and the name printer only. Invariant: below a root every
name is resolved by itself against an open folder with ``O_NOFOLLOW``; a link swapped in between
leads nowhere. The root itself may be reached through links. Descriptors are not kept between
calls: a kept one would hold a share busy and outlive a remount.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import IO

from watcher.adapters.files.faults import Told, fault, rights, root_fault
from watcher.core.model import printable
from watcher.errors import FileError, FileGone, NotRegular, OutsideRoot

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
FOLDER = _ROOT | os.O_NOFOLLOW
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOKS = 8  # at a folder that something else takes turns with
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class Held:
    """An open descriptor, closed at the end of its block."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> int:
        """The descriptor."""
        return self.fd

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        os.close(self.fd)


def split(path: str) -> list[str]:
    """The components of a relative path.

    Raises:
        OutsideRoot: it is absolute or empty, or has a component that no file can have.
    """
    names = path.split("/")
    if "" in names or ".." in names or "." in names or "\0" in path:
        raise OutsideRoot("not a plain path below its folder", where=printable(path))
    if not path.isascii():
        _prove_encodable(path)
    return names


def _prove_encodable(path: str) -> None:
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise OutsideRoot("a name that no file can have", where=printable(path)) from error


def open_root(root: Path) -> int:
    """A descriptor of a root folder. Raises ``FolderOffline`` when it is not there."""
    try:
        return os.open(root, _ROOT)
    except OSError as error:
        raise root_fault(error, root) from error


def open_folder(root: Path, names: list[str]) -> int:
    """A descriptor of the folder ``names`` below ``root``. Raises as ``step``."""
    fd = open_root(root)
    for depth, name in enumerate(names):
        try:
            below = step(fd, name, names[: depth + 1])
        finally:
            os.close(fd)
        fd = below
    return fd


def step(folder: int, name: str, path: list[str]) -> int:
    """A descriptor of the folder ``name`` in an open one; ``path`` is for the error.

    Raises:
        OutsideRoot: a link stands there.
        FileGone: nothing stands there, or no folder.
    """
    for _ in range(_LOOKS):
        try:
            return os.open(name, FOLDER, dir_fd=folder)
        except OSError as error:
            # Linux answers ENOTDIR, not ELOOP, for a link that is to be a folder: open(2)
            kind = _kind(folder, name) if error.errno == errno.ENOTDIR else 0
            if kind == stat.S_IFDIR:
                continue  # by now it is one: what stood there a moment ago proves nothing
            if kind == stat.S_IFLNK:
                error = OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            note = rights(name, folder=folder) if error.errno == errno.EACCES else ""
            raise fault(error, "/".join(path), note) from error
    # exchanged with something else all the time: whatever that is, it is not to be followed
    raise fault(OSError(errno.ELOOP, os.strerror(errno.ELOOP)), "/".join(path))


def _kind(folder: int, name: str) -> int:
    """What stands there, as the file type of ``st_mode``; 0 for nothing."""
    try:
        found = facts_at(folder, name)
    except OSError:
        return 0
    return stat.S_IFMT(found.st_mode) if found is not None else 0


def facts_at(folder: int, name: str) -> os.stat_result | None:
    """``lstat`` of a name in an open folder; None when nothing is there."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def open_file(folder: int, name: str, path: str) -> int:
    """A descriptor for reading a regular file; never waits, whatever stands there.

    Raises:
        NotRegular: a link, folder, FIFO, socket or device.
        FileGone, Denied, FileError: as the system says.
    """
    try:
        fd = os.open(name, READ, dir_fd=folder)
    except OSError as error:
        raise _open_fault(error, folder, name, path) from error
    try:
        with Told(path):
            prove_regular(os.fstat(fd), path)
    except FileError:
        os.close(fd)
        raise
    return fd


def prove_regular(found: os.stat_result, path: str) -> None:
    """Raise ``NotRegular`` for anything but a regular file."""
    if not stat.S_ISREG(found.st_mode):
        raise not_regular(path, found)


def not_regular(path: str, found: os.stat_result | None) -> NotRegular:
    """The error for what is no regular file."""
    kind = _KINDS.get(stat.S_IFMT(found.st_mode), "") if found is not None else ""
    what = f"it is {kind}, not a regular file" if kind else "not a regular file"
    return NotRegular(what, where=printable(path), fix="put a real file there")


def _open_fault(error: OSError, folder: int, name: str, path: str) -> FileError:
    """A link or socket is no regular file; a refusal tells whose file it is."""
    if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
        return not_regular(path, facts_at(folder, name))
    note = rights(name, folder=folder) if error.errno == errno.EACCES else ""
    return fault(error, path, note)


def open_stream(root: Path, path: str) -> IO[bytes]:
    """A binary stream of a regular file below ``root``."""
    names = split(path)
    with Held(open_folder(root, names[:-1])) as folder, Told(path):
        return os.fdopen(open_file(folder, names[-1], path), "rb")


def seen(root: Path, path: str) -> os.stat_result | None:
    """``lstat`` of a path below ``root``; None when it is gone."""
    names = split(path)
    try:
        with Held(open_folder(root, names[:-1])) as folder:
            return facts_at(folder, names[-1])
    except FileGone:
        return None
    except OSError as error:
        raise fault(error, path) from error
