"""The scheduler's API, call by call.

Imports the other modules of this package, errors and ports. Invariant: only ``watcher.errors``
come out; a submission is never repeated by itself.
"""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from watcher.adapters.http import wire
from watcher.adapters.http.session import Server, Sessions
from watcher.core.source import Hash, Progress, Source
from watcher.errors import FileGone, Garbled, Refused, TooEarly, Unreachable, Unsent

SECOND_LOOK = 0.5  # seconds after which the server has written a failure's traceback
BLOCKS = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One job to send; empty fields are not sent. ``config`` holds only what is meant."""

    process: str = ""
    script: Path | None = None
    name: str = ""
    params: Any = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    key: str = ""


class Client:
    """A scheduler at an address; usable from many threads."""

    def __init__(self, server: Server, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.sessions = Sessions(server)
        self._pause = pause

    def _get(self, path: str) -> dict[str, Any]:
        return wire.parsed(self.sessions.ask("GET", path), self.sessions.url(path))

    def processes(self) -> tuple[str, ...]:
        """The names of the processes, sorted; the package file is not one."""
        names = wire.names(self._get("/processes"), "processes", self.sessions.url("/processes"))
        return tuple(sorted(name for name in names if name != "__init__"))

    def doc(self, process: str) -> str:
        """What a process says of itself."""
        return str(self._get(f"/processes/{quote(process, safe='')}").get("doc") or "")

    def jobs(self) -> tuple[wire.Job, ...]:
        """All jobs of the last day but the queued ones; archive packings are among them."""
        where = self.sessions.url("/jobs")
        return tuple(wire.job(each, where) for each in self.listed())

    def listed(self) -> tuple[dict[str, Any], ...]:
        """As ``jobs``, each as the server wrote it: one odd record does not hide the others."""
        found = self._get("/jobs").get("jobs")
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise Garbled("the answer has no list of jobs", where=self.sessions.url("/jobs"))
        return tuple(found)

    def status(self, uuid: str) -> wire.Job:
        """The short form of a job."""
        path = _job(uuid)
        return wire.job(self._get(path), self.sessions.url(path))

    def details(self, uuid: str) -> wire.Details:
        """The long form; a failure without its text is read once more a moment later."""
        path = _job(uuid) + "/details"
        found = wire.details(self._get(path), self.sessions.url(path))
        if found.job.state is wire.State.FAILURE and found.job.error is None:
            self._pause(SECOND_LOOK)
            found = wire.details(self._get(path), self.sessions.url(path))
        return found

    def outputs(self, uuid: str) -> tuple[str, ...]:
        """The names at the top of the outputs, files and folders alike."""
        path = _job(uuid) + "/outputs"
        return wire.names(self._get(path), "outputs", self.sessions.url(path))

    def download(
        self,
        uuid: str,
        name: str,
        target: Path,
        *,
        progress: Progress | None = None,
        state: Hash | None = None,
    ) -> int:
        """One output file into ``target``; its length in bytes. ``state`` hashes it on the way."""
        from watcher.adapters.http import download  # noqa: PLC0415  (a question needs it not)

        # a file named "archive" stands behind the endpoint of that name: reached as "./archive"
        encoded = ".%2Farchive" if name == "archive" else quote(name, safe="/")
        path = f"{_job(uuid)}/outputs/{encoded}"
        return download.save(self.sessions, path, target, progress=progress, state=state)

    def archive(
        self,
        uuid: str,
        target: Path,
        *,
        wait: float = 0.0,
        progress: Progress | None = None,
    ) -> None:
        """All outputs as a verified zip; waits up to ``wait`` seconds while it is packed.

        Whether waiting can help is judged by the job's own status: ``TooEarly`` at once when the
        job has not ended, or was revoked.
        """
        from watcher.adapters.http import download  # noqa: PLC0415

        until, delay = time.monotonic() + wait, 1.0
        while True:
            try:
                download.verified(self.sessions, _job(uuid) + "/outputs/archive", target, progress)
            except TooEarly:
                ready = self.status(uuid).state in {wire.State.SUCCESS, wire.State.FAILURE}
                if not ready or time.monotonic() + delay > until:
                    raise
                self._pause(delay)
                delay = min(delay * 1.5, 10.0)
            else:
                return

    def delete(self, uuid: str) -> None:
        """Stop or remove a job; ``Refused`` by servers that cannot."""
        self.sessions.ask("DELETE", _job(uuid), good=(200, 202, 204))

    def submit(
        self, wanted: Submission, *, progress: Callable[[int, int], None] | None = None
    ) -> wire.Job:
        """Send a job; sources are streamed. The reply's state is SENT."""
        from watcher.adapters.http import upload  # noqa: PLC0415  (as above)

        fields = {
            "process": wanted.process or "custom",
            "params": json.dumps(wanted.params),
            "config": json.dumps({k: v for k, v in wanted.config.items() if v is not None}),
        }
        if wanted.name:
            fields["name"] = wanted.name
        script, parts = _script(wanted.script), {}
        if wanted.script:
            parts["script"] = upload.Part(
                wanted.script.name, "text/x-python", len(script), iter((script,))
            )
        if wanted.sources:
            parts["file"] = upload.packed(wanted.sources, BLOCKS)
        with closing(upload.Form(fields, parts, progress)) as form:
            headers = form.headers | ({"Idempotency-Key": wanted.key} if wanted.key else {})
            try:
                reply = self.sessions.ask("POST", "/jobs", headers=headers, data=form)
            except Unreachable as error:
                if form.failure:
                    raise form.failure from error
                if form.sent < form.len and type(error) is Unreachable:
                    raise Unsent("the upload was cut", where=error.where) from error
                if isinstance(error, Garbled):
                    _blame(script, wanted.script)
                raise
        return wire.job(wire.parsed(reply, self.sessions.url("/jobs")), self.sessions.url("/jobs"))

    def close(self) -> None:
        """Close all connections."""
        self.sessions.close()


def _job(uuid: str) -> str:
    return f"/jobs/{quote(uuid, safe='')}"


def _script(path: Path | None) -> bytes:
    try:
        return path.read_bytes() if path else b""
    except OSError as error:
        raise FileGone(error.strerror or "cannot be read", where=str(path)) from error


def _blame(script: bytes, path: Path | None) -> None:
    """The real server answers 500 without a word to a script that Python cannot read."""
    try:
        ast.parse(script.decode())
    except (ValueError, SyntaxError) as error:
        raise Refused(f"the script is not valid Python: {error}", where=str(path)) from error
