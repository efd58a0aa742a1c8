"""The folder of a job on disk: inputs written once, outputs by attempt, names proved.

Imports the standard library, ``watcher.content``, ``watcher.core.ports`` and ``watcher.errors``.
Invariant: a job's folder appears whole or not at all, and no name leads out of where it belongs.

::

    jobs/<id>/spec.json  inputs/  script.py  outputs/  log.<attempt>  outcome.<attempt>
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher import content
from watcher.core.model import Fetched
from watcher.core.ports import Source
from watcher.errors import FileGone, JobLost, OutsideRoot, Refused

_NAME_BYTES = 255
_KEPT_SUFFIX = 32
_LOG = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed(Source):
    """A source that stands, durably, in a file beside the jobs: moved, not copied."""

    path: Path


class Folders:
    """All jobs' folders.

    Args:
        root: the folder that holds them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def job(self, job_id: str) -> Path:
        """The folder of a job."""
        return self.root / job_id

    def draft(self) -> Path:
        """A private folder in which a job is put together."""
        return Path(tempfile.mkdtemp(prefix=".new-", dir=self.root))

    def settle(self, draft: Path, job_id: str) -> None:
        """Give a finished draft its name, durably. What an earlier crash left there goes."""
        target = self.job(job_id)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
        _sync(self.root)

    def remove(self, folder: Path) -> None:
        """Delete a folder, by a name of its own first, so that no half of it is ever seen."""
        doomed = self.draft()
        with contextlib.suppress(FileNotFoundError):  # it is gone already
            folder.rename(doomed / "job")
        shutil.rmtree(doomed, ignore_errors=True)

    def sweep(self, keep: set[str]) -> None:
        """Remove the drafts and folders that no job owns."""
        for entry in self.root.iterdir():
            if entry.is_dir() and entry.name not in keep:
                shutil.rmtree(entry, ignore_errors=True)

    def keep_outputs(self, job_id: str, attempt: int) -> None:
        """The outputs of the last attempt become the job's, durably, before anybody is told that
        it succeeded; those of others go. Raises ``OSError``: the disk cannot keep them."""
        folder = self.job(job_id)
        final = folder / "outputs"
        for old in (*folder.glob("outputs*"), *folder.glob("unpacked.*")):
            if old.name != f"outputs.{attempt}":
                shutil.rmtree(old, ignore_errors=True)
        made = folder / f"outputs.{attempt}"
        if made.is_dir():
            _sync_tree(made)
            made.rename(final)
        else:
            final.mkdir(exist_ok=True)
        _sync(folder)

    def clear_attempt(self, job_id: str, attempt: int) -> None:
        """Remove what a run of this number left when the scheduler closed."""
        folder = self.job(job_id)
        for part in (f"outputs.{attempt}", f"unpacked.{attempt}"):
            shutil.rmtree(folder / part, ignore_errors=True)
        (folder / f"outcome.{attempt}").unlink(missing_ok=True)

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

    def config(self, job_id: str) -> dict[str, Any]:
        """The run options that a job was stored with; none where they cannot be read."""
        try:
            stored = json.loads((self.job(job_id) / "spec.json").read_text())["config"]
        except (OSError, ValueError, LookupError):
            return {}  # the run itself tells what is wrong with it
        return dict(stored)

    def queue(self, job_id: str) -> str:
        """The queue that a job asks for; `cpu` where that cannot be read."""
        try:
            return str(json.loads((self.job(job_id) / "spec.json").read_text())["queue"])
        except (OSError, ValueError, LookupError):
            return "cpu"  # as above

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


def bring(source: Path, into: Path, name: str) -> Fetched:
    """Put an output below ``into``: a hard link where the file system can, else a copy."""
    target = into / name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        with source.open("rb") as stream, target.open("xb") as copy:
            return Fetched(name, *content.copy(stream, copy))
    with target.open("rb") as stream:
        return Fetched(name, *content.copy(stream, None))


def write_inputs(folder: Path, sources: tuple[Source, ...]) -> list[str]:
    """Stream the sources below ``folder``, durably; the relative names they got.

    Raises:
        Refused: a name leads out or stands twice, or a source is not as long as announced.
    """
    folder.mkdir()
    names = [safe_name(source.name) for source in sources]
    if len(set(names)) < len(names):
        raise Refused("two input files have the same name")
    for source, name in zip(sources, names, strict=True):
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise Refused("an input is a file and a folder at once", where=name) from error
        size = _place(source, target)
        if size != source.size:
            raise Refused(f"{size} bytes were read, {source.size} announced", where=source.name)
    for below, _, _ in os.walk(folder):
        _sync(Path(below))
    return names


def write_spec(folder: Path, spec: Mapping[str, Any], script: bytes | None) -> None:
    """Keep what a worker must know, durably."""
    for name, data in (("spec.json", json.dumps(spec).encode()), ("script.py", script)):
        if data is not None:
            with (folder / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
    _sync(folder)


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


def _place(source: Source, target: Path) -> int:
    if isinstance(source, Landed):
        source.path.rename(target)
        return target.stat().st_size
    with contextlib.closing(source.open()) as stream:
        return _write(target, stream)


def _write(target: Path, stream: content.Reads) -> int:
    with target.open("xb") as file:
        size, _ = content.copy(stream, file)
        file.flush()
        os.fsync(file.fileno())
    return size


def _sync_tree(top: Path) -> None:
    """Every regular file and folder below: else a power cut could leave a job that succeeded with
    empty outputs, and they would be delivered."""
    for place, _, names in os.walk(top):
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                _sync(path)
        _sync(Path(place))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
