"""What the page shows, as plain values for its templates.

Imports core and the desk. Invariant: every word that comes from outside is made printable here
and escaped by the templates; how much is shown is bounded, whatever the ledger holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from watcher.core.delivery import stamp
from watcher.core.model import FileState, JobRecord, Output, Work, printable
from watcher.daemon.health import unready
from watcher.daemon.pulse import Minute
from watcher.daemon.web.desk import Desk

WAITING = (FileState.ACCEPTED, FileState.WORKING, FileState.HELD)
SHOWN = 12  # files in each part of the page
PAGE = 50  # files on a page of the list
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
PICTURE_MOST = 8 << 20  # bytes; larger pictures are linked, not shown
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def lasting(seconds: float) -> str:
    """A time span in its largest unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return "under 1 s"


def ago(now: float, at: float) -> str:
    """How long ago a wall time is."""
    return f"{lasting(now - at)} ago" if now - at >= 1 else "just now"


@dataclass(frozen=True, slots=True)
class Picture:
    """An output and where the page serves it; ``image`` when it can be shown."""

    name: str
    url: str
    image: bool
    size: int


def health(desk: Desk) -> dict[str, Any]:
    """The verdict, and why."""
    now = desk.health()
    reasons = unready(desk.settings(), now, desk.ledger)
    names = {one.seat: printable(one.name) for one in now.watchers}
    others = [name for seat, name in names.items() if seat != now.seat]
    mine = names.get(now.seat, "")
    return {"reasons": reasons, "well": not reasons, "mine": mine, "others": others}


def folders(desk: Desk) -> dict[str, Any]:
    """Each folder: health, backlog, oldest waiting file."""
    counts, oldest, now = desk.ledger.counts(), desk.oldest(), desk.clock.now()
    roots = desk.health().roots
    rows = []
    for folder in desk.settings().folders:
        root = roots.get(folder.name)
        number = {state: counts.get((folder.name, state), 0) for state in FileState}
        at = oldest.get(folder.name)
        rows.append(
            {
                "name": printable(folder.name),
                "input": printable(str(folder.input)),
                "link": "/files?folder=" + quote(folder.name),
                "online": root is not None and root.online,
                "watch": "watched" if root is not None and root.native else "polled",
                "note": printable(root.reason) if root is not None else "not looked at yet",
                "backlog": sum(number[state] for state in WAITING),
                "delivered": number[FileState.DELIVERED] + number[FileState.ARCHIVED],
                "failed": number[FileState.FAILED],
                "oldest": lasting(now - at) if at is not None else "",
            }
        )
    return {"folders": rows}


def work(desk: Desk) -> dict[str, Any]:
    """What is in work: the files that run first, then those that wait inside."""
    works = [one for one in desk.works() if one.file.state in WAITING]
    works.sort(key=lambda one: (not any(job.progress for job in one.jobs), one.file.id))
    now = desk.clock.now()
    rows = [{**_row(one, now), "jobs": [_job(job) for job in one.jobs]} for one in works[:SHOWN]]
    lanes = sum(desk.ledger.lanes().values())
    return {"works": rows, "more": max(0, len(works) - SHOWN), "waiting": lanes}


def _job(job: JobRecord) -> dict[str, Any]:
    return {
        "label": printable(job.label),
        "state": job.state.value,
        "step": printable(job.step),
        "progress": job.progress,
        "error": printable(job.error),
        "attempt": job.attempt,
    }


def timeline(desk: Desk) -> dict[str, Any]:
    """The last hour: bars of what was delivered and failed, and how long it took."""
    hour = desk.pulse.hour(desk.clock.now())
    most = max(1, *(minute.delivered + minute.failed for minute in hour))
    slowest = max(1e-9, *(minute.latency for minute in hour))
    done = sum(minute.delivered for minute in hour)
    spent = sum(minute.seconds for minute in hour)
    return {
        "bars": [_bar(index, minute, most) for index, minute in enumerate(hour)],
        "dots": [
            {"x": index * 10 + 4, "y": round(88 - 76 * minute.latency / slowest, 1)}
            for index, minute in enumerate(hour)
            if minute.delivered
        ],
        "delivered": done,
        "failed": sum(minute.failed for minute in hour),
        "latency": lasting(spent / done) if done else "",
        "slowest": lasting(slowest) if done else "",
        "most": most,
    }


def _bar(index: int, minute: Minute, most: int) -> dict[str, Any]:
    good = round(84 * minute.delivered / most, 1)
    bad = round(84 * minute.failed / most, 1)
    return {"x": index * 10, "good": good, "bad": bad, "y": 92 - good, "top": 92 - good - bad}


def delivered(desk: Desk) -> dict[str, Any]:
    """The latest deliveries with their pictures."""
    now = desk.clock.now()
    counts = _totals(desk)
    found: list[Work] = []
    for state in (FileState.DELIVERED, FileState.ARCHIVED):
        if counts.get(state):
            found += desk.ledger.files(state=state, limit=SHOWN)
    found.sort(key=lambda one: one.file.changed_at, reverse=True)
    return {"works": [{**_row(one, now), **_shown(one)} for one in found[:SHOWN]]}


def _shown(one: Work) -> dict[str, Any]:
    pictures = outputs(one)
    seen = [picture for picture in pictures if picture.image]
    seen.sort(key=lambda picture: "iso" not in picture.name)
    return {"picture": seen[0] if seen else None, "outputs": pictures}


def outputs(one: Work) -> list[Picture]:
    """The published outputs of a file."""
    if one.file.state not in (FileState.DELIVERED, FileState.ARCHIVED):
        return []
    return [
        _picture(one, job, number, output)
        for job in one.jobs
        for number, output in enumerate(job.outputs)
        if output.target
    ]


def _picture(one: Work, job: JobRecord, number: int, output: Output) -> Picture:
    suffix = PurePosixPath(output.target).suffix.lower()
    return Picture(
        printable(output.target),
        f"/output/{one.file.id}/{job.index}/{number}",
        suffix in PICTURES and output.size <= PICTURE_MOST,
        output.size,
    )


def failed(desk: Desk) -> dict[str, Any]:
    """The latest failures and why."""
    total = _totals(desk).get(FileState.FAILED, 0)
    works = desk.ledger.files(state=FileState.FAILED, limit=SHOWN) if total else []
    now = desk.clock.now()
    return {"works": [_row(one, now) for one in works], "total": total}


def _totals(desk: Desk) -> Mapping[FileState, int]:
    totals: dict[FileState, int] = {}
    for (_, state), count in desk.ledger.counts().items():
        totals[state] = totals.get(state, 0) + count
    return totals


def _row(one: Work, now: float) -> dict[str, Any]:
    file = one.file
    return {
        "id": file.id,
        "folder": printable(file.folder),
        "path": printable(file.path),
        "state": file.state.value,
        "reason": printable(file.reason),
        "at": stamp(file.changed_at),
        "ago": ago(now, file.changed_at),
        "age": lasting(now - file.accepted_at),
        "rule": printable(file.rule),
    }


PARTS = {
    "health": health,
    "folders": folders,
    "work": work,
    "failed": failed,
    "delivered": delivered,
    "timeline": timeline,
}


def listed(desk: Desk, folder: str, state: FileState | None, q: str, number: int) -> Sequence[Any]:
    """One page of the list of files, and one row more when there is another page."""
    found = desk.ledger.files(
        folder=folder, state=state, q=q, limit=PAGE + 1, offset=(number - 1) * PAGE
    )
    now = desk.clock.now()
    return [_row(one, now) for one in found]


def told(desk: Desk, one: Work) -> dict[str, Any]:
    """One file's whole history, every arrival of its path."""
    now = desk.clock.now()
    history = desk.ledger.history(one.file.folder, one.file.path)
    arrivals = [
        {
            "number": record.arrival,
            "state": record.state.value,
            "reason": printable(record.reason),
            "warnings": [printable(text) for text in record.warnings],
            "rows": [
                {
                    "at": stamp(row.at), "job": printable(row.job), "state": row.state,
                    "event": row.event if row.event != row.state else "",
                    "note": printable(row.note),
                }
                for row in rows
            ],
        }
        for record, rows in reversed(history)
    ]  # fmt: skip
    return {
        "file": _row(one, now),
        "size": one.file.print.size,
        "jobs": [_job(job) for job in one.jobs],
        "outputs": outputs(one),
        "arrivals": arrivals,
    }
