"""Where a ledger may lie: on a local disk, in a folder of the user who runs us.

Imports errors and the standard library. Invariant: looks only, creates and changes nothing.
"""

from __future__ import annotations

import os
import pwd
import re
from contextlib import suppress
from pathlib import Path

from watcher.errors import LedgerDamaged, LedgerNew, LedgerUnusable

FILE = "ledger.sqlite"
USED = "roots.json"  # the daemon's memory of what it has watched; see ``daemon.roots``
MOUNTS = Path("/proc/self/mountinfo")
# SQLite's WAL needs shared memory and locks that work between processes; these do not promise it
_KINDS = """
    9p afs afp beegfs ceph cifs coda davfs davfs2 glusterfs lustre ncpfs nfs nfs4 orangefs
    prl_fs pvfs2 smb2 smb3 smbfs vboxsf vmhgfs
"""
_FUSE = """
    afpfs ceph curlftpfs davfs gcsfuse glusterfs goofys juicefs rclone s3fs seaweedfs smbnetfs
    sshfs vmhgfs-fuse
"""
NETWORK = frozenset(_KINDS.split()) | {f"fuse.{kind}" for kind in _FUSE.split()}
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_mount(folder: Path, mounts: str) -> str:
    """The file system type when a folder lies on a network mount, else empty.

    ``mounts`` is the text of ``/proc/self/mountinfo`` (format: proc_pid_mountinfo(5)); of several
    mounts over the folder the deepest counts, and of equals the last.
    """
    best, found = -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:  # noqa: PLR2004  (the mount point is the fifth field)
            continue
        point = Path(_OCTAL.sub(lambda m: chr(int(m[1], 8)), fields[4]))
        if len(point.parts) >= best and folder.is_relative_to(point):
            best, found = len(point.parts), right.split(" ", 1)[0]
    return found if found in NETWORK else ""


def owner(path: Path) -> str:
    """The user who owns a path, or the nearest folder above it that can be seen."""
    for place in (path, *path.parents):
        try:
            uid = place.stat().st_uid
        except OSError:
            continue
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"user {uid}"
    return "its owner"


def check_place(state: Path, *, read_only: bool, mounts: str) -> Path:
    """The ledger's file in a state folder that can hold it. Raises ``LedgerUnusable``."""
    file = state.absolute() / FILE
    kind = network_mount(state.resolve(), mounts)
    if kind:
        raise LedgerUnusable(
            f"the state folder is on a network mount ({kind}), where a ledger is not safe",
            where=str(state),
            fix="set state: to a folder on a local disk",
        )
    if not os.access(state, os.F_OK):
        _refuse_missing(state)
    wanted = os.R_OK if read_only else os.R_OK | os.W_OK
    if not os.access(state, wanted | os.X_OK) or (file.exists() and not os.access(file, wanted)):
        verb = "read" if read_only else "written"
        raise LedgerUnusable(
            f"the ledger may not be {verb} by this user", where=str(file), fix=_run_as(file)
        )
    if forgotten(state) and file.exists():
        raise LedgerDamaged(
            "the ledger is empty, though this state folder was in use",
            where=str(file),
            fix="restore the file, or move it away: then files that lie in the input folders are"
            " taken as new",
        )
    if read_only and not file.exists():
        raise LedgerNew("there is no ledger yet", where=str(file), fix="start watcher run")
    return file


def forgotten(state: Path) -> bool:
    """Whether the ledger of a state folder that was in use is missing or empty. A crash while
    the very first one is made is no such case: nothing had been watched yet."""
    file = state / FILE
    with suppress(OSError):
        if file.stat().st_size or file.with_name(f"{FILE}-wal").stat().st_size:
            return False
    return (state / USED).exists()


def _refuse_missing(state: Path) -> None:
    """Tell a folder that is absent from one that is hidden from this user."""
    try:
        state.stat()
    except PermissionError:
        raise LedgerUnusable(
            "the state folder may not be read by this user", where=str(state), fix=_run_as(state)
        ) from None
    except OSError:
        raise LedgerUnusable(
            "the state folder is not there", where=str(state), fix="create it or correct state:"
        ) from None


def _run_as(path: Path) -> str:
    return f"run as {owner(path)}"
