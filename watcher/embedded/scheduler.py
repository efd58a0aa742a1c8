"""The embedded scheduler: jobs in a folder, run by worker processes, behind the ``Backend`` port.

Imports the standard library, ``core.ports``, ``core.model``, ``errors`` and this package.
Invariant: one process owns the jobs folder; a submitted job is run to its end, across restarts;
no worker is started and nothing heavy is imported before the first job needs it.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from watcher.core.model import Fetched, JobStatus, Phase, Submitted
from watcher.core.ports import JobRequest
from watcher.embedded import catalog, options, power, program, tree
from watcher.embedded.catalog import Catalog
from watcher.embedded.executor import Books, Executor, Hire
from watcher.embedded.folders import Folders, write_inputs
from watcher.embedded.store import PENDING, SUCCESS, Job, Store
from watcher.embedded.workshop import PROCESSES, Benches, Workshop
from watcher.errors import JobLost, Refused, StateTaken, TooEarly, Unreachable

TIME_LIMIT = 3600.0  # seconds, as on the real scheduler
_PHASES = {
    "PENDING": Phase.QUEUED,
    "RETRY": Phase.QUEUED,
    "STARTED": Phase.RUNNING,
    "RUNNING": Phase.RUNNING,
    "SUCCESS": Phase.SUCCEEDED,
    "FAILURE": Phase.FAILED,
    "REVOKED": Phase.REVOKED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedOptions:
    """How an embedded scheduler runs.

    ``state`` is the folder that holds ``jobs``; ``workers`` 0 is one a core; ``processes`` is a
    folder of own process scripts; ``memory`` in bytes limits each job, 0 shares three quarters of
    the machine; ``grace`` in seconds is what running jobs get when it closes; ``package`` holds the
    built-in processes; ``revives`` are the jobs of earlier owners that go on, None for all: the
    others wait for an owner who wants them; ``hire`` gives the executor, None runs the jobs on this
    machine; ``withheld`` tells the secrets that jobs do not inherit with the environment;
    ``durable``: jobs outlive a power cut. An owner who sends again what is absent after one does
    without, and without an fsync for each step of a job.
    """

    state: Path
    workers: int = 0
    processes: Path | None = None
    memory: int = 0
    grace: float = 5.0
    starts: int = 25
    package: str = PROCESSES
    revives: Collection[str] | None = None
    hire: Hire | None = None
    withheld: Callable[[], Iterable[str]] = tuple
    durable: bool = True


class EmbeddedScheduler:
    """A ``Backend`` in this process.

    Raises:
        StateTaken: another process owns the jobs folder, or it cannot be used.
    """

    def __init__(self, chosen: EmbeddedOptions) -> None:
        root = chosen.state / "jobs"
        self._owner = _own(root)
        self._options = chosen
        self._folders = Folders(root, durable=chosen.durable)
        try:
            power.prove(root, durable=chosen.durable)
            self._store = Store(root / "jobs.sqlite", durable=chosen.durable)
        except StateTaken:
            self._owner.close()
            raise
        self._catalog = Catalog(chosen.processes, chosen.package)
        self._lock = threading.Lock()
        self._listeners: list[Callable[[str], None]] = []
        books = Books(self._store, self._folders, self._tell)
        self._executor = (chosen.hire or _here(chosen))(books)
        self._recover()

    # ---------------------------------------------------------------- the port
    def submit(self, request: JobRequest, *, config: Mapping[str, Any] | None = None) -> Submitted:
        """Take a job; see the port. ``config`` holds the wire's options (``root_file`` ...).

        Raises:
            Refused: no such process, no runnable script, or a bad name.
            Unreachable: the jobs folder cannot take it now (disk full, no permission).
        """
        job_id = options.chosen_id(request.key, "the key of a job")
        if self._store.knows(job_id):
            return Submitted(job_id)
        chosen = {"root_file": request.root_file} if request.root_file else {}
        spec, script = self._spec(request, {**chosen, **(config or {})})
        draft = None
        try:
            draft = self._folders.draft()
            durable = self._folders.durable
            names = write_inputs(draft / "inputs", request.sources, durable=durable)
            spec |= {"main": names[0] if names else None, "count": len(names)}
            self._folders.write_spec(draft, spec, script)
            if self._accept(draft, request, spec):
                draft = None
        except OSError as error:
            reason = error.strerror or str(error)
            raise Unreachable(f"the job cannot be stored ({reason})", where=job_id) from error
        finally:
            if draft is not None:
                shutil.rmtree(draft, ignore_errors=True)
        return Submitted(job_id)

    def status(self, remotes: Sequence[str]) -> dict[str, JobStatus]:
        """The word on each known id; one that is absent is certainly not here."""
        return {job.id: _status(job) for job in self._store.many(list(remotes)).values()}

    def fetch(self, remote: str, into: Path) -> tuple[Fetched, ...]:
        """Link or copy all outputs into a folder; see the port."""
        made = self._folders.made(remote)  # only of a job that succeeded
        job = self._store.get(remote) if made is None else None
        if made is None and job is None:
            raise JobLost("there is no such job", where=remote)
        if job is not None and job.status != SUCCESS:
            raise TooEarly(f"the job is {job.status}", where=remote)
        try:
            if made is not None:
                top = self._folders.job(remote) / "outputs"
                return tuple(tree.bring_made(top, into, one) for one in made)
            found = list(self._folders.outputs(remote))
            return tuple(tree.bring(path, into, name) for name, path in found)
        except OSError as error:
            reason = error.strerror or str(error)
            raise Unreachable(f"the outputs cannot be read ({reason})", where=remote) from error

    def forget(self, remote: str) -> None:
        """Free the folder of an ended job and drop its record; a running one is left alone."""
        if self._store.remove(remote):
            self._folders.remove(remote)

    def cancel(self, remote: str) -> None:
        """Stop a job: at once when it waits, within moments when it runs."""
        self._executor.cancel(remote)

    def processes(self) -> tuple[str, ...]:
        """The names of the processes, built-in and own."""
        return self._catalog.names()

    def listen(self, changed: Callable[[str], None]) -> None:
        """Call ``changed`` with the id of every job the moment it ends."""
        self._listeners.append(changed)

    def close(self) -> None:
        """Stop; what has not ended is left for the next start."""
        self._executor.close()
        self._store.close()
        self._owner.close()

    # ---------------------------------------------------------------- for a server
    def get(self, remote: str) -> Job | None:
        """Everything known of one job."""
        return self._store.get(remote)

    def jobs(self, *, limit: int = 0) -> list[Job]:
        """All jobs, newest first; 0 is no limit."""
        return self._store.all(limit=limit)

    def summaries(self) -> list[Job]:
        """All jobs, newest first, without result, steps and detail: quick for many thousands."""
        return self._store.summaries()

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        return self._store.counts()

    def draft(self) -> Path:
        """A folder beside the jobs for an upload; the caller removes it. One that a crash leaves
        behind goes at the next start."""
        return self._folders.draft()

    def outputs(self, remote: str) -> list[str]:
        """The names of all output files, sub-folders included."""
        with suppress(JobLost):
            return [name for name, _ in self._folders.outputs(remote)]
        return []

    def listing(self, remote: str) -> list[str]:
        """The names at the top of the outputs, files and folders, also of a job at work."""
        try:
            return sorted(path.name for path in self.output_folder(remote).iterdir())
        except OSError:  # unknown, or nothing written yet
            return []

    def output_path(self, remote: str, name: str) -> Path:
        """The file of one output, proved inside the outputs; ``OutsideRoot``, ``FileGone``."""
        if self._store.get(remote) is None:
            raise JobLost("there is no such job", where=remote)
        return self._folders.output(self.output_folder(remote), name)

    def output_folder(self, remote: str) -> Path:
        """The folder of a job's outputs; of a job at work that of its attempt."""
        job = self._store.get(remote)
        return self._folders.outputs_of(remote, job.runs if job else 0)

    def document(self, process: str) -> str:
        """The documentation of a process; ``Refused`` when there is none of that name."""
        return self._catalog.document(process)

    def purge(self, before: float) -> int:
        """Forget the jobs that ended before a wall time (UTC seconds); how many."""
        old = self._store.ended_before(before)
        for job in old:
            self.forget(job.id)
        return len(old)

    def clear(self) -> None:
        """Cancel every job that has not ended."""
        for job in self._store.unfinished():
            self.cancel(job.id)

    # ---------------------------------------------------------------- inside
    def _spec(
        self, request: JobRequest, config: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bytes | None]:
        """What a worker will have to know, and the script to store."""
        asked: dict[str, Any] = {}
        script, path, builtin = None, "", ""
        params = _params(request.params)
        if request.command:
            builtin = program.MODULE
            words, values = list(request.command), dict(request.values)
            params = {"command": words, "values": values, "at": request.at}
        elif request.script is not None:
            script = _read(request.script)
            asked = catalog.check(script, request.script.name, request.entrypoint)
        else:
            process = self._catalog.find(request.process)
            source = _read(process.path)
            asked = catalog.check(source, process.path.name, request.entrypoint)
            builtin, path = process.module, "" if process.module else str(process.path.resolve())
        mine = {"queue": request.queue or None, "time_limit": request.time_limit}
        spec = {
            "id": request.key,
            "requested": time.time(),
            "process": request.process or ("command" if request.command else "custom"),
            "builtin": builtin,
            "path": path,
            "entrypoint": request.entrypoint,
            "params": params,
            "config": dict(config),
            "queue": catalog.chosen(mine, asked, "queue", "cpu"),
            "time_limit": float(catalog.chosen(mine, asked, "time_limit", TIME_LIMIT)),
        }
        return spec, script

    def _accept(self, draft: Path, request: JobRequest, spec: Mapping[str, Any]) -> bool:
        """Queue a job; False when the same key was sent twice at once."""
        job_id = request.key
        with self._lock:
            if self._store.knows(job_id):
                return False
            self._folders.settle(draft, job_id)
            job = Job(
                seq=0,
                id=job_id,
                name=request.name,
                process=spec["process"],
                priority=request.priority,
                status=PENDING,
                requested=spec["requested"],
                retry=spec["config"].get("retries", 0),
            )
            self._executor.put(replace(job, seq=self._store.add(job)))
        return True

    def _tell(self, job_id: str) -> None:
        for listener in list(self._listeners):
            listener(job_id)

    def _recover(self) -> None:
        """Queue again what had not ended when the last owner stopped or died."""
        unfinished = self._store.unfinished()
        self._folders.sweep({job.id for job in self._store.all()})
        self._executor.recover(unfinished)


def _here(chosen: EmbeddedOptions) -> Hire:
    """The executor of this machine."""
    benches = Benches(
        workers=chosen.workers,
        memory=chosen.memory,
        starts=chosen.starts,
        package=chosen.package,
        grace=chosen.grace,
        revives=chosen.revives,
        withheld=chosen.withheld,
    )

    def hire(books: Books) -> Executor:
        return Workshop(books, benches)

    return hire


def _own(root: Path) -> IO[str]:
    """Lock the jobs folder for this process."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / "lock").open("w")
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateTaken(f"the jobs folder cannot be used ({reason})", where=str(root)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StateTaken(
            "another process runs the embedded scheduler here",
            where=str(root),
            fix="stop it, or choose another state folder",
        ) from error
    return lock


def _params(params: Any) -> Any:
    try:
        return json.loads(json.dumps(params))
    except (TypeError, ValueError) as error:
        raise Refused(f"the parameters cannot be written as JSON ({error})") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise Refused(f"the script cannot be read ({reason})", where=str(path)) from error


def _status(job: Job) -> JobStatus:
    step = job.steps[-1].info if job.steps else ""
    return JobStatus(
        _PHASES[job.status],
        progress=job.progress,
        step=step,
        error=job.error or "",
        detail=job.detail,
        result=job.result if job.status == SUCCESS else None,
        warnings=job.warnings,
        permanent=bool(job.permanent),
    )
