"""Durable steps: rename without replacing, copy, fsync.

Imports ``beneath``, the content digest and the system only. Invariant: ``rename_new`` never
replaces what stands under the new name, whatever the file system can do.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from contextlib import suppress

import xxhash

from watcher import content
from watcher.adapters.files.beneath import CREATE, Held, facts_at

_NOREPLACE = 1  # linux/fs.h
_UNABLE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_LINKS = _UNABLE | {errno.EPERM, errno.EMLINK}
_NO_FSYNC = frozenset({errno.EINVAL, errno.EOPNOTSUPP})

Rename = Callable[[int, str, int, str], None]


def kernel_rename() -> Rename | None:
    """renameat2(2) with ``RENAME_NOREPLACE``, or None where the C library lacks it."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return None
    call.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )

    def rename(source: int, name: str, target: int, new: str) -> None:
        if call(source, os.fsencode(name), target, os.fsencode(new), _NOREPLACE):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return rename


def link_rename(source: int, name: str, target: int, new: str) -> None:
    """The same by link and unlink; where there are no links, by looking first.

    A crash between link and unlink leaves both names on one inode, which callers recognise.
    """
    try:
        os.link(name, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # the last resort (FUSE without either): a name taken in this instant would be replaced
        if facts_at(target, new) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
    else:
        os.unlink(name, dir_fd=source)


def rename_new(rename: Rename | None, source: tuple[int, str], target: tuple[int, str]) -> None:
    """Rename (folder, name) to (folder, name). ``FileExistsError`` when the new name is taken."""
    if rename is not None:
        try:
            rename(*source, *target)
        except OSError as error:
            if error.errno not in _UNABLE:
                raise
        else:
            return
    link_rename(*source, *target)


def begin_writing(fd: int) -> None:
    """Let the kernel begin to write a file out; a hint only. posix_fadvise(2): DONTNEED starts the
    writing of dirty pages, and drops only those that are clean already."""
    with suppress(OSError):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def sync_folder(folder: int) -> None:
    """Fsync of an open folder, where the file system knows such a thing (CIFS does not)."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise


def part_name(target: str) -> str:
    """The hidden name beside a target under which its content is written first.

    Always the same for a target, so that what a crash left is found and replaced.
    """
    return f".watcher-{xxhash.xxh3_64_hexdigest(os.fsencode(target))}.part"


def clear(folder: int, name: str) -> None:
    """Unlink; fine when it is gone."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def copy_beside(source: int, folder: int, target: str) -> tuple[str, int, str]:
    """Copy the rest of an open file, durably, to the hidden name beside a target.

    Mode and modification time go with it. Nothing is left behind when it fails.

    Returns:
        The hidden name, the number of bytes and their digest.
    """
    part = part_name(target)
    clear(folder, part)
    facts = os.fstat(source)
    fd = os.open(part, CREATE, 0o600, dir_fd=folder)
    try:
        with Held(fd):
            size, digest = copy_all(source, fd)
            os.fchmod(fd, facts.st_mode & 0o777)
            os.utime(fd, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            os.fsync(fd)
    except BaseException:
        clear(folder, part)
        raise
    return part, size, digest


def copy_all(source: int, target: int, chunk: int = content.CHUNK) -> tuple[int, str]:
    """Copy the rest of one descriptor into another, ``chunk`` bytes at a time; length and digest.
    Closes neither.

    Long runs of zeros become holes: a sparse file does not grow to its full length on the disk.
    """
    size, digest = content.copy(_Reader(source), _Sparse(target), chunk)
    if size >= content.CHUNK:  # there may be a hole at its end
        os.ftruncate(target, size)
    return size, digest


class _Reader:
    """Reads a descriptor that somebody else closes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int = -1, /) -> bytes:
        return os.read(self._fd, size)

    def close(self) -> None:
        return


class _Sparse:
    """Writes all but zeros to a new, empty file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes | memoryview, /) -> None:
        if len(data) == content.CHUNK and data == _ZEROS:
            os.lseek(self._fd, len(data), os.SEEK_CUR)
            return
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]


_ZEROS = bytes(content.CHUNK)
