"""A scheduler in memory, which does what the test tells it.

Scripts are not run: a job ends with ``outputs`` and ``result`` as planned, or as its plan says.
Invariant: without a plan it keeps every promise of the ``Backend`` port.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watcher import content
from watcher.core.model import Fetched, JobStatus, Phase, Submitted
from watcher.core.ports import JobRequest
from watcher.errors import JobLost, Refused, TooEarly, Unreachable


@dataclass(slots=True)
class Plan:
    """What will become of the jobs submitted from now on.

    ``fail`` is the reason of a failure; ``stay`` a phase in which a job remains for ever;
    ``lose`` makes it unknown after it was taken; ``drop_reply`` takes it and says Unreachable;
    ``refuse`` and ``unreachable`` take nothing.
    """

    outputs: dict[str, bytes] = field(default_factory=lambda: {"out.txt": b"made"})
    result: Any = None
    warnings: tuple[str, ...] = ()
    fail: str = ""
    stay: Phase | None = None
    lose: bool = False
    drop_reply: bool = False
    refuse: str = ""
    unreachable: bool = False


@dataclass(slots=True)
class _Job:
    request: JobRequest
    plan: Plan
    inputs: dict[str, bytes]
    phase: Phase


class FakeBackend:
    """A ``Backend``. Jobs end in the call that submits them, or by ``finish``."""

    def __init__(
        self,
        plan: Plan | None = None,
        *,
        processes: Sequence[str] = ("echo",),
        put: Callable[[Path, str, bytes], Fetched] | None = None,
    ) -> None:
        self.plan = plan or Plan()
        self._put = put or put_on_disk
        self.down = False
        self.submitted: list[JobRequest] = []
        self.forgotten: list[str] = []
        self.closed = False
        self._names = tuple(processes)
        self._jobs: dict[str, _Job] = {}
        self._listeners: list[Callable[[str], None]] = []

    def submit(self, request: JobRequest) -> Submitted:
        self._reach()
        plan = self.plan
        if plan.unreachable:
            raise Unreachable("the plan says so")
        if request.key in self._jobs:
            return Submitted(request.key)
        if plan.refuse or (request.script is None and request.process not in self._names):
            raise Refused(plan.refuse or f"Invalid process {request.process!r}")
        if any(".." in source.name.split("/") for source in request.sources):
            raise Refused("the name of an input leads out")
        self._take(request, plan)
        if plan.drop_reply:
            raise Unreachable("the reply was lost")
        return Submitted(request.key)

    def status(self, remotes: Sequence[str]) -> dict[str, JobStatus]:
        self._reach()
        return {remote: _word(self._jobs[remote]) for remote in remotes if remote in self._jobs}

    def fetch(self, remote: str, into: Path) -> tuple[Fetched, ...]:
        self._reach()
        if remote not in self._jobs:
            raise JobLost("there is no such job", where=remote)
        job = self._jobs[remote]
        if job.phase is not Phase.SUCCEEDED:
            raise TooEarly(f"the job is {job.phase}", where=remote)
        return tuple(self._put(into, name, made) for name, made in job.plan.outputs.items())

    def forget(self, remote: str) -> None:
        self._reach()
        self.forgotten.append(remote)
        self._jobs.pop(remote, None)

    def cancel(self, remote: str) -> None:
        self._reach()
        job = self._jobs.get(remote)
        if job is not None and job.phase in (Phase.QUEUED, Phase.RUNNING, Phase.UNSEEN):
            job.phase = Phase.REVOKED
            self._tell(remote)

    def processes(self) -> tuple[str, ...]:
        self._reach()
        return self._names

    def listen(self, changed: Callable[[str], None]) -> None:
        self._listeners.append(changed)

    def close(self) -> None:
        self.closed = True

    # ---------------------------------------------------------------- for the test
    def finish(self, remote: str) -> None:
        """End a job that stayed."""
        job = self._jobs[remote]
        job.phase = Phase.FAILED if job.plan.fail else Phase.SUCCEEDED
        self._tell(remote)

    def inputs(self, remote: str) -> dict[str, bytes]:
        """What a job was sent."""
        return self._jobs[remote].inputs

    def _reach(self) -> None:
        if self.down:
            raise Unreachable("the fake is down")

    def _take(self, request: JobRequest, plan: Plan) -> None:
        inputs = {}
        for source in request.sources:
            with closing(source.open()) as stream:
                inputs[source.name] = stream.read()
        self.submitted.append(request)
        if plan.lose:
            return
        self._jobs[request.key] = _Job(request, plan, inputs, plan.stay or Phase.QUEUED)
        if plan.stay is None:
            self.finish(request.key)

    def _tell(self, remote: str) -> None:
        for listener in self._listeners:
            listener(remote)


def _word(job: _Job) -> JobStatus:
    if job.phase is Phase.FAILED:
        return JobStatus(job.phase, error=job.plan.fail, detail=job.plan.fail)
    if job.phase is not Phase.SUCCEEDED:
        return JobStatus(job.phase)
    return JobStatus(job.phase, 100, result=job.plan.result, warnings=job.plan.warnings)


def put_on_disk(into: Path, name: str, made: bytes) -> Fetched:
    """One output of a job into a real staging folder."""
    target = into / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(made)
    with target.open("rb") as stream:
        return Fetched(name, len(made), content.digest(stream))
