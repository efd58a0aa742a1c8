"""``watcher serve``: the embedded scheduler as an HTTP server.

Imports click, ``cli.broker``, ``config.values`` and, when it runs, ``serving``. Invariant: it
never listens beyond this machine without a token.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from watcher.cli import broker
from watcher.cli.wanted import Wanted
from watcher.config.values import duration
from watcher.errors import UsageError

FOREVER = "forever"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8001,
    show_default=True,
    help="0 takes any free one.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="The folder of the jobs [$WATCHER_STATE, else $XDG_STATE_HOME/watcher].",
)
@click.option(
    "-t", "--token", help="What callers send as x-api-key [$PIXYZ_SCHEDULER_TOKEN]; others see it."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="The file that holds the token [$PIXYZ_SCHEDULER_TOKEN_FILE].",
)
@click.option("--no-scripts", is_flag=True, help="Run no scripts of callers, processes only.")
@click.option(
    "--processes", type=click.Path(path_type=Path), help="A folder of process scripts of yours."
)
@click.option("--workers", default="auto", show_default=True, help="Jobs at a time; auto: cores.")
@click.option(
    "--keep",
    default="7d",
    show_default=True,
    help="How long ended jobs and their files stay; `forever` keeps them.",
)
@click.option(
    "--executor",
    type=click.Choice(["local", "celery"]),
    default="local",
    show_default=True,
    help="Who runs the jobs: processes of this machine, or `watcher worker` on any.",
)
@broker.options
@click.pass_context
def serve(ctx: click.Context, /, **options: Any) -> None:
    """Serve the embedded scheduler over HTTP, until SIGTERM or Ctrl-C.

    It speaks the API of a Pixyz Scheduler, so every client of one works. Whoever may submit a job
    may run a script as the user of this process: beyond this machine a token is demanded, and
    --no-scripts allows named processes only.

    \b
    watcher serve
    watcher serve --host 0.0.0.0 --token-file /etc/watcher/token --no-scripts
    """  # noqa: D301  (click's mark for lines to be left alone)
    kept: Mapping[str, Any] = ctx.find_root().obj or {}
    from watcher.cli.serving import run  # noqa: PLC0415  (--help stays quick)

    run(_wanted(options, str(kept.get("token") or "")), verbose=bool(kept.get("verbose")))


def _wanted(options: Mapping[str, Any], token: str) -> Wanted:
    found = Wanted(
        host=options["host"],
        port=options["port"],
        state=options["state"] or state_folder(os.environ),
        token=_sendable(_token(options["token"], token, options["token_file"], environ=os.environ)),
        scripts=not options["no_scripts"],
        processes=_folder(options["processes"]),
        workers=worker_count(options["workers"]),
        keep=_keep(options["keep"]),
        broker=_broker(options, os.environ),
    )
    _open_to_others(found)
    return found


def _broker(options: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    if options["executor"] == "celery":
        if options["workers"] != "auto":
            raise UsageError(
                "serve itself runs no jobs then",
                where="--workers",
                fix="give it to each `watcher worker`",
            )
        return broker.address(options["broker"], options["broker_file"], environ)
    if options["broker"] or options["broker_file"]:
        raise UsageError(
            "jobs run on this machine and need no broker", where="--broker", fix="--executor celery"
        )
    return ""


def _open_to_others(wanted: Wanted) -> None:
    from watcher.embedded.server.guard import is_loopback  # noqa: PLC0415  (--help stays quick)

    if not wanted.token and not is_loopback(wanted.host):
        raise UsageError(
            "without a token anybody there could run jobs on this machine",
            where=f"--host {wanted.host}",
            fix="give --token-file FILE, or listen on 127.0.0.1",
        )


def state_folder(environ: Mapping[str, str]) -> Path:
    """The state folder where none is given."""
    if environ.get("WATCHER_STATE"):
        return Path(environ["WATCHER_STATE"])
    home = environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "watcher"


def _token(here: str | None, before: str, file: Path | None, *, environ: Mapping[str, str]) -> str:
    """The token that was given behind the command, before it, in a file, or in the environment."""
    if here is not None:
        if not here:
            raise UsageError("the token is empty", where="--token", fix="leave it out, or give one")
        return here
    if before:
        return before
    if file is None and environ.get("PIXYZ_SCHEDULER_TOKEN"):
        return environ["PIXYZ_SCHEDULER_TOKEN"]
    if file is None and environ.get("PIXYZ_SCHEDULER_TOKEN_FILE"):
        file = Path(environ["PIXYZ_SCHEDULER_TOKEN_FILE"])
    return _read(file) if file else ""


def _read(file: Path) -> str:
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise UsageError(f"the token cannot be read ({reason})", where=str(file)) from error
    if not text:
        raise UsageError("the token file is empty", where=str(file))
    return text


def _sendable(token: str) -> str:
    if not all("!" <= letter <= "~" for letter in token):
        raise UsageError("the token holds characters that no header can carry", where="--token")
    return token


def _folder(path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():
        raise UsageError("not a folder", where=f"--processes {path}")
    return path


def worker_count(text: str) -> int:
    """How many jobs at a time; 0 is one a core. Raises ``UsageError``."""
    if text == "auto":
        return 0
    if not text.isdecimal() or not 1 <= int(text) <= 1024:  # noqa: PLR2004
        raise UsageError(f"{text!r} is not a number of processes, or auto", where="--workers")
    return int(text)


def _keep(text: str) -> float | None:
    if text == FOREVER:
        return None
    try:
        seconds = duration(text)
    except ValueError as error:
        raise UsageError(f"{error}, nor `{FOREVER}`", where="--keep") from error
    if seconds <= 0:
        raise UsageError("results would be gone before anybody reads them", where="--keep 0")
    return seconds
