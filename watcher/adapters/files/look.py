"""Seeing: facts with a lease probe, walks, and finding files that others refer to.

Imports ``beneath``, ``faults``, the model and the ports. Invariant: nothing here changes the disk,
follows a link, or waits for another program.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from watcher.adapters.files.beneath import (
    FOLDER,
    READ,
    Held,
    facts_at,
    open_file,
    open_folder,
    open_root,
    prove_regular,
    split,
)
from watcher.adapters.files.faults import Told, fault
from watcher.core.model import Facts, Lease, nfc, printable
from watcher.core.ports import Listing
from watcher.errors import FileError, FileGone, FolderOffline, OutsideRoot

_DRIVE = re.compile(r"[A-Za-z]:")
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


def look(root: Path, path: str) -> Facts | None:
    """See ``Files.look``."""
    names = split(path)
    try:
        with Held(open_folder(root, names[:-1])) as folder:
            return _probe(folder, names[-1], path)
    except FileGone:
        return None


def _probe(folder: int, name: str, path: str) -> Facts:
    try:
        fd = os.open(name, READ, dir_fd=folder)
    except BlockingIOError:
        # another program holds a write lease on it: still in its hands
        return _unopened(folder, name, path, Lease.REFUSED)
    except PermissionError:
        return _unopened(folder, name, path, Lease.UNREADABLE)
    except OSError:
        fd = open_file(folder, name, path)  # again, for its words
    with Held(fd), Told(path):
        # the lease first: what is read while nobody writes is what it speaks of
        lease = probe_lease(fd)
        found = os.fstat(fd)
        prove_regular(found, path)
    return facts(found, lease)


def _unopened(folder: int, name: str, path: str, lease: Lease) -> Facts:
    """The facts of a file that cannot be opened now."""
    with Told(path):
        found = facts_at(folder, name)
    if found is None:
        raise FileGone("it is not there any more", where=printable(path))
    prove_regular(found, path)
    return facts(found, lease)


def probe_lease(fd: int) -> Lease:
    """Ask the kernel whether anybody on this machine has the file open for writing.

    See fcntl(2), "Leases". A writer that opens the file while the lease is held makes the kernel
    send a signal, by default SIGIO, which ends the process. SIGURG is asked for instead, whose
    default is to be ignored, so no caller has anything to prepare and no disposition of the
    process is touched.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return Lease.REFUSED
    except OSError:
        return Lease.UNKNOWN
    return Lease.FREE


def facts(found: os.stat_result, lease: Lease = Lease.UNKNOWN) -> Facts:
    """What ``stat`` told, in our words."""
    return Facts(
        found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev, lease
    )


# ---------------------------------------------------------------- walk
PIECE = 5000  # entries of a directory read at once: about 2 MB
_FRESH = 2_500_000_000  # ns; FAT keeps its times to two seconds


def walk(
    root: Path, below: str, *, recursive: bool, skip: Callable[[str], bool] | None = None
) -> Iterator[Listing]:
    """See ``Files.walk``. A folder that vanishes meanwhile is empty; an offline root raises."""
    if below:
        split(below)
    waiting = [below]
    while waiting:
        directory = waiting.pop()
        prefix = f"{directory}/" if directory else ""
        folders: list[str] = []
        for listing in _listings(root, directory):
            folders += listing.folders
            yield listing
        if recursive:
            paths = (prefix + name for name in reversed(folders))
            waiting.extend(path for path in paths if skip is None or not skip(path))


def _listings(root: Path, directory: str) -> Iterator[Listing]:
    """The pieces of a directory. Only between those of a large one is it kept open."""
    try:
        with (
            Held(open_folder(root, _names(directory))) as folder,
            Told(directory),
            os.scandir(folder) as found,
        ):
            mark = _mark(os.fstat(folder))
            listing = _piece(folder, directory, found, mark)
            while listing.more:
                yield listing
                listing = _piece(folder, directory, found, mark)
    except FileGone:
        listing = Listing(directory)
    except FolderOffline as error:
        if not directory:
            raise
        # a root that is gone ends the walk; a dead mount below it does not
        os.close(open_root(root))
        listing = Listing(directory, error=str(error))
    except FileError as error:
        listing = Listing(directory, error=str(error))
    yield listing


def _piece(folder: int, directory: str, found: Iterator[os.DirEntry[str]], mark: int) -> Listing:
    files: list[tuple[str, int, int]] = []
    folders: list[str] = []
    odd: list[str] = []
    add, see, vanished = files.append, os.stat, 0
    for entry in islice(found, PIECE):  # this loop is most of what a scan of many files costs
        name = entry.name
        if entry.is_file(follow_symlinks=False):
            try:
                # unlike the entry's own method it lets other threads run meanwhile
                facts = see(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:  # since it was listed
                vanished += 1
                continue
            add((name, facts.st_size, facts.st_mtime_ns))
        elif entry.is_dir(follow_symlinks=False):
            folders.append(name)
        else:
            odd.append(name)
    more = len(files) + len(folders) + len(odd) + vanished == PIECE
    return Listing(directory, tuple(files), tuple(folders), tuple(odd), more=more, mark=mark)


def _mark(found: os.stat_result) -> int:
    """Stands for the names in a folder: every change of them sets its ctime, which no program can
    set back (and its mtime; FAT knows no other). A time of just now may be that of a change after
    the reading as well: not to be trusted.
    """
    times = found.st_ctime_ns, found.st_mtime_ns
    now = time.time_ns()
    if any(abs(now - one) < _FRESH for one in times):
        return 0
    return hash((found.st_dev, found.st_ino, *times)) or 1


def changed(root: Path, marks: Mapping[str, int]) -> Iterator[str]:
    """See ``Files.changed``. A link on the way has replaced a folder, whose parent tells so."""
    with Held(open_root(root)) as top:
        for directory, mark in marks.items():
            now = 0
            with suppress(OSError):
                now = _mark(os.stat(directory or ".", dir_fd=top, follow_symlinks=False))
            if not mark or now != mark:
                yield directory


def missing(root: Path, directory: str, names: Sequence[str]) -> list[str]:
    """See ``Files.missing``."""
    try:
        with Held(open_folder(root, _names(directory))) as folder, Told(directory):
            return [name for name in names if not _is_file(folder, name)]
    except FileGone:
        return list(names)


def _is_file(folder: int, name: str) -> bool:
    found = facts_at(folder, name)
    return found is not None and stat.S_ISREG(found.st_mode)


def _names(directory: str) -> list[str]:
    return split(directory) if directory else []


# ---------------------------------------------------------------- find
def find(root: Path, directory: str, name: str) -> str | None:
    """See ``Files.find``."""
    names = _resolved(_names(directory), name)
    if not names or not _possible(names):
        return None
    with Held(open_folder(root, [])) as top:
        found = _search(top, names)
    return "/".join(found) if found else None


def _resolved(base: list[str], name: str) -> list[str]:
    """The components of a reference from ``base``, dots resolved without asking the disk."""
    plain = name.replace("\\", "/")
    if plain.startswith("/") or _DRIVE.match(plain):
        raise _outside(name)
    names = list(base)
    for part in plain.split("/"):
        if part == "..":
            if not names:
                raise _outside(name)
            names.pop()
        elif part not in ("", "."):
            names.append(part)
    return names


def _outside(name: str) -> OutsideRoot:
    return OutsideRoot(
        "a reference leads out of the folder",
        where=printable(name),
        fix="refer to the file by a relative path",
    )


def _possible(names: list[str]) -> bool:
    """Can a file have these names? What cannot be on the disk is absent."""
    try:
        os.fsencode("/".join(names))
    except UnicodeEncodeError:
        return False
    return not any("\0" in name for name in names)


def _search(folder: int, names: list[str]) -> list[str] | None:
    """The real spelling below an open folder, the exact one first at each step."""
    name, rest = names[0], names[1:]
    if found := _follow(folder, name, rest):
        return found
    for other in _alike(folder, name):
        if found := _follow(folder, other, rest):
            return found
    return None


def _follow(folder: int, name: str, rest: list[str]) -> list[str] | None:
    try:
        if not rest:
            found = facts_at(folder, name)
            return [name] if found and stat.S_ISREG(found.st_mode) else None
        below = os.open(name, FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise fault(error, name) from error
    with Held(below) as fd:
        tail = _search(fd, rest)
    return [name, *tail] if tail else None


def _alike(folder: int, name: str) -> list[str]:
    """The other names in a folder that differ in case or composition only, in a fixed order."""
    wanted = _plain(name)
    with Told(name), os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.name != name and _plain(e.name) == wanted)


def _plain(name: str) -> str:
    return nfc(nfc(name).casefold())
