"""The daemon's ``Backend`` port over the HTTP client.

Imports this package, content, errors and the core. Invariant: nothing is repeated here, but for a
cut download: pacing decides when to try again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from watcher import content
from watcher.adapters.http import download
from watcher.adapters.http.client import Client, Submission
from watcher.adapters.http.wire import Details, Job, State
from watcher.core.model import Fetched, JobStatus, Phase, Submitted
from watcher.core.ports import JobRequest
from watcher.errors import JobLost, Refused, TooEarly, Unauthorized, Unreachable

MANY = 4  # from so many ids on, one list is cheaper than single questions
PHASES = {
    State.SENT: Phase.QUEUED,
    State.PENDING: Phase.UNSEEN,
    State.RECEIVED: Phase.QUEUED,
    State.STARTED: Phase.RUNNING,
    State.RUNNING: Phase.RUNNING,
    State.RETRY: Phase.RUNNING,
    State.SUCCESS: Phase.SUCCEEDED,
    State.FAILURE: Phase.FAILED,
    State.REVOKED: Phase.REVOKED,
}


class HttpBackend:
    """A real scheduler, or ``watcher serve``, as the daemon sees it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def submit(self, request: JobRequest) -> Submitted:
        """Send the job under the caller's key; follow the id of the reply."""
        config: dict[str, Any] = {"task_id": request.key}
        if request.entrypoint != "main":
            config["entrypoint"] = request.entrypoint
        if request.queue:
            config["queue"] = request.queue
        if request.time_limit is not None:
            config["time_limit"] = request.time_limit
        if len(request.sources) > 1:
            config["root_file"] = request.sources[0].name
        wanted = Submission(
            process=request.process,
            script=request.script,
            name=request.name,
            params=dict(request.params),
            config=config,
            sources=request.sources,
            key=request.key,
        )
        reply = self._client.submit(wanted)
        return Submitted(self._followed(request.key, reply.uuid))

    def _followed(self, key: str, uuid: str) -> str:
        """The real server honours the key but replies with another id, which stays PENDING.

        A server that answers with an id of its own and never shows the key is followed there.
        """
        if uuid == key:
            return key
        try:
            return uuid if self._client.status(uuid).state is not State.PENDING else key
        except Unreachable:
            return key

    def status(self, remotes: Sequence[str]) -> dict[str, JobStatus]:
        """The word on each id; one list first when there are many."""
        listed: dict[str, Job] = {}
        if len(remotes) >= MANY:
            try:
                listed = {job.uuid: job for job in self._client.jobs()}
            except Unauthorized:
                raise
            except Unreachable:
                listed = {}  # one odd record makes the whole list fail: ask singly
        found: dict[str, JobStatus] = {}
        for remote in remotes:
            job = listed.get(remote)
            if job and not job.state.ended:
                found[remote] = _plain(job)
                continue
            try:
                found[remote] = self._single(remote)
            except (JobLost, Refused):
                continue  # no such job, or no id that this server could have
        return found

    def _single(self, remote: str) -> JobStatus:
        try:
            return _full(self._client.details(remote))
        except Unauthorized:
            raise
        except Unreachable:
            # a result that is not JSON breaks the details for ever, but not the short form
            job = self._client.status(remote)
            if not job.state.ended:
                raise
            return _plain(job)

    def fetch(self, remote: str, into: Path) -> tuple[Fetched, ...]:
        """All outputs: file by file, or through the archive when a folder is among them."""
        job = self._client.status(remote)
        if job.state is not State.SUCCESS:
            self._never(remote, into)
        names = self._client.outputs(remote)
        for name in names:
            download.inside(into, name)
        if not self._files(remote, names, into):
            self._unpack(remote, into)
        found = (each for each in sorted(into.rglob("*")) if each.is_file())
        return tuple(_fetched(each, into) for each in found)

    def _never(self, remote: str, into: Path) -> None:
        """The archive tells an unknown job (``JobLost``) from an unfinished one."""
        with tempfile.TemporaryDirectory(dir=into) as place:
            self._client.archive(remote, Path(place) / "a.zip")
        raise TooEarly("the job has not succeeded", where=remote)

    def _files(self, remote: str, names: Sequence[str], into: Path) -> bool:
        """Whether all names were files; those without a suffix come first, they may be folders."""
        for name in sorted(names, key=lambda each: ("." in each, each)):
            try:
                self._client.download(remote, name, into / name)
            except Unauthorized:
                raise
            except (JobLost, Unreachable) as error:
                if not isinstance(error, JobLost) and "HTTP 500" not in error.what:
                    raise
                return False
        return True

    def _unpack(self, remote: str, into: Path) -> None:
        with tempfile.TemporaryDirectory(dir=into) as place:
            packed = Path(place) / "outputs.zip"
            self._client.archive(remote, packed)
            download.unpack(packed, into)

    def forget(self, remote: str) -> None:
        """Remove the job where the server can."""
        try:
            self._client.delete(remote)
        except (Refused, JobLost):
            return

    def cancel(self, remote: str) -> None:
        """Stop the job where the server can; an ended one is left as it is."""
        try:
            if not self._client.status(remote).state.ended:
                self._client.delete(remote)
        except (Refused, JobLost):
            return

    def processes(self) -> tuple[str, ...]:
        """The names of the processes it can run."""
        return self._client.processes()

    def listen(self, changed: Callable[[str], None]) -> None:
        """This API tells nothing by itself: polling finds out."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _plain(job: Job) -> JobStatus:
    return JobStatus(PHASES[job.state], progress=job.progress, error=job.error or "")


def _full(details: Details) -> JobStatus:
    job, failed = details.job, details.job.state is State.FAILURE
    running = [step.info for step in details.steps if step.duration is None]
    trace = job.error or ""
    said = details.result if isinstance(details.result, str) else ""
    last = trace.strip().splitlines()[-1] if trace.strip() else "the job failed"
    return JobStatus(
        PHASES[job.state],
        progress=job.progress,
        step=running[-1] if running else "",
        error=(said or last) if failed else "",
        detail=trace if failed else "",
        result=details.result if job.state is State.SUCCESS else None,
    )


def _fetched(path: Path, into: Path) -> Fetched:
    with path.open("rb") as stream:
        size, digest = content.copy(stream, None)
    return Fetched(path.relative_to(into).as_posix(), size, digest)
