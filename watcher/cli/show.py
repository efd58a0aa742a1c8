"""What the client commands print: one JSON document for programs, tables for people.

Imports click and ``connection``; tables only when they are drawn. Invariants: off a terminal or
with ``--json`` stdout carries one document and nothing else; text of a server cannot steer a
terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from watcher.adapters.http import Details
from watcher.cli.connection import given
from watcher.cli.progress import size
from watcher.core.printing import printable

Row = tuple[str, ...]


def for_programs() -> bool:
    """Whether stdout is to carry JSON."""
    return bool(given("json")) or not sys.stdout.isatty()


def document(value: Any) -> None:
    """Print one JSON document; ASCII, so that no locale can break it."""
    click.echo(json.dumps(value, indent=4))


def rows(heads: Sequence[str], found: Sequence[Row], empty: str) -> None:
    """Draw a table for people."""
    from watcher.cli.output import table  # noqa: PLC0415  (rich, only where it is drawn)

    cells = [tuple(printable(cell) for cell in row) for row in found]
    used = [at for at in range(len(heads)) if any(row[at] for row in cells)]
    shown = [tuple(row[at] for at in used) for row in cells]
    table([heads[at] for at in used], shown, empty=empty, whole=1)


def jobs(found: Sequence[Mapping[str, Any]]) -> None:
    """A list of jobs."""
    cells = [
        (
            _text(job.get("uuid")),
            _text(job.get("name")),
            _text(job.get("status")),
            _percent(job.get("progress")),
            _text(job.get("error")),
        )
        for job in found
    ]
    rows(("job", "name", "state", "progress", "error"), cells, "no jobs")


def short(job: Mapping[str, Any]) -> None:
    """A job's short form."""
    _facts(_plain(job))


def details(found: Details) -> None:
    """All of a job: fields, times, steps, result."""
    times = {
        "submitted": found.times.get("request"),
        "started": found.times.get("started"),
        "stopped": found.times.get("stopped"),
        "took": _took(found.times),
        "retries": found.retry or None,
    }
    told = _plain(found.document)
    error = (found.job.error or "").strip() if given("verbose") else told.pop("error")
    _facts(told | times | {"error": error})
    if found.steps:
        steps = [(step.info, _seconds(step.duration)) for step in found.steps]
        rows(("step", "duration"), steps, "")
    if found.job.state.ended and found.result not in (None, {}):
        result(found.result)


def _plain(job: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a short form as people read them."""
    return {
        "job": job.get("uuid"),
        "name": job.get("name"),
        "state": job.get("status"),
        "progress": _percent(job.get("progress")),
        "error": _text(job.get("error")).strip().rpartition("\n")[2],
    }


def _facts(shown: Mapping[str, Any]) -> None:
    filled = [(key, _text(value)) for key, value in shown.items() if value not in (None, "")]
    rows(("field", "value"), filled, "nothing is known")


def result(value: Any) -> None:
    """A job's result for people: text as it is, all else as JSON."""
    if isinstance(value, str):
        click.echo(printable(value))
    else:
        click.echo(json.dumps(value, indent=4))


def files(found: Details, written: Sequence[Path]) -> None:
    """What a command downloaded: the job's details with ``files``, or a line for each."""
    if for_programs():
        document(found.document | {"files": [str(path) for path in written]})
    else:
        for path in written:
            click.echo(f"{printable(str(path))}  {size(path.stat().st_size)}")


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _percent(value: Any) -> str:
    return "" if value is None else f"{value} %"


def _seconds(value: float | None) -> str:
    return "running" if value is None else f"{value:.2f} s"


def _took(times: Mapping[str, str]) -> str:
    try:
        ends = (datetime.fromisoformat(times[key]) for key in ("stopped", "started"))
        stopped, started = ends
        return _seconds((stopped - started).total_seconds())
    except (KeyError, ValueError, TypeError):
        return ""
