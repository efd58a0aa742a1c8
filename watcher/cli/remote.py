"""The scheduler as the client commands see it: one protocol, over HTTP or in this process.

Imports click, the HTTP client, errors and ``connection``; the embedded scheduler only when it is
asked for. Invariant: commands know ``Remote`` alone and cannot tell the two apart.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from watcher.adapters.http import Client, Details, Job, Server, Submission
from watcher.cli.connection import EMBEDDED, chosen, connection_options
from watcher.errors import Unreachable

F = TypeVar("F", bound=Callable[..., Any])
Progress = Callable[[int, int], None]  # bytes done, bytes in all (0: unknown)
READ, LEAST = 60.0, 10.0  # seconds that an answer may take
STORED = 20e6  # bytes a second that a server stores at the least
_STOPS = (signal.SIGTERM, signal.SIGHUP)


class Remote(Protocol):
    """The calls of the scheduler; ``adapters.http.Client`` tells what each means and raises."""

    def processes(self) -> tuple[str, ...]:
        """Names of processes."""
        ...

    def doc(self, process: str) -> str:
        """What a process says of itself."""
        ...

    def listed(self) -> tuple[dict[str, Any], ...]:
        """The short documents of all jobs."""
        ...

    def status(self, uuid: str) -> Job:
        """The short form of a job."""
        ...

    def details(self, uuid: str) -> Details:
        """The long form of a job."""
        ...

    def outputs(self, uuid: str) -> tuple[str, ...]:
        """The names at the top of a job's outputs."""
        ...

    def download(
        self, uuid: str, name: str, target: Path, *, progress: Progress | None = None
    ) -> int:
        """One output, whole or not at all; its length."""
        ...

    def archive(self, uuid: str, target: Path, *, progress: Progress | None = None) -> None:
        """All outputs as a zip, whole or not at all."""
        ...

    def submit(self, wanted: Submission, *, progress: Progress | None = None) -> Job:
        """Send a job."""
        ...

    def close(self) -> None:
        """Done with it."""
        ...


@contextmanager
def reached(
    *, follows: str = "", timeout: float | None = None, upload: int = 0
) -> Iterator[Remote]:
    """The scheduler of this command line.

    Args:
        follows: the job that must go on meanwhile, if the scheduler is in this process.
        timeout: seconds that a person wants to wait in all; a single answer gets no more, and never
            less than ten.
        upload: bytes that will be sent: the reply comes only when the server has stored them.
    """
    connection = chosen()
    remote: Remote
    if connection.url == EMBEDDED:
        from watcher.cli.local import LocalRemote  # noqa: PLC0415  (no client needs it)

        remote = LocalRemote(state_folder(os.environ), follows=follows)
    else:
        if connection.insecure:
            import urllib3  # noqa: PLC0415  (only here)

            urllib3.disable_warnings()  # whoever says --insecure knows
        remote = Client(
            Server(
                url=connection.url,
                token=connection.token,
                ca=connection.ca,
                insecure=connection.insecure,
                read=_patience(timeout) + upload / STORED,
            )
        )
    try:
        with _cleanly_stopped():
            yield remote
    except Unreachable as error:
        error.fix = error.fix or "check that the scheduler runs, and its address (-u)"
        raise
    finally:
        remote.close()


def _patience(timeout: float | None) -> float:
    return READ if timeout is None else min(READ, max(LEAST, timeout))


@contextmanager
def _cleanly_stopped() -> Iterator[None]:
    """SIGTERM and SIGHUP leave the block as Ctrl-C does, so that no half file stays."""

    def stop(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    ours = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, stop) for number in _STOPS if ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where the jobs of ``-u embedded`` live.

    Source: XDG Base Directory Specification 0.8: a relative path in the variable is ignored.
    """
    if own := environ.get("WATCHER_STATE"):
        return Path(own)
    base = Path(environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "state") / "watcher"


def client_options(command: F) -> F:
    """The connection's options and ``--json``."""

    def keep(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001
        ctx.find_root().ensure_object(dict)["json"] = value

    as_json = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=keep,
        help="One JSON document on stdout, as when it is piped.",
    )
    return connection_options(as_json(command))
