"""The commands that ask the ledger: files, explain, retry.

Imports click, rich, ``core``, ``config`` and the ledger. Invariant: they move no file and no
record; ``retry`` leaves a request that the daemon notices, now or at its next start.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import click

from watcher.cli.app import ExitCode
from watcher.cli.options import (
    config_option,
    holders_of,
    json_option,
    ledger_of,
    loaded,
    place_of,
)
from watcher.cli.output import ago, table
from watcher.cli.plan import imagined
from watcher.core import windows
from watcher.core.delivery import stamp
from watcher.core.lifecycle import UNFINISHED
from watcher.core.model import FileRecord, FileState, HistoryRow, Lease, Work, printable
from watcher.core.ports import Ledger
from watcher.core.settings import Folder, Settings
from watcher.core.shown import described
from watcher.errors import FileError, UsageError


# ---------------------------------------------------------------- files
@click.command()
@config_option
@json_option
@click.option("--state", type=click.Choice([s.value for s in FileState]), help="Only this state.")
@click.option("--limit", type=int, default=0, help="At most so many; 0 for all.")
def files(config: Path | None, as_json: bool, state: str | None, limit: int) -> None:  # noqa: FBT001
    """List what the ledger knows of each file, newest first."""
    settings = loaded(config, usable=False).settings
    ledger = ledger_of(settings)
    wanted = FileState(state) if state else None
    works = ledger.files(state=wanted, limit=limit) if ledger is not None else []
    holders = holders_of(ledger)
    if as_json:
        rows = [{**described(settings, w), **_held(w, holders)} for w in works]
        click.echo(json.dumps(rows))
        return
    shown = [
        (work.file.folder, printable(work.file.path), work.file.state, ago(work.file.changed_at),
         printable(work.file.reason) or ", ".join(_delivered(work)),
         *_held(work, holders).values())
        for work in works
    ]  # fmt: skip
    heads = ("folder", "file", "state", "since", "outputs or reason")
    table(heads if holders is None else (*heads, "watcher"), shown, empty="no files yet")


def _held(work: Work, holders: dict[int, str] | None) -> dict[str, str]:
    """Which watcher works on a file; nothing where the ledger is not shared."""
    if holders is None:
        return {}
    busy = work.file.state in UNFINISHED or not work.file.disposed
    return {"watcher": printable(holders.get(work.file.holder, "")) if busy else ""}


def _delivered(work: Work) -> list[str]:
    if work.file.state not in (FileState.DELIVERED, FileState.ARCHIVED):
        return [f"{job.label}: {job.state}" for job in work.jobs]
    return [printable(one.target) for job in work.jobs for one in job.outputs if one.target]


# ---------------------------------------------------------------- explain
@click.command()
@config_option
@json_option
@click.argument("path")
def explain(config: Path | None, as_json: bool, path: str) -> int:  # noqa: FBT001
    """Tell one file's whole history: every state, time, job and error."""
    settings = loaded(config, usable=False).settings
    folder, below = place_of(settings, os.fsdecode(path))
    ledger = ledger_of(settings)
    arrivals = _history(ledger, folder.name, below) if ledger is not None else []
    if as_json:
        click.echo(json.dumps([_history_json(record, rows) for record, rows in arrivals]))
        return ExitCode.OK if arrivals else ExitCode.FAILED
    if not arrivals:
        _explain_stranger(folder, below)
        return ExitCode.FAILED
    for record, rows in arrivals:
        own = f"{folder.name}/{printable(record.path)}"
        click.echo(f"{own}, arrival {record.arrival}: {record.state}")
        if record.parts:
            click.echo(f"  with {', '.join(printable(part.path) for part in record.parts)}")
        if record.params:
            click.echo(f"  sidecar: {json.dumps(dict(record.params))}")
        for row in rows:
            what = f"{row.job}: {row.state}" if row.job else row.state
            again = f" ({row.event})" if row.event not in (row.state, "") else ""
            click.echo(f"  {stamp(row.at)}  {what}{again}  {printable(row.note)}".rstrip())
        for text in _waits(folder, record):
            click.echo(f"  {text}")
        for text in record.warnings:
            click.echo(f"  warning: {printable(text)}")
        if record.reason:
            click.echo(f"  why: {printable(record.reason)}")
    return ExitCode.OK


def _history(ledger: Ledger, folder: str, path: str) -> list[tuple[FileRecord, list[HistoryRow]]]:
    """The arrivals of a path, or of the asset that it is a part or the folder of."""
    own = ledger.history(folder, path)
    if own:
        return own
    for work in ledger.files(folder=folder):
        parts = (part.path for part in work.file.parts)
        if work.file.path.startswith(f"{path}/") or path in parts:
            return ledger.history(folder, work.file.path)
    return []


def _waits(folder: Folder, record: FileRecord) -> list[str]:
    """What an unfinished file waits for beyond its turn."""
    rule = next((one for one in folder.rules if one.name == record.rule), None)
    if rule is None or rule.when is None or record.state not in UNFINISHED:
        return []
    closed = windows.told(rule.when, time.time())
    return [closed] if closed else []


def _explain_stranger(folder: Folder, path: str) -> None:
    from watcher.adapters.files import LocalFiles  # noqa: PLC0415  (--help stays quick)

    try:
        facts = LocalFiles().look(folder.input, path)
    except FileError as error:
        click.echo(f"{folder.name}/{printable(path)}: not taken: {error}")
        return
    if facts is None:
        where = printable(str(folder.input / path))
        raise UsageError("the ledger knows no such file, and it is not there", where=where)
    hindrance = _HINDRANCES.get(facts.lease, "")
    for row in imagined(folder, path):
        own = row["rule"] and not row["part_of"]
        word = f"not accepted yet; rule {row['rule']} would take it" if own else row["why"]
        click.echo(f"{folder.name}/{printable(path)}: {word}{hindrance}")
        for text in row["notes"]:
            click.echo(f"  {printable(text)}")


_HINDRANCES = {
    Lease.REFUSED: "; a program still has it open for writing",
    Lease.UNREADABLE: "; we have no permission to read it",
}


def _history_json(record: FileRecord, rows: list[Any]) -> dict[str, Any]:
    return {
        "folder": record.folder,
        "path": record.path,
        "arrival": record.arrival,
        "state": record.state,
        "rule": record.rule,
        "reason": record.reason,
        "warnings": list(record.warnings),
        "history": [
            {"at": stamp(row.at), "state": row.state, "event": row.event, "job": row.job,
             "note": row.note}
            for row in rows
        ],
    }  # fmt: skip


# ---------------------------------------------------------------- retry
@click.command()
@config_option
@click.argument("paths", nargs=-1)
@click.option("--failed", is_flag=True, help="All files that failed.")
def retry(config: Path | None, paths: tuple[str, ...], failed: bool) -> int:  # noqa: FBT001
    """Send failed files again, while the daemon runs or at its next start."""
    from watcher.daemon.web.desk import failed_now  # noqa: PLC0415  (--help stays quick)

    settings = loaded(config, usable=False).settings
    if bool(paths) == failed:
        raise UsageError("name the files, or say --failed")
    ledger = ledger_of(settings, write=True)
    if ledger is None and paths:
        raise UsageError("nothing has ever failed here", where=str(settings.state))
    if ledger is None:  # as with a ledger in which nothing failed: no fault of a cron job
        click.echo("nothing to retry")
        return ExitCode.OK
    chosen = (
        failed_now(ledger) if failed else [_one_failed(settings, ledger, path) for path in paths]
    )
    if chosen:
        ledger.ask("retry", {"files": [file.id for file in chosen]}, time.time())
    ledger.close()
    for file in chosen:
        click.echo(f"{file.folder}/{printable(file.path)}: will be tried again")
    if not chosen:
        click.echo("nothing to retry")
    return ExitCode.OK


def _one_failed(settings: Settings, ledger: Ledger, path: str) -> FileRecord:
    folder, below = place_of(settings, path)
    arrivals = _history(ledger, folder.name, below)  # of the file, or of what it is a part of
    record = arrivals[-1][0] if arrivals else None
    if record is None:
        raise UsageError("the ledger knows no such file", where=path)
    if record.state is not FileState.FAILED:
        raise UsageError(f"it has not failed: it is {record.state}", where=path)
    return record
