"""A form becomes a job: ``POST /jobs``.

Imports the embedded package and the server's ``parts``. Invariant: nothing is kept of a form that
is refused; the same id sent again is the same job.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from watcher.core.ports import JobRequest
from watcher.embedded import options
from watcher.embedded.documents import Document, submitted
from watcher.embedded.folders import Landed
from watcher.embedded.options import RunOptions
from watcher.embedded.scheduler import EmbeddedScheduler
from watcher.embedded.server.parts import Form
from watcher.errors import Refused, WatcherError

CUSTOM = "custom"


class ScriptsRefused(WatcherError):
    """This server was told to run no scripts of its callers."""


def submit(scheduler: EmbeddedScheduler, form: Form, *, key: str | None, scripts: bool) -> Document:
    """Take the job that a form describes; the reply's document.

    Args:
        scheduler: takes it.
        form: its files lie on the scheduler's own file system.
        key: the ``Idempotency-Key`` header.
        scripts: whether a caller's own script may run.

    Raises:
        Refused: the form cannot be a job.
        ScriptsRefused: it brings a script, and none may run.
        Unreachable: the scheduler cannot take it now.
    """
    wanted = options.read(_json(form, "config"))
    request = _request(form, wanted, _key(key, wanted), scripts=scripts)
    taken = scheduler.submit(request, config=wanted.rest)
    return submitted(taken.remote, request.name)


def _request(form: Form, wanted: RunOptions, key: str, *, scripts: bool) -> JobRequest:
    process = form.fields.get("process", "") or CUSTOM
    for name in ("script", "file"):
        if form.fields.get(name):
            raise Refused(f"'{name}' must be sent as a file, not as text")
    script = form.files.get("script") if process == CUSTOM else None
    if process == CUSTOM and script is None:
        raise Refused("'custom' process requires a 'script' file")
    if script is not None and not scripts:
        raise ScriptsRefused("This server runs no scripts of its callers (--no-scripts)")
    params = _json(form, "params")
    return JobRequest(
        key=key,
        name=form.fields.get("name", ""),
        process="" if script else process,
        script=script.path if script else None,
        entrypoint=wanted.entrypoint,
        params=params,
        sources=_sources(form),
        queue=wanted.queue or "",
        time_limit=wanted.time_limit,
        priority=wanted.priority,
    )


def _sources(form: Form) -> tuple[Landed, ...]:
    file = form.files.get("file")
    if file is None:
        return ()
    return (
        Landed(name=file.name, size=file.size, path=file.path, open=lambda: file.path.open("rb")),
    )


def _key(header: str | None, wanted: RunOptions) -> str:
    if header is None:
        return wanted.key or str(uuid.uuid4())
    key = options.chosen_id(header, "Idempotency-Key")
    if wanted.key not in (None, key):
        raise Refused("Idempotency-Key and config.task_id name two different jobs")
    return key


def _json(form: Form, name: str) -> Any:
    text = form.fields.get(name, "")
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise Refused(f"Invalid JSON string for '{name}': {error}") from error
