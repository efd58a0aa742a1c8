"""The commands that run a job of one's own choice: exec and process; and sending, for all others.

Imports click, the HTTP client's types and its neighbours. Invariants: whatever is wrong on this
side is found before anything is sent; once a job was sent, its id is printed whatever happens.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from watcher.adapters.http import Details, Job, State, Submission
from watcher.cli import show
from watcher.cli.connection import EMBEDDED, chosen
from watcher.cli.follow import QUIET, Waiting, follow, named, reason, succeeded, waiting_options
from watcher.cli.inputs import (
    READABLE,
    config_of,
    input_option,
    params_option,
    run_options,
    source,
)
from watcher.cli.progress import Bars
from watcher.cli.remote import Remote, client_options, reached
from watcher.core.printing import printable
from watcher.errors import StateUnknown, UsageError

BATCH = {State.SUCCESS: 0, State.FAILURE: 10, State.REVOKED: 11}  # the guide's codes
UNKNOWN = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is done once the job was sent."""

    watch: bool = False
    result: bool = False
    batch: bool = False
    waiting: Waiting = field(default_factory=Waiting)


def _wish_options(command: Any) -> Any:
    watch = click.option(
        "-w", "--watch", is_flag=True, help="Follow the job to its end; exit 1 if it fails."
    )
    result = click.option("-r", "--result", is_flag=True, help="Print its result; waits for it.")
    batch = click.option(
        "-b",
        "--batch",
        is_flag=True,
        help="Print the job's id and nothing else; with -w exit 0, 10 FAILURE, 11 REVOKED, "
        "17 UNKNOWN.",
    )
    return watch(result(batch(waiting_options(command))))


@click.command(
    "exec",
    epilog="\b\nExamples:\n"
    '  watcher exec -s script.py -i part.step -p \'{"param1": "value1"}\'\n'
    "  watcher exec -s script.py -p @params.json -w -r\n"
    "  ID=$(watcher exec -s script.py -b)",
)
@click.option("-s", "--script", type=READABLE, required=True, help="Your script.")
@input_option(required=False)
@params_option
@click.option("-e", "--entrypoint", default="", help="Its function [main].")
@run_options
@_wish_options
@client_options
def exec_(
    script: Path, input_: Path | None, params: dict[str, Any], entrypoint: str, **rest: Any
) -> int:
    """Run a Python script of yours, which has `def main(pc, params)`."""
    source(script)
    if input_ is not None and input_.name == script.name:
        raise UsageError(
            "the script and the input have one name: the scheduler would keep one of them",
            where=script.name,
            fix="rename one",
        )
    config, name, wish = _taken(rest, entrypoint)
    sources = () if input_ is None else (source(input_),)
    wanted = Submission(script=script, name=name, params=params, config=config, sources=sources)
    return _run(wanted, wish)


@click.command(
    epilog="\b\nExamples:\n  watcher process -n convert_file -i part.step -w\n"
    "  watcher process -n generate_thumbnails -i part.obj -p '{\"width\": 1024}' -w -r"
)
@click.option("-n", "--name", "process_", required=True, help="The process; see `watcher list`.")
@input_option(required=False)
@params_option
@click.option("-e", "--entrypoint", default="", help="Its function [main].")
@run_options
@_wish_options
@client_options
def process(
    process_: str, input_: Path | None, params: dict[str, Any], entrypoint: str, **rest: Any
) -> int:
    """Run a process of the scheduler."""
    config, name, wish = _taken(rest, entrypoint)
    sources = () if input_ is None else (source(input_),)
    wanted = Submission(process=process_, name=name, params=params, config=config, sources=sources)
    return _run(wanted, wish)


def _taken(rest: dict[str, Any], entrypoint: str) -> tuple[dict[str, Any], str, Wish]:
    """The options that all these commands share."""
    waiting = Waiting(rest["timeout"], rest["patience"])
    wish = Wish(
        watch=rest["watch"] or (rest["result"] and not rest["batch"]),
        result=rest["result"],
        batch=rest["batch"],
        waiting=waiting,
    )
    return config_of(rest["queue"], rest["limit"], entrypoint), rest["alias"], wish


def _run(wanted: Submission, wish: Wish) -> int:
    size = sum(each.size for each in wanted.sources)
    with reached(timeout=wish.waiting.timeout, upload=size) as remote:
        with Bars() as bars:
            job = send(remote, wanted, bars)
            stays = wish.watch or chosen().url == EMBEDDED
            if stays:
                with named(job.uuid):
                    if wish.batch or not wish.watch:
                        bars.aside(partial(_sent, job, batch=wish.batch))
                    details = _followed(remote, job, wish, bars)
        if not stays:
            _sent(job, batch=wish.batch)
            return 0
        return UNKNOWN if details is None else _told(details, wish)


def send(remote: Remote, wanted: Submission, bars: Bars) -> Job:
    """Send a job, with a bar for the upload; Ctrl-C meanwhile tells that it may have arrived."""
    try:
        job = remote.submit(wanted, progress=bars.upload if wanted.sources else None)
    except KeyboardInterrupt:
        bars.note("stopped while the job was sent; `watcher jobs` tells if it arrived all the same")
        raise
    return replace(job, name=wanted.name or job.name)


def ended(remote: Remote, job: Job, waiting: Waiting, bars: Bars) -> Details:
    """A sent job followed to its end, with a bar; told once when it stays in the queue.

    The real scheduler forgets the name of a job that fails: it is told as it was given.
    """
    found = follow(remote, job.uuid, waiting, Queue(bars), bars.note)
    if found.job.name is not None or not job.name:
        return found
    named_again = replace(found.job, name=job.name)
    return replace(found, job=named_again, document=found.document | {"name": job.name})


class Queue:
    """Shows a job, and says once that it stays in the queue."""

    def __init__(self, bars: Bars, quiet: float = QUIET) -> None:
        self._bars, self._told = bars, False
        self._from = time.monotonic() + quiet

    def __call__(self, details: Details) -> None:
        """One look at the job."""
        self._bars.job(details)
        waits = details.job.state is State.PENDING and time.monotonic() >= self._from
        if waits and not self._told:
            self._told = True
            self._bars.note("still queued; so it stays when no worker serves its queue")


def _followed(remote: Remote, job: Job, wish: Wish, bars: Bars) -> Details | None:
    """The job at its end; None when ``-b`` is to tell that its state stayed unknown."""
    try:
        return ended(remote, job, wish.waiting, bars)
    except StateUnknown as error:
        if not (wish.batch and wish.watch):
            raise
        bars.note(str(error))
        return None


def _told(details: Details, wish: Wish) -> int:
    """Print how a job ended; the exit code. Without ``-w`` its sending alone counts."""
    job = details.job
    if wish.batch or not wish.watch:
        if job.state is not State.SUCCESS:
            why = printable(f"watcher: job {job.uuid} ended as {job.state}: {reason(details)}")
            click.echo(why, err=True)
        return BATCH.get(job.state, UNKNOWN) if wish.watch else 0
    if show.for_programs():
        show.document(details.document)
    succeeded(details)
    if not show.for_programs():
        if wish.result:
            show.result(details.result)
        else:
            show.details(details)
    return 0


def _sent(job: Job, *, batch: bool) -> None:
    if batch:
        click.echo(job.uuid)
    elif show.for_programs():
        show.document(job.document)
    else:
        click.echo(job.uuid)
        click.echo(f"follow it with `watcher {chosen().words}status -w -j {job.uuid}`", err=True)
