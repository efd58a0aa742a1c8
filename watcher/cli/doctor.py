"""``watcher doctor``: looks at this machine and says what to mend.

Imports click, ``config`` and the checks. Invariant: it leaves the machine as it found it.
"""

from __future__ import annotations

import json
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from watcher.cli.app import ExitCode
from watcher.cli.findings import Finding, Level, mend, note, ok
from watcher.cli.options import config_option, daemon_runs, json_option, ledger_of, loaded
from watcher.core.settings import Settings
from watcher.errors import WatcherError

COLORS = {Level.OK: "green", Level.NOTE: "yellow", Level.MEND: "red"}


@click.command()
@config_option
@json_option
def doctor(config: Path | None, as_json: bool) -> int:  # noqa: FBT001  (click passes flags so)
    """Check this machine: folders, disks, watches, clock, schedulers, tokens, converters.

    Writes, renames and links a hidden file in each folder, converts a tiny model, and removes both.
    Best run as the user that the service runs as. Exit code 1: something must be mended.
    """
    ready = loaded(config)
    found: list[Finding] = []
    for one in _examined(ready.settings):
        found.append(one)
        if not as_json:
            _show(one)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found]))
    bad = sum(one.level is Level.MEND for one in found)
    if not as_json:
        click.echo(f"{bad} to mend" if bad else "all is well")
    return ExitCode.FAILED if bad else ExitCode.OK


def _show(one: Finding) -> None:
    level = click.style(one.level.value.ljust(4), fg=COLORS[one.level])
    click.echo(f"{level}  {one.what}: {one.found}")
    if one.fix:
        click.echo(f"      -> {one.fix}")


def _examined(settings: Settings) -> Iterator[Finding]:
    from watcher.cli import lines, machine  # noqa: PLC0415  (--help stays quick)

    yield ok("configuration", f"{settings.source} is valid")
    yield from _user(settings)
    yield from machine.folders(settings)
    yield from machine.disks(settings)
    yield from machine.watches(settings)
    yield from machine.clock(time.time())
    yield from lines.schedulers(settings)
    yield from lines.secrets(settings)
    yield from lines.page(settings)
    yield from ledger(settings)
    yield from lines.converters(settings)


def _user(settings: Settings) -> Iterator[Finding]:
    name = str(os.geteuid())
    with suppress(KeyError):
        name = pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0 and settings.state.exists() and settings.state.stat().st_uid != 0:
        owner = settings.state.stat().st_uid
        text = f"asked as root, but the state folder belongs to uid {owner}"
        yield note("user", text, "run doctor as that user: what root may do proves nothing")
    else:
        yield ok("user", f"asked as {name}")


def ledger(settings: Settings) -> Iterator[Finding]:
    """Whether it can be read, and who writes to it."""
    try:
        opened = ledger_of(settings)
        if opened is None:
            yield ok("ledger", "not there yet, will be made")
            return
        files = sum(opened.counts().values())
        opened.close()
    except WatcherError as error:
        yield mend("ledger", error.what, error.fix or "look at the state folder's disk and rights")
    else:
        runs = "a daemon runs" if daemon_runs(settings.state) else "no daemon runs"
        yield ok("ledger", f"{files} files, {runs}")
