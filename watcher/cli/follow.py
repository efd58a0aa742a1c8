"""Following a job to its end, and the words for how it ended.

Imports click, the HTTP client's types, errors and ``remote``. Invariants: a dropped connection or a
scheduler that lost its store for a while ends nothing; one that stays away does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from watcher.adapters.http import Details, State
from watcher.cli.connection import EMBEDDED, chosen
from watcher.cli.remote import Remote
from watcher.core.printing import printable
from watcher.errors import Garbled, JobFailed, TimedOut, Unauthorized, Unreachable, WatcherError

F = TypeVar("F", bound=Callable[..., Any])
FASTEST, SLOWEST = 0.1, 2.0  # seconds between two looks; a tenth of the time that passed
QUIET = 30.0  # seconds in the queue after which a person is told what it may mean
PATIENCE = 30.0
SHOWN = 300  # characters of a reason
QUEUED = "PENDING: the scheduler does not tell a queued job from one that it does not know"


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long to wait in seconds: for the end of the job (None: for ever), and for a scheduler
    that cannot be reached."""

    timeout: float | None = None
    patience: float = PATIENCE


def waiting_options(command: F) -> F:
    """``--timeout`` and ``--patience``."""
    seconds = click.FloatRange(min=0)
    patience = click.option(
        "--patience",
        type=seconds,
        default=PATIENCE,
        show_default=True,
        metavar="SECONDS",
        help="Go on so long without reaching the scheduler.",
    )
    timeout = click.option(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="Wait so long at most, then exit 4; the job goes on.",
    )
    return timeout(patience(command))


def look(remote: Remote, uuid: str) -> Details:
    """The details of a job; of one whose result breaks them, what its short form tells."""
    try:
        return remote.details(uuid)
    except Garbled:
        job = remote.status(uuid)
        if not job.state.ended:
            raise
        return Details(job, document=job.document)


def follow(
    remote: Remote,
    uuid: str,
    waiting: Waiting,
    seen: Callable[[Details], None],
    note: Callable[[str], None],
) -> Details:
    """Look at a job until it has ended; ``seen`` is told of each look, ``note`` of each outage.

    Patience begins with the first look that fails: one alone may take longer than that.

    Raises:
        TimedOut: it had not ended in time.
        Unreachable: the scheduler stayed away longer than patience allows.
    """
    begun = time.monotonic()
    word, away = "not seen", math.inf  # since when the scheduler is not reached
    while True:
        try:
            details = look(remote, uuid)
        except Unauthorized:
            raise
        except Unreachable as error:
            first, away = away == math.inf, min(away, time.monotonic())
            if time.monotonic() - away >= waiting.patience:
                raise
            if first:
                note(f"{error}; asking again for {waiting.patience:g} s")
        else:
            word, away = details.job.state, math.inf
            seen(details)
            if details.job.state.ended:
                return details
        _pause(uuid, time.monotonic() - begun, waiting.timeout, word)


def _pause(uuid: str, passed: float, timeout: float | None, word: str) -> None:
    pause = min(SLOWEST, max(FASTEST, passed / 10))
    if timeout is not None:
        if passed >= timeout:
            raise TimedOut(f"still {word} after {timeout:g} s", where=f"job {uuid}")
        pause = min(pause, timeout - passed)
    time.sleep(pause)


def reason(details: Details) -> str:
    """Why a job failed, in one line: the last line of its traceback, or what there is.

    When the server says that it cannot try again, the first traceback tells the cause.
    """
    trace = (details.job.error or "").strip()
    said = details.result if isinstance(details.result, str) else ""
    if trace and "Can't retry" in trace.splitlines()[-1]:
        trace = trace.split("\n\n")[0].strip()
    text = trace.splitlines()[-1] if trace else said
    line = printable(" ".join(text.split()))
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."


def succeeded(details: Details) -> Details:
    """The details of a job that succeeded.

    Raises:
        JobFailed: it did not; with its reason.
    """
    state = details.job.state
    if state is State.SUCCESS:
        return details
    word = "failed" if state is State.FAILURE else "was revoked"
    why = reason(details)
    name = f" ({printable(details.job.name)})" if details.job.name else ""
    raise JobFailed(f"{word}: {why}" if why else word, where=f"job {details.job.uuid}{name}")


@contextmanager
def named(uuid: str) -> Iterator[None]:
    """Whatever ends the block early, a person is told how to go on with the job."""
    try:
        yield
    except JobFailed:
        raise
    except (WatcherError, KeyboardInterrupt):
        connection = chosen()
        goes = "goes on when it is followed" if connection.url == EMBEDDED else "goes on"
        again = f"watcher {connection.words}status -w -j {uuid}"
        click.echo(f"watcher: job {uuid} {goes}: `{again}`", err=True)
        raise
