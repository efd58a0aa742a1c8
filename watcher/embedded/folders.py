"""The folder of a job on disk: inputs written once, outputs by attempt, names proved.

Imports the standard library, ``content``, ``core``, ``errors``, and ``spares`` and ``tree``.
Invariant: a job's folder appears whole or not at all, and no name leads out of where it belongs.
What the last moments wrote is also kept in memory, within bounds, and read there.

::

    jobs/<id>/spec.json  inputs/  script.py  outputs/  log.<attempt>  outcome.<attempt>
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher import content
from watcher.core.model import Fetched
from watcher.core.ports import Source
from watcher.embedded import tree
from watcher.embedded.spares import Spares
from watcher.errors import FileGone, JobLost, OutsideRoot, Refused

_NAME_BYTES = 255
_KEPT_SUFFIX = 32
_LOG = 64 << 20
_REMEMBERED = 1024  # jobs whose specs, and whose outputs, are kept in memory too


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed(Source):
    """A source that stands, durably, in a file beside the jobs: moved, not copied."""

    path: Path


class Folders:
    """All jobs' folders.

    Args:
        root: the folder that holds them.
        durable: whether what is kept outlives a power cut.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.root = root
        self.durable = durable
        self._specs: dict[str, dict[str, Any]] = {}
        self._made: dict[str, tuple[Fetched, ...]] = {}
        self._spares = Spares()

    def job(self, job_id: str) -> Path:
        """The folder of a job."""
        return self.root / job_id

    def draft(self) -> Path:
        """A private folder in which a job is put together; ``inputs`` may be there, empty."""
        return self._spares.take() or Path(tempfile.mkdtemp(prefix=".new-", dir=self.root))

    def settle(self, draft: Path, job_id: str) -> None:
        """Give a finished draft its name. What an earlier crash left there goes."""
        target = self.job(job_id)
        try:
            draft.rename(target)
        except OSError:
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
        if self.durable:
            tree.sync(self.root)

    def remove(self, job_id: str) -> None:
        """Delete the folder of a job, by another name first, so that no half of it is seen."""
        self._specs.pop(job_id, None)
        self._made.pop(job_id, None)
        doomed = self.root / f".old-{job_id}"
        try:
            self.job(job_id).rename(doomed)
            if self.durable or not self._spares.keep(str(doomed)):
                tree.delete(str(doomed))
        except OSError:  # it is gone already, or holds what cannot be deleted so plainly
            shutil.rmtree(doomed, ignore_errors=True)

    # ---------------------------------------------------------------- what a worker must know
    def write_spec(self, draft: Path, spec: dict[str, Any], script: bytes | None) -> None:
        """Keep what the worker of a job must know, its id among it."""
        for name, data in (("spec.json", json.dumps(spec).encode()), ("script.py", script)):
            if data is not None:
                with (draft / name).open("wb") as file:
                    file.write(data)
                    if self.durable:
                        file.flush()
                        os.fsync(file.fileno())
        if self.durable:
            tree.sync(draft)
        if len(self._specs) < _REMEMBERED:  # the oldest stay: they are run first
            self._specs[spec["id"]] = spec

    def spec(self, job_id: str) -> dict[str, Any]:
        """What the worker of a job must know. Raises ``OSError`` and ``ValueError``."""
        known = self._specs.get(job_id)
        if known is not None:
            return known
        read: dict[str, Any] = json.loads((self.job(job_id) / "spec.json").read_text())
        return read

    def config(self, job_id: str) -> dict[str, Any]:
        """The run options that a job was stored with; none where they cannot be read."""
        try:
            return dict(self.spec(job_id)["config"])
        except (OSError, ValueError, LookupError):
            return {}  # the run itself tells what is wrong with it

    def queue(self, job_id: str) -> str:
        """The queue that a job asks for; `cpu` where that cannot be read."""
        try:
            return str(self.spec(job_id)["queue"])
        except (OSError, ValueError, LookupError):
            return "cpu"  # as above

    # ---------------------------------------------------------------- attempts and outputs

    def sweep(self, keep: set[str]) -> None:
        """Remove the drafts and folders that no job owns."""
        for entry in self.root.iterdir():
            if entry.is_dir() and entry.name not in keep:
                shutil.rmtree(entry, ignore_errors=True)

    def keep_outputs(
        self, job_id: str, attempt: int, made: tuple[Fetched, ...] | None = None
    ) -> None:
        """The outputs of the last attempt become the job's, before anybody is told that it
        succeeded; those of others go. ``made`` lists them where that is known.

        Raises:
            OSError: the disk cannot keep them.
        """
        self._specs.pop(job_id, None)
        folder = self.job(job_id)
        final, latest = folder / "outputs", folder / f"outputs.{attempt}"
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries]
        for name in found:
            if name.startswith(("outputs", "unpacked.")) and name != latest.name:
                shutil.rmtree(folder / name, ignore_errors=True)
        try:
            if self.durable:
                tree.sync_all(latest)
            latest.rename(final)
        except FileNotFoundError:
            final.mkdir()
        if self.durable:
            tree.sync(folder)
        if made is not None and len(self._made) < _REMEMBERED:
            self._made[job_id] = made

    def made(self, job_id: str) -> tuple[Fetched, ...] | None:
        """The outputs of a job as its worker saw them; None where that is not known."""
        return self._made.get(job_id)

    def clear_attempt(self, job_id: str, attempt: int) -> None:
        """Remove what a run of this number left when the scheduler closed."""
        folder = self.job(job_id)
        for part in (f"outputs.{attempt}", f"unpacked.{attempt}", f"outcome.{attempt}"):
            tree.clear(f"{folder}/{part}")

    def outcome(self, job_id: str, attempt: int) -> dict[str, Any] | None:
        """What an attempt left as its end, or None."""
        try:
            text = (self.job(job_id) / f"outcome.{attempt}").read_text()
        except OSError:
            return None
        left: dict[str, Any] = json.loads(text)
        return left

    def trim_log(self, job_id: str, attempt: int) -> None:
        """Empty the log of an attempt that prints without end; only its end is ever shown."""
        path = self.job(job_id) / f"log.{attempt}"
        with contextlib.suppress(OSError):
            if path.stat().st_size > _LOG:
                os.truncate(path, 0)

    def tail(self, job_id: str, attempt: int, *, size: int = 4000) -> str:
        """The end of what an attempt printed."""
        try:
            with (self.job(job_id) / f"log.{attempt}").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - size))
                return log.read().decode(errors="replace").strip()
        except OSError:
            return ""

    def outputs(self, job_id: str) -> Iterator[tuple[str, Path]]:
        """Every output file, sub-folders included: its name, and the regular file it stands for.

        Raises:
            Refused: a link leads out of the outputs, or an output is no regular file.
        """
        top = self.job(job_id) / "outputs"
        for folder, _, names in os.walk(top, onerror=_walk_failed):
            for name in sorted(names):
                path = Path(folder, name)
                yield path.relative_to(top).as_posix(), _proved(path, top)

    def outputs_of(self, job_id: str, attempt: int) -> Path:
        """The folder that holds a job's outputs now: the final one, or that of its attempt."""
        final = self.job(job_id) / "outputs"
        return final if final.is_dir() else self.job(job_id) / f"outputs.{attempt}"

    def output(self, outputs: Path, name: str) -> Path:
        """The path of one output, proved inside the given outputs.

        Raises:
            OutsideRoot: the name or a link leads out.
            FileGone: there is no such output.
        """
        top = outputs.resolve()
        if "\0" in name or name.startswith("/"):
            raise OutsideRoot("the name leads out of the outputs", where=name)
        path = (top / name).resolve()
        if not path.is_relative_to(top):
            raise OutsideRoot("the name leads out of the outputs", where=name)
        if not path.exists():
            raise FileGone("there is no such output", where=name)
        return path


def _walk_failed(error: OSError) -> None:
    raise JobLost("the outputs are gone", where=str(error.filename)) from error


def _proved(path: Path, top: Path) -> Path:
    real = path.resolve()
    if not real.is_relative_to(top.resolve()) or not real.is_file():
        raise Refused("an output is no regular file inside the job's outputs", where=path.name)
    return real


def write_inputs(folder: Path, sources: tuple[Source, ...], *, durable: bool = True) -> list[str]:
    """Stream the sources below ``folder``; the relative names they got.

    Raises:
        Refused: a name leads out or stands twice, or a source is not as long as announced.
    """
    folder.mkdir(exist_ok=True)
    names = [safe_name(source.name) for source in sources]
    if len(set(names)) < len(names):
        raise Refused("two input files have the same name")
    for source, name in zip(sources, names, strict=True):
        target = folder / name
        try:
            if "/" in name:
                target.parent.mkdir(parents=True, exist_ok=True)
            size = _place(source, target, durable=durable)
        except (FileExistsError, NotADirectoryError) as error:
            raise Refused("an input is a file and a folder at once", where=name) from error
        if size != source.size:
            raise Refused(f"{size} bytes were read, {source.size} announced", where=source.name)
    for below, _, _ in os.walk(folder) if durable else ():
        tree.sync(Path(below))
    return names


def safe_name(name: str) -> str:
    """A relative name whose every part fits a file system; ``Refused`` when it leads out."""
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise Refused("the name of an input must be relative and stay inside", where=repr(name))
    return "/".join(_short(part) for part in parts)


def _short(part: str) -> str:
    raw = os.fsencode(part)
    if len(raw) <= _NAME_BYTES:
        return part
    suffix = os.fsencode(os.path.splitext(part)[1])[:_KEPT_SUFFIX]  # noqa: PTH122  (a string)
    return raw[: _NAME_BYTES - len(suffix)].decode(errors="ignore") + os.fsdecode(suffix)


def _place(source: Source, target: Path, *, durable: bool) -> int:
    if isinstance(source, Landed):
        source.path.rename(target)
        return target.stat().st_size
    with contextlib.closing(source.open()) as stream:
        return _write(target, stream, min(content.CHUNK, source.size + 1), durable=durable)


def _write(target: Path, stream: content.Reads, chunk: int, *, durable: bool) -> int:
    size = 0
    with target.open("xb", buffering=0) as file:
        while piece := stream.read(chunk):
            size += len(piece)
            while piece:
                piece = piece[file.write(piece) :]
        if durable:
            os.fsync(file.fileno())
    return size
