"""Outputs over HTTP: single files with ranges, and all of them as one zip.

Imports Starlette and the embedded package. Invariants: nothing but regular files below a job's
outputs is sent; a zip is whole when it is seen; it is packed once, by one task a job.
"""

from __future__ import annotations

import os
import threading
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from starlette.responses import FileResponse

from watcher.embedded.scheduler import EmbeddedScheduler
from watcher.embedded.server.disk import trouble
from watcher.embedded.store import ENDED, REVOKED
from watcher.errors import (
    FileGone,
    JobLost,
    OutsideRoot,
    Refused,
    TooEarly,
)

ARCHIVE = "archive.zip"
_CHUNK = 1 << 20
PROMPT = 1.0  # seconds that a request waits for a packing: most are done by then


def attachment(path: Path, name: str) -> FileResponse:
    """A file as a download: ETag, ``Range`` and ``If-Range`` are Starlette's."""
    raw = os.fsencode(name)
    encoded = quote(raw)
    shown = f'filename="{name}"' if encoded == name else f"filename*=utf-8''{encoded}"
    return FileResponse(
        path,
        media_type="application/octet-stream",
        headers={"content-disposition": f"attachment; {shown}"},
        stat_result=path.stat(),
    )


def download(scheduler: EmbeddedScheduler, job_id: str, name: str) -> FileResponse:
    """One output file.

    Raises:
        FileGone: there is none of that name.
        OutsideRoot: the name, or a link, leads out of the outputs.
        Refused: it is a folder or something else that has no bytes.
    """
    try:
        path = scheduler.output_path(job_id, name)
    except OutsideRoot as error:
        raise OutsideRoot(f"SharePathInvalidError: Invalid file path {name!r}") from error
    except (FileGone, JobLost, OSError, ValueError) as error:
        text = f"SharePathNotFoundError: File 'outputs/{name}' not found"
        raise FileGone(text) from error
    if not path.is_file():
        raise Refused(
            f"'{name}' is no file: its files have names of their own, or take the archive"
        )
    return attachment(path, Path(name).name)


@dataclass(slots=True)
class _Packing:
    task: str
    done: Future[None]


@dataclass(slots=True)
class Archives:
    """The zips of jobs' outputs: packed when first asked for, one after another."""

    scheduler: EmbeddedScheduler
    prompt: float = PROMPT
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _packings: dict[str, _Packing] = field(default_factory=dict)
    _packer: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="archive")
    )

    def get(self, job_id: str) -> FileResponse:
        """The zip of a job.

        Raises:
            FileGone: there is no such job.
            TooEarly: the job has not ended, was revoked, or the zip is being packed.
            NoSpace, Unreachable: it could not be packed; the next request tries again.
        """
        job = self.scheduler.get(job_id)
        if job is None:
            raise FileGone(f"SharePathNotFoundError: Job '{job_id}' does not exist")
        if job.status not in ENDED:
            raise TooEarly(f"TaskNotCompletedError: Job '{job_id}' is not finished yet")
        if job.status == REVOKED:
            raise TooEarly(f"TaskNotCompletedError: Job '{job_id}' was revoked: it has no archive")
        outputs = self.scheduler.output_folder(job_id)
        path = outputs.parent / ARCHIVE
        if not path.exists():
            self._pack(job_id, outputs, path)
        return attachment(path, f"{job_id}.zip")

    def close(self) -> None:
        """Give up what is not packed yet; it is packed anew when it is asked for again."""
        self._stop.set()
        self._packer.shutdown(cancel_futures=True)

    def _pack(self, job_id: str, outputs: Path, path: Path) -> None:
        """Start the packing, or tell how it stands; returns when it is done."""
        with self._lock:
            packing = self._packings.get(job_id)
            text = f"TaskNotCompletedError: Archive task for job '{job_id}' is already running"
            if packing is None:
                done = self._packer.submit(pack, outputs, path, self._stop)
                packing = self._packings[job_id] = _Packing(str(uuid.uuid4()), done)
                task = f"Archive Task '{packing.task}' created for job '{job_id}' outputs"
                text = f"TaskProcessingStarted: {task}"
        if not wait([packing.done], self.prompt).done:
            raise TooEarly(text)
        with self._lock:
            self._packings.pop(job_id, None)
        _tell(packing.done)


def _tell(done: Future[None]) -> None:
    try:
        done.result()
    except OSError as error:
        raise trouble(error, "the archive was not packed") from error


def pack(outputs: Path, path: Path, stop: threading.Event) -> None:
    """Write the zip of a folder beside its name, then give it the name.

    Sub-folders and empty folders are in it; a link that stays inside stands for its content, one
    that leads out is left out.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, real in _members(outputs):
                    _add(archive, name, real, stop)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def _members(outputs: Path) -> Iterator[tuple[str, Path]]:
    top = outputs.resolve()
    for folder, folders, files in os.walk(top):
        folders.sort()
        below = Path(folder)
        if below != top and not folders and not files:
            yield f"{below.relative_to(top).as_posix()}/", below
        for name in sorted(files):
            real = (below / name).resolve()
            if real.is_relative_to(top) and real.is_file():
                yield (below / name).relative_to(top).as_posix(), real


def _add(archive: zipfile.ZipFile, name: str, real: Path, stop: threading.Event) -> None:
    entry = zipfile.ZipInfo.from_file(real, name, strict_timestamps=False)
    entry.compress_type = zipfile.ZIP_DEFLATED
    # a name that is not UTF-8 has no form in a zip: what cannot be told is told as a question mark
    entry.filename = entry.filename.encode(errors="replace").decode()
    if entry.is_dir():
        archive.writestr(entry, b"")
        return
    with real.open("rb") as source, archive.open(entry, "w", force_zip64=True) as member:
        while chunk := source.read(_CHUNK):
            if stop.is_set():
                raise InterruptedError("the server stops")
            member.write(chunk)
