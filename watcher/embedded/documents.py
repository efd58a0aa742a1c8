"""A job as the JSON documents of the wire: the same with and without HTTP.

Pure: imports the standard library and the package's ``store``. Invariant: a document never names a
folder of this machine, and a field that was told once stays (the real scheduler's flicker).

The shapes are those that a Pixyz Scheduler 1.0.7 answers with. Mended here: name and times are
told from the first moment to the last, a failure's short ``error`` is the reason itself, and
``warnings`` is there when a job has some, ``permanent`` when it said itself that running it again
cannot help.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from watcher.embedded.store import ENDED, FAILURE, PENDING, RETRY, REVOKED, Job

SENT = "SENT"  # stands in the reply to a submission only
API_VERSION = "1.0.7"  # of the real server whose shapes these are
Document = dict[str, Any]


def submitted(job_id: str, name: str | None) -> Document:
    """The reply to a submission."""
    return _short(job_id, name, SENT)


def short(job: Job) -> Document:
    """``GET /jobs/{uuid}`` of a known job."""
    error = _public(job, job.error)
    return _short(job.id, job.name, job.status, progress=job.progress, error=error)


def details(job: Job) -> Document:
    """``GET /jobs/{uuid}/details`` of a known job.

    ``error`` is the traceback where there is one; ``result`` of a failed job is its reason, of a
    waiting one the word ``None``, of a running one ``{}``: so it is on the real scheduler.
    """
    waits = job.status in (PENDING, RETRY)
    steps = [{"duration": step.duration, "info": step.info} for step in job.steps]
    found = short(job) | {
        "time_info": times(job),
        "steps": None if waits else steps,
        "retry": job.retry,
        "result": _result(job),
    }
    if job.status == FAILURE and job.detail:
        found["error"] = _public(job, _long(job))
    if job.warnings:
        found["warnings"] = list(job.warnings)
    if job.permanent:
        found["permanent"] = True
    return found


def unknown(job_id: str) -> Document:
    """The short form of an id that was never heard of: it cannot be told from a queued one."""
    return _short(job_id, None, PENDING)


def unknown_details(job_id: str) -> Document:
    """The details of an id that was never heard of."""
    nothing = {"request": None, "started": None, "stopped": None}
    rest = {"time_info": nothing, "steps": None, "retry": 0, "result": "None"}
    return unknown(job_id) | rest


def record(job: Job) -> Document:
    """``GET /backend/get_task_meta/{uuid}``: the details in the words of the task queue."""
    told = details(job)
    ended = job.status in ENDED
    state = {"shadow_name": told["name"]} | {
        key: told[key] for key in ("time_info", "progress", "steps", "result")
    }
    return unknown_record() | {
        "status": job.status,
        "result": None if job.status in (PENDING, RETRY) else state,
        "traceback": told["error"],
        "task_id": job.id,
        "date_done": told["time_info"]["stopped"] if ended else None,
    }


def unknown_record() -> Document:
    """The record of an id that was never heard of."""
    return {
        "status": PENDING,
        "result": None,
        "traceback": None,
        "children": [],
        "parent_id": None,
        "task_id": None,
        "date_done": None,
    }


def jobs(found: Iterable[Job]) -> Document:
    """``GET /jobs``."""
    return {"jobs": [short(job) for job in found]}


def outputs(names: Sequence[str]) -> Document:
    """``GET /jobs/{uuid}/outputs``: files and folders at the top."""
    return {"outputs": list(names)}


def processes(names: Sequence[str]) -> Document:
    """``GET /processes``."""
    return {"processes": list(names)}


def documentation(process: str, text: str) -> Document:
    """``GET /processes/{name}``; the word ``None`` stands for a missing docstring."""
    return {"doc": f"Process '{process}' documentation:\n\n{text or None}"}


def times(job: Job) -> dict[str, str | None]:
    """The three times, ISO 8601 in UTC; the request alone has no offset, as on the real one."""
    request = datetime.fromtimestamp(job.requested, UTC).replace(tzinfo=None)
    return {
        "request": request.isoformat(),
        "started": _moment(job.started),
        "stopped": _moment(job.stopped),
    }


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()


def _short(
    job_id: str,
    name: str | None,
    status: str,
    *,
    progress: int | None = None,
    error: str | None = None,
) -> Document:
    return {
        "uuid": job_id,
        "name": name or None,
        "status": status,
        "progress": progress,
        "error": error,
    }


def _result(job: Job) -> Any:
    if job.status in (PENDING, RETRY):
        return "None"
    if job.status not in ENDED:
        return {}
    if job.status == FAILURE:
        return _public(job, job.error) or ""
    if job.status == REVOKED:
        return job.result or "revoked"
    return job.result


def _long(job: Job) -> str:
    """A failure's traceback or last words; the last line is the reason, as in any traceback."""
    reason = job.error or ""
    return job.detail if job.detail.rstrip().endswith(reason) else f"{job.detail}\n{reason}"


def _public(job: Job, text: str | None) -> str | None:
    """A text without the folders of this machine: scripts and files by their own names."""
    if not text:
        return text
    text = re.sub(r"(?<![^\s'\"(<\[=:])/[^'\"\n]*?/" + re.escape(job.id) + "/", "", text)
    return re.sub(r'(File ")/[^"\n]*/([^"/\n]+")', r"\1\2", text)
