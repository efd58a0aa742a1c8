"""Downloads to disk: beside the target first, resumed when cut, zips proved whole.

Imports content, errors, session. Invariants: a final name appears only when its content is
complete; no part is left behind; a name from the server never leads out of its folder.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from watcher.adapters.http.session import Sessions
from watcher.errors import NoSpace, OutsideRoot, TooEarly, Unreachable

BLOCK = 1 << 18
RESUMES = 5  # in a row, each only when the one before brought bytes
Progress = Callable[[int, int], None]


def inside(into: Path, name: str) -> Path:
    """Where a server-given name lies below ``into``; ``OutsideRoot`` when it leads out."""
    parts = name.split("/")
    if not name or "\0" in name or PurePosixPath(name).is_absolute() or {"", ".", ".."} & {*parts}:
        raise OutsideRoot("the scheduler gave a name that leads out of its folder", where=name)
    return into.joinpath(*parts)


def save(sessions: Sessions, path: str, target: Path, *, progress: Progress | None = None) -> int:
    """Stream a server path into ``target`` and give its length in bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:200]}.part")
    try:
        size = _collect(sessions, path, part, progress or (lambda _done, _total: None))
        part.replace(target)
    except OSError as error:
        raise NoSpace(error.strerror or "cannot be written", where=str(target)) from error
    finally:
        part.unlink(missing_ok=True)
    return size


def _collect(sessions: Sessions, path: str, part: Path, progress: Progress) -> int:
    part.unlink(missing_ok=True)
    etag = ""
    for _ in range(RESUMES):
        had = part.stat().st_size if part.exists() else 0
        try:
            etag = _stream(sessions, path, part, (had if etag else 0, etag), progress)
        except _Cut as cut:
            etag = cut.etag
            if not part.exists() or part.stat().st_size <= had:
                break
        else:
            return part.stat().st_size
    raise Unreachable("the download was cut short", where=sessions.url(path))


class _Cut(Exception):
    """The body ended early; the etag allows to go on."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


def _stream(
    sessions: Sessions, path: str, part: Path, start: tuple[int, str], progress: Progress
) -> str:
    offset, etag = start
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": etag}
    with sessions.open("GET", path, headers=headers, good=(200, 206)) as response:
        etag = response.headers.get("etag", "")
        going_on = response.headers.get("content-range", "").startswith(f"bytes {offset}-")
        if response.status_code == 206 and not going_on:  # noqa: PLR2004 - Partial Content
            raise Unreachable("a wrong range was sent", where=sessions.url(path))
        done = offset if response.status_code == 206 else 0  # noqa: PLR2004 - Partial Content
        length = response.headers.get("content-length", "")
        total = done + int(length) if length.isdigit() else 0
        with part.open("r+b" if done else "wb") as out:
            out.seek(done)
            try:
                while block := response.raw.read1(BLOCK):
                    out.write(block)
                    done += len(block)
                    progress(done, total)
            except Exception as error:
                if isinstance(error, OSError):
                    raise
                raise _Cut(etag) from error  # urllib3 tells of a cut in several ways
    if total and done < total:
        raise _Cut(etag)
    return etag


def whole(path: Path) -> bool:
    """Whether a zip's directory and every member's CRC are right."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError):
        return False


def unpack(path: Path, into: Path) -> tuple[str, ...]:
    """Write a whole zip's files below ``into``; their names."""
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
