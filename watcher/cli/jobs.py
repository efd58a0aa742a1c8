"""The client's questions: list, doc, jobs, status, details, outputs.

Imports click and its neighbours. Invariant: what programs get is the scheduler's own document.
"""

from __future__ import annotations

from typing import Any

import click

from watcher.adapters.http import Details, State
from watcher.cli import show
from watcher.cli.follow import QUEUED, Waiting, follow, look, named, succeeded, waiting_options
from watcher.cli.inputs import job_option
from watcher.cli.progress import Bars
from watcher.cli.remote import client_options, reached
from watcher.core.printing import printable
from watcher.errors import UsageError

SHORT = ("uuid", "name", "status", "progress", "error")
STATES = (*(state.value for state in State if state is not State.SENT), "UNKNOWN")


@click.command("list", epilog="\b\nExample:\n  watcher -u http://farm:8001 list")
@client_options
def list_() -> None:
    """List the processes of the scheduler."""
    with reached() as remote:
        names = remote.processes()
    if show.for_programs():
        show.document({"processes": list(names)})
    else:
        for name in names:
            click.echo(printable(name))


@click.command(epilog="\b\nExamples:\n  watcher doc convert_file\n  watcher doc -n convert_file")
@click.argument("process", required=False)
@click.option("-n", "--name", help="The process; the same as the argument.")
@client_options
def doc(process: str | None, name: str | None) -> None:
    """Show the documentation of a process, asked of the scheduler."""
    if not (process or name) or (process and name and process != name):
        raise UsageError("one process is needed", fix="`watcher list` tells their names")
    with reached() as remote:
        text = remote.doc(name or process or "")
    if show.for_programs():
        show.document({"doc": text})
    else:
        click.echo("\n".join(map(printable, text.splitlines())))


@click.command(epilog="\b\nExample:\n  watcher jobs --status FAILURE --limit 10 --json")
@click.option(
    "--status", type=click.Choice(STATES, case_sensitive=False), help="Only jobs in this state."
)
@click.option("--limit", type=click.IntRange(min=0), help="At most so many.")
@client_options
def jobs(status: str | None, limit: int | None) -> None:
    """List jobs. A Pixyz Scheduler lists those of the last day, without the queued ones."""
    with reached() as remote:
        found = [job for job in remote.listed() if status in (None, job.get("status"))]
    found = found[:limit]
    if show.for_programs():
        show.document({"jobs": found})
    else:
        show.jobs(found)


@click.command(epilog="\b\nExamples:\n  watcher status -j UUID\n  watcher status -j UUID -w")
@job_option
@click.option("-w", "--watch", is_flag=True, help="Follow the job to its end; exit 1 if it fails.")
@waiting_options
@client_options
def status(uuid: str, watch: bool, timeout: float | None, patience: float) -> None:  # noqa: FBT001
    """Show the state of a job.

    A scheduler says PENDING of jobs that it does not know as well: --timeout ends the wait.
    """
    if not watch:
        with reached() as remote:
            _short(remote.status(uuid).document)
        return
    with reached(follows=uuid, timeout=timeout) as remote, named(uuid):
        with Bars() as bars:
            found = follow(remote, uuid, Waiting(timeout, patience), _Watched(bars), bars.note)
        shown = {key: found.document.get(key) for key in SHORT}
        _short(shown)
    succeeded(found)


class _Watched:
    """Shows a job, and says once what PENDING may mean."""

    def __init__(self, bars: Bars) -> None:
        self._bars, self._told = bars, False

    def __call__(self, details: Details) -> None:
        self._bars.job(details)
        if details.job.state is State.PENDING and not self._told:
            self._told = True
            self._bars.note(f"{QUEUED}; --timeout SECONDS ends the wait")


def _short(shown: dict[str, Any]) -> None:
    if show.for_programs():
        show.document(shown)
    else:
        show.short(shown)


@click.command(epilog="\b\nExample:\n  watcher details -j UUID --json")
@job_option
@client_options
def details(uuid: str) -> None:
    """Show all of a job: times, steps, result, error (-v: with its traceback)."""
    with reached() as remote:
        found = look(remote, uuid)
    if show.for_programs():
        show.document(found.document)
    else:
        show.details(found)


@click.command(epilog="\b\nExample:\n  watcher outputs -j UUID")
@job_option
@client_options
def outputs(uuid: str) -> None:
    """List the outputs of a job: the files and folders at the top."""
    with reached() as remote:
        names = remote.outputs(uuid)
    if show.for_programs():
        show.document({"outputs": list(names)})
    else:
        for name in sorted(names):
            click.echo(printable(name))
