"""The one map from ``OSError`` to our errors, in an operator's words.

Imports ``watcher.errors`` and the name printer only. Invariant: every errno has a class; what is
not named here is a plain ``FileError``, so no ``OSError`` leaves this package. The errnos are
those of errno(3).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import TracebackType

from watcher.core.model import printable
from watcher.errors import (
    Denied,
    FileChanged,
    FileError,
    FileGone,
    FolderOffline,
    NameTooLong,
    NoSpace,
    NotRegular,
    OutsideRoot,
    TargetExists,
)

_MEND_MOUNT = "check that the disk or network share is mounted and answers"
_MEND_RIGHTS = "give the service's user the permission"

_MEANINGS: tuple[tuple[type[FileError], str, str, tuple[int, ...]], ...] = (
    (FileGone, "it is not there any more", "", (errno.ENOENT, errno.ENOTDIR)),
    (Denied, "no permission", _MEND_RIGHTS, (errno.EACCES, errno.EPERM)),
    (
        Denied,
        "the file system is read-only",
        "mount it writable, or allow the folder in the service's unit",
        (errno.EROFS,),
    ),
    (NoSpace, "the disk is full", "free some space", (errno.ENOSPC,)),
    (NoSpace, "the disk quota is used up", "free some space or raise it", (errno.EDQUOT,)),
    (NameTooLong, "the name is too long", "shorten it", (errno.ENAMETOOLONG,)),
    (
        OutsideRoot,
        "a symbolic link stands in its path",
        "links are not followed: use the real folder",
        (errno.ELOOP,),
    ),
    (
        TargetExists,
        "something else stands under this name",
        "move it away",
        (errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY),
    ),
    (
        FileChanged,
        "another program is using it",
        "wait until it is done",
        (errno.EAGAIN, errno.EBUSY, errno.ETXTBSY),
    ),
    (NotRegular, "not a regular file", "", (errno.ENXIO,)),
    (
        FolderOffline,
        "its disk does not answer",
        _MEND_MOUNT,
        (
            errno.EIO,
            errno.ENODEV,
            errno.ESTALE,
            errno.EHOSTDOWN,
            errno.EHOSTUNREACH,
            errno.ENETDOWN,
            errno.ENETUNREACH,
            errno.ETIMEDOUT,
            errno.ENOTCONN,
            errno.ECONNABORTED,
            errno.ECONNREFUSED,
            errno.ECONNRESET,
            errno.EREMOTEIO,
            errno.ENOMEDIUM,
            errno.ESHUTDOWN,
        ),
    ),
)
_BY_NUMBER = {
    number: (kind, what, fix) for kind, what, fix, numbers in _MEANINGS for number in numbers
}
_OFFLINE = frozenset({errno.ENOENT, errno.ELOOP})


def fault(error: OSError, where: str, note: str = "") -> FileError:
    """Our error for an ``OSError`` at ``where``; ``note`` is added to what happened."""
    number = error.errno or 0
    what = f"the system says: {error.strerror or type(error).__name__}"
    kind, what, fix = _BY_NUMBER.get(number, (FileError, what, ""))
    return kind(f"{what} ({note})" if note else what, where=printable(where), fix=fix)


def root_fault(error: OSError, root: Path) -> FileError:
    """Our error for a root folder that cannot be opened; not there means offline."""
    if error.errno == errno.ENOTDIR:
        what = "it is not a folder: something else stands in its place"
        return FolderOffline(what, where=shown(root), fix="move that away and make the folder")
    if error.errno in _OFFLINE:
        return FolderOffline("the folder is not there", where=shown(root), fix=_MEND_MOUNT)
    return fault(error, os.fspath(root), rights(root))


def shown(path: Path) -> str:
    """A path as it may be printed."""
    return printable(os.fspath(path))


def rights(path: Path | str, *, folder: int | None = None) -> str:
    """Owner, group and mode of what stands there, beside ours; empty when it cannot be seen."""
    try:
        facts = os.stat(path, dir_fd=folder, follow_symlinks=folder is None)
    except OSError:
        return ""
    mode = stat.S_IMODE(facts.st_mode)
    ours = f"we are uid={os.geteuid()} gid={os.getegid()}"
    return f"uid={facts.st_uid} gid={facts.st_gid} mode={mode:04o}; {ours}"


class Told:
    """A block whose every ``OSError`` becomes our error at ``where``.

    A class, since a generator would double its cost on the path that each file takes.
    """

    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        """Nothing is needed."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise our error instead."""
        if isinstance(error, OSError):
            raise fault(error, self.where) from error
