"""The commands that download, and fetching all outputs of a job for those that convert.

Imports click, the HTTP client's types and errors, and its neighbours. Invariants: a name that the
scheduler gave is proved inside its folder; nothing waits for what can never come.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from watcher.adapters.http import State
from watcher.adapters.http.download import inside, unpack
from watcher.cli import show
from watcher.cli.follow import PATIENCE, QUEUED
from watcher.cli.inputs import job_option
from watcher.cli.place import check_writable, settle, staging, target_of
from watcher.cli.progress import Bars, size
from watcher.cli.remote import Remote, client_options, reached
from watcher.errors import (
    JobLost,
    Refused,
    SchedulerError,
    TimedOut,
    TooEarly,
    Unauthorized,
    Unreachable,
    UsageError,
)

QUEUE = 30.0  # seconds that a job may stay PENDING while its archive is waited for
PACKING = 600.0  # seconds that an ended job's archive may take
SLOWEST = 10.0  # seconds: on the real scheduler each request may queue one packing more


@click.command(
    epilog="\b\nExamples:\n  watcher download -j UUID -f output.glb -o models/part.glb\n"
    "  watcher download -j UUID -f textures -o models/"
)
@job_option
@click.option("-f", "--file", "name", required=True, help="The output, as `outputs` lists it.")
@click.option("-o", "--output", metavar="PATH", help="Where to: a file or a folder [./FILE].")
@client_options
def download(uuid: str, name: str, output: str | None) -> None:
    """Download one output of a job; a folder with all that is in it.

    The file appears under its name only when it is whole.
    """
    base = name.rstrip("/").rpartition("/")[2]
    if {"..", "."} & {*name.split("/")} or not base or name.startswith("/") or "\0" in name:
        raise UsageError("not the name of an output", where=f"--file {name!r}")
    target = target_of(output, base)
    if not target.is_dir():
        check_writable(target)
    with reached() as remote, Bars() as bars:
        try:
            remote.download(uuid, name, target, progress=bars.download(base))
            written: Sequence[Path] = (target,)
        except Unauthorized:
            raise
        except SchedulerError:
            found = _folder(remote, uuid, name.rstrip("/"), target, bars)
            if found is None:
                raise
            written = found
    _told({"uuid": uuid, "name": name}, written)


def _folder(
    remote: Remote, uuid: str, name: str, target: Path, bars: Bars
) -> Sequence[Path] | None:
    """The files of an output folder, out of the archive; None when it is no folder.

    The real scheduler answers 500 to a folder's name and lists nothing below it.
    """
    if name not in remote.outputs(uuid):
        return None
    with staging(target.parent) as place:
        try:
            archive(remote, uuid, place / "all.zip", progress=bars.download(name))
        except SchedulerError:
            return None  # what was said of the output itself tells more
        unpack(place / "all.zip", place / "all")
        top = inside(place / "all", name)
        found = [path for path in sorted(top.rglob("*")) if path.is_file()]
        if not top.is_dir():
            return None
        moves = {path: target / path.relative_to(top) for path in found}
        settle(moves, over=frozenset(moves.values()))
    return tuple(moves.values())


@click.command(
    epilog="\b\nExamples:\n  watcher download_all -j UUID\n"
    "  watcher download_all -j UUID -o all.zip"
)
@job_option
@click.option("-o", "--output", metavar="PATH", help="Where to: a file or a folder [./UUID.zip].")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait so long at most, then exit 4.",
)
@client_options
def download_all(uuid: str, output: str | None, timeout: float | None) -> None:
    """Download all outputs of a job as a zip.

    Waits while the job runs and while the scheduler packs; the zip is proved whole.
    """
    target = target_of(output, f"{uuid}.zip")
    check_writable(target)
    with reached(follows=uuid, timeout=timeout) as remote, Bars() as bars:
        archive(remote, uuid, target, timeout=timeout, progress=bars.download(target.name))
    _told({"uuid": uuid}, (target,))


def _told(document: dict[str, Any], written: Sequence[Path]) -> None:
    if show.for_programs():
        length = sum(path.stat().st_size for path in written)
        show.document(document | {"files": [str(path) for path in written], "size": length})
        return
    for path in written:
        click.echo(f"{path}  {size(path.stat().st_size)}")


def archive(
    remote: Remote,
    uuid: str,
    target: Path,
    *,
    timeout: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """The archive of a job's outputs, waited for as long as it can still come.

    Whether "too early" can end is judged by the job's state: while it runs, for ever; once it has
    ended, ten minutes for packing; while it is PENDING, half a minute, since the scheduler says
    that of unknown jobs as well. ``timeout`` in seconds stands for all of these.

    Raises:
        JobLost: there is no such job.
        Refused: the job was revoked: there will never be an archive.
        TimedOut: it did not come in time.
    """
    wait = _Wait(uuid, timeout)
    while True:
        try:
            state = remote.status(uuid).state
            if state is State.REVOKED:
                raise Refused("was revoked: it has no archive", where=f"job {uuid}")
            if _may_have_one(state) and _tried(remote, uuid, target, progress):
                return
            wait.seen(state)
        except Unauthorized:
            raise
        except Unreachable as error:
            wait.lost(error)
        wait.pause()


def _may_have_one(state: State) -> bool:
    """PENDING too: the answer tells an unknown job; a lost result leaves the files."""
    return state in {State.SUCCESS, State.FAILURE, State.PENDING}


def _tried(
    remote: Remote, uuid: str, target: Path, progress: Callable[[int, int], None] | None
) -> bool:
    """Whether the archive is there."""
    try:
        remote.archive(uuid, target, progress=progress)
    except TooEarly:
        return False
    except JobLost as error:
        raise JobLost(
            "the scheduler does not know this job, or it has not begun",
            where=f"job {uuid}",
            fix="`watcher jobs` lists what it knows",
        ) from error
    return True


class _Wait:
    """How long an archive is still waited for, by what was seen of its job."""

    def __init__(self, uuid: str, timeout: float | None) -> None:
        self._uuid, self._timeout = uuid, timeout
        self._begun = time.monotonic()
        self._state: State | None = None
        self._since = self._begun
        self._away = math.inf  # since when the scheduler is not reached
        self._delay = 0.5

    def seen(self, state: State) -> None:
        """The job is in this state, and too early for an archive."""
        self._away = math.inf
        if state is not self._state:
            self._state, self._since = state, time.monotonic()

    def lost(self, error: Unreachable) -> None:
        """The scheduler was not reached: borne for a while, but not from the first. One look alone
        may take longer than that while, which begins when it has failed."""
        self._away = min(self._away, time.monotonic())
        if self._state is None or time.monotonic() - self._away >= PATIENCE:
            raise error

    def pause(self) -> None:
        """Ever longer; ``TimedOut`` when it would be too long."""
        now = time.monotonic()
        start = self._since if self._timeout is None else self._begun
        patience = self._patience()
        if patience is not None and now + self._delay > start + patience:
            raise self._late(now - self._begun)
        time.sleep(self._delay)
        self._delay = min(self._delay * 1.5, SLOWEST)

    def _patience(self) -> float | None:
        if self._timeout is not None:
            return self._timeout
        if self._state is State.PENDING:
            return QUEUE
        return PACKING if self._state is not None and self._state.ended else None

    def _late(self, passed: float) -> TimedOut:
        ended = self._state is not None and self._state.ended
        told = "its outputs are not packed" if ended else f"still {self._state}"
        unknown = f" ({QUEUED})" if self._state is State.PENDING else ""
        return TimedOut(
            f"{told} after {passed:.0f} s{unknown}",
            where=f"job {self._uuid}",
            fix="" if self._timeout is not None else "--timeout SECONDS waits longer",
        )


def gather(remote: Remote, uuid: str, place: Path, bars: Bars) -> tuple[str, ...]:
    """Every output file of an ended job into ``place``: file by file, or through the archive when
    there is a folder among them. Their relative names.

    Raises:
        OutsideRoot: an output's name leads out of the folder.
    """
    names = remote.outputs(uuid)
    for name in names:
        inside(place, name)
    if not all(map(partial(_fetched, remote, uuid, place, bars), names)):
        packed = place / ".outputs.zip"
        archive(remote, uuid, packed, progress=bars.download("outputs"))
        unpack(packed, place)
        packed.unlink()
    found = sorted(path for path in place.rglob("*") if path.is_file())
    return tuple(path.relative_to(place).as_posix() for path in found)


def _fetched(remote: Remote, uuid: str, place: Path, bars: Bars, name: str) -> bool:
    """Whether an output was a file. A folder is refused in one way or another; a scheduler that is
    away is found out by the archive."""
    try:
        remote.download(uuid, name, inside(place, name), progress=bars.download(name))
    except Unauthorized:
        raise
    except SchedulerError:
        return False
    return True
