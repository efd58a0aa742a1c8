"""Downloads to disk: beside the target first, resumed when cut, zips proved whole.

Imports content, errors, session. Invariants: a final name appears only when its content is
complete; no part is left behind; a name from the server never leads out of its folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, Any

from urllib3.exceptions import HTTPError

from watcher.adapters.http.session import Sessions
from watcher.core.source import Hash, Progress
from watcher.errors import (
    Denied,
    FileError,
    FileGone,
    Garbled,
    NameTooLong,
    NoSpace,
    OutsideRoot,
    TargetExists,
    TooEarly,
    Unreachable,
)

BLOCK = 1 << 18
BEYOND = 416  # Range Not Satisfiable
LEAST = 1000  # bytes a second that a download must bring
RESERVE = 1 << 20  # bytes that are left free
SMALL = 1 << 16  # bytes for which nobody asks how much is free: writing them tells
RESUMES = 5  # in a row, each only when the one before brought bytes


def inside(into: Path, name: str) -> Path:
    """Where a server-given name lies below ``into``; ``OutsideRoot`` when it leads out."""
    parts = name.split("/")
    if not name or "\0" in name or PurePosixPath(name).is_absolute() or {"", ".", ".."} & {*parts}:
        raise OutsideRoot("the scheduler gave a name that leads out of its folder", where=name)
    return into.joinpath(*parts)


def save(
    sessions: Sessions,
    path: str,
    target: Path,
    *,
    progress: Progress | None = None,
    state: Hash | None = None,
) -> int:
    """Stream a server path into ``target`` and give its length in bytes."""
    start = os.fsdecode(os.fsencode(target.name)[:200])  # in bytes, as file systems count
    part = _Part(target.with_name(f".{start}.part"), progress, state)
    try:
        _collect(sessions, path, part)
        part.path.replace(target)
    except BaseException as error:
        part.drop()
        if isinstance(error, OSError):
            raise _file_error(error, target) from error
        raise
    return part.done


@dataclass(slots=True)
class _Part:
    """What lies there of a download so far: ``done`` bytes, hashed on their way."""

    path: Path
    progress: Progress | None
    state: Hash | None
    done: int = 0

    def begin(self, done: int, total: int) -> IO[bytes]:
        """Write on from ``done``."""
        if total - done > SMALL:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _room(self.path, total - done)
        if not done and self.state is not None:
            self.state.reset()
        self.done = done
        out = self._opened("r+b" if done else "wb")
        out.seek(done)
        return out

    def _opened(self, mode: str) -> IO[bytes]:
        try:
            return self.path.open(mode, buffering=0)
        except FileNotFoundError:  # seldom: to make the folder each time costs more
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self.path.open(mode, buffering=0)

    def take(self, out: IO[bytes], block: bytes, total: int) -> None:
        """Write a block; a disk may take less of it than all."""
        left = memoryview(block)
        while left:
            left = left[out.write(left) :]
        self.done += len(block)
        if self.state is not None:
            self.state.update(block)
        if self.progress is not None:
            self.progress(self.done, total)

    def drop(self) -> None:
        """Nothing of it stays."""
        with suppress(OSError):
            self.path.unlink()


KINDS: dict[int, type[FileError]] = {
    errno.ENOSPC: NoSpace,
    errno.EDQUOT: NoSpace,
    errno.EACCES: Denied,
    errno.EPERM: Denied,
    errno.EROFS: Denied,
    errno.ENAMETOOLONG: NameTooLong,
    errno.ENOENT: FileGone,
    errno.ENOTDIR: TargetExists,
    errno.EISDIR: TargetExists,
    errno.EEXIST: TargetExists,
}


def _file_error(error: OSError, target: Path) -> FileError:
    kind = KINDS.get(error.errno or 0, FileError)
    return kind(error.strerror or "cannot be written", where=str(target))


def _room(path: Path, size: int) -> None:
    """Refuse what the disk cannot hold before the first byte of it."""
    free = shutil.disk_usage(path.parent).free
    if size > free - RESERVE:
        text = f"{size >> 20} MiB do not fit: {max(0, free - RESERVE) >> 20} MiB are free"
        raise NoSpace(text, where=str(path.parent))


def _collect(sessions: Sessions, path: str, part: _Part) -> None:
    etag = ""
    for _ in range(RESUMES):
        had = part.done
        try:
            _stream(sessions, path, part, (had if etag else 0, etag))
        except _Cut as cut:
            etag = cut.etag
            if part.done <= had and not cut.anew:
                break
        else:
            return
    raise Garbled("the download was cut short", where=sessions.url(path))


class _Cut(Exception):
    """The body ended early; the etag allows to go on. ``anew``: only from its beginning."""

    def __init__(self, etag: str, *, anew: bool = False) -> None:
        super().__init__(etag)
        self.etag = etag
        self.anew = anew


def _stream(sessions: Sessions, path: str, part: _Part, start: tuple[int, str]) -> None:
    offset, etag = start
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": etag}
    with sessions.open("GET", path, headers=headers, good=(200, 206, BEYOND)) as response:
        if response.status == BEYOND:  # it lied about the length, or has another file now
            raise _Cut("", anew=True)
        etag = response.headers.get("etag", "")
        going_on = response.headers.get("content-range", "").startswith(f"bytes {offset}-")
        if response.status == 206 and not going_on:  # noqa: PLR2004 - Partial Content
            raise Unreachable("a wrong range was sent", where=sessions.url(path))
        done = offset if response.status == 206 else 0  # noqa: PLR2004 - Partial Content
        length = response.headers.get("content-length", "")
        total = done + int(length) if length.isdigit() else 0
        with part.begin(done, total) as out:
            try:
                for block in _blocks(response, sessions.server.patience):
                    part.take(out, block, total)
            except (HTTPError, HTTPException) as error:
                raise _Cut(etag) from error  # urllib3 tells of a cut in several ways
    if total and part.done < total:
        raise _Cut(etag)


def _blocks(raw: Any, patience: float) -> Iterator[bytes]:
    """The body; a drip of bytes counts as a cut, as it would hold a thread for ever."""
    begun, got = time.monotonic(), 0
    while block := raw.read1(BLOCK):
        yield block
        got += len(block)
        if time.monotonic() - begun > patience:
            if got < LEAST * patience:
                raise HTTPError("it comes too slowly")
            begun, got = time.monotonic(), 0


def whole(path: Path) -> bool:
    """Whether a zip's directory and every member's CRC are right.

    Raises ``NoSpace`` for one that would not fit unpacked: its directory tells (zipfile reads no
    more than that of any member), so that a bomb costs nothing.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _room(path, sum(entry.file_size for entry in archive.infolist()))
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError):
        return False


def unpack(path: Path, into: Path) -> tuple[str, ...]:
    """Write a whole zip's files below ``into``; their names."""
    try:
        return _unpacked(path, into)
    except OSError as error:
        raise _file_error(error, into) from error


def _unpacked(path: Path, into: Path) -> tuple[str, ...]:
    found: list[str] = []
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            target = inside(into, entry.filename.rstrip("/"))
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("wb") as out:
                while block := source.read(BLOCK):
                    out.write(block)
            found.append(entry.filename)
    return tuple(found)


def verified(
    sessions: Sessions, path: str, target: Path, progress: Progress | None = None, *, tries: int = 3
) -> None:
    """Save a zip and prove it; the server may hand it out while it still writes it."""
    for _ in range(tries):
        save(sessions, path, target, progress=progress)
        if whole(target):
            return
    os.unlink(target)  # noqa: PTH108 - a broken zip must not stay
    raise TooEarly("the archive is not whole yet", where=sessions.url(path))
