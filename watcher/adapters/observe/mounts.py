"""What Linux says about a root: its file system, and how many inotify watches are left.

Imports the standard library only. Invariant: an answer that cannot be had is empty or unlimited,
never an error.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
# of the machine, and of a container with a user namespace of its own: the smaller one counts
WATCHES = (
    Path("/proc/sys/fs/inotify/max_user_watches"),
    Path("/proc/sys/user/max_inotify_watches"),
)
POINT = 4  # the field of a mountinfo line that is the mount point

# Writes from other machines (or from the host of a container) raise no inotify event on these.
# overlay is not among them: writes through the same mount do raise events.
REMOTE = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "vboxsf", "afs", "ceph"),
        *("glusterfs", "lustre", "beegfs", "gpfs", "ncpfs", "fakeowner", "grpcfuse"),
    }
)


def file_system(path: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system that holds a path, from proc(5) mountinfo; empty if unknown."""
    try:
        text = mounts.read_text("utf-8", "surrogateescape")
        place = Path(os.path.realpath(path))
    except OSError:
        return ""
    return kind_in(text, place)


def kind_in(mountinfo: str, place: Path) -> str:
    """As ``file_system``, of a resolved path and the text of a mountinfo file.

    The last line wins among those of one mount point: it is mounted over the others.
    """
    best, kind = "", ""
    for line in mountinfo.split("\n"):
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        point = _unescaped(fields[POINT]) if len(fields) > POINT else ""
        if point and len(point) >= len(best) and place.is_relative_to(point):
            best, kind = point, right.split(" ")[0]
    return kind


def is_remote(kind: str) -> bool:
    """Whether this type of file system hides the writes of others from inotify."""
    return kind in REMOTE or (kind.startswith("fuse") and kind != "fuseblk")


def watch_limit(limits: Sequence[Path] = WATCHES) -> int | None:
    """How many inotify watches this user may have; None when it cannot be read."""
    found = [limit for path in limits if (limit := _number(path)) is not None]
    return min(found, default=None)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _unescaped(point: str) -> str:
    """A mount point as it is: mountinfo writes blanks, tabs, newlines and backslashes in octal."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, char)
    return point
