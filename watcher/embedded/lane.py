"""One place at the workbench: takes a job through its attempt in a worker, and judges the end.

Imports the standard library, ``core.model``, and the package's ``executor``, ``folders``, ``pool``
and ``store``.
Invariant: whatever a worker does, its job ends, goes back to the queue, or is left for the next
start.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

from watcher.core.model import Fetched
from watcher.embedded.executor import CRASHES
from watcher.embedded.folders import Folders
from watcher.embedded.pool import Pool, Worker
from watcher.embedded.store import FAILURE, REVOKED, SUCCESS, Job, Outcome, Step
from watcher.errors import Unreachable

TICK = 0.1  # seconds between looks at memory, time limit and cancellation
_SHOW_EVERY = 0.2  # seconds between writes of progress
_STEPS = 1000  # kept; later ones still count for the progress
_INLINE = 1 << 15  # characters of a spec that travels with the order
_WARM_JOBS = 200  # of one worker, before it is replaced
_WARM_GROWTH = 0.25  # of the memory limit, kept after a job, before it is replaced


class Order(Enum):
    """What a running job is told from outside."""

    GO_ON = 1
    CANCEL = 2
    LEAVE = 3  # the scheduler closes


@dataclass(slots=True)
class Running:
    """A job in a worker, as other threads see it."""

    order: Order = Order.GO_ON


@dataclass(slots=True)
class Progress:
    """The steps that a script reported so far."""

    total: int = 0
    count: int = 0  # steps begun
    steps: list[Step] = field(default_factory=list)
    began: float = 0.0
    changed: bool = False

    def take(self, frame: dict[str, Any]) -> None:
        """Note one word of the worker."""
        self.changed, now = True, frame["at"]
        if "total" in frame:
            self.total = frame["total"]
        if "step" in frame or "finish" in frame:
            self._close(now)
        if "step" in frame:
            self.count, self.began = self.count + 1, now
            if len(self.steps) < _STEPS:
                self.steps.append(Step(frame["step"]))

    def _close(self, now: float) -> None:
        if self.steps and self.steps[-1].duration < 0:
            self.steps[-1] = Step(self.steps[-1].info, round(now - self.began, 3))

    @property
    def percent(self) -> int | None:
        """Finished steps of the declared total, 0 to 100; None before the first step."""
        if not self.count:
            return None
        return max(0, min(100, 100 * (self.count - 1) // max(self.total, 1)))


class Book(Protocol):
    """Where a lane writes what becomes of its jobs."""

    def start(self, job_id: str, at: float) -> Job | None:
        """Take a waiting job, one run more; None when it no longer waits."""

    def show(self, job_id: str, progress: int | None, steps: Iterable[Step]) -> None:
        """The progress of a running job."""

    def again(self, job_id: str, *, error: str, counted: bool) -> None:
        """A run that died (``counted``) or was left: the job waits again."""

    def end(self, job: Job, outcome: Outcome, attempt: int) -> None:
        """The end of a job; the outputs of ``attempt`` are kept, 0 has none."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all lanes share. ``memory`` is in bytes; ``starts`` are those a job gets, counting the
    ones that ended with the scheduler itself."""

    book: Book
    folders: Folders
    pool: Pool
    memory: int
    starts: int


class Lane:
    """Runs one job after another, keeping a warm worker for those that may share one.

    Args:
        bench: what all lanes share.
        ended: called with the id of each job that ended.
        again: called with each job that must be run again.
    """

    def __init__(
        self, bench: Bench, ended: Callable[[str], None], again: Callable[[Job], None]
    ) -> None:
        self._bench = bench
        self._ended = ended
        self._again = again
        self._warm: Worker | None = None
        self._base = 0  # bytes that the warm worker occupied at first

    def run(self, job_id: str, running: Running) -> None:
        """One attempt of a waiting job; nothing when it no longer waits."""
        job = self._bench.book.start(job_id, time.time())
        if job is None:
            return
        try:
            spec = self._bench.folders.spec(job_id)
            expires = spec["config"].get("expires")
            if expires is not None and time.time() > job.requested + expires and job.runs == 1:
                self._end(job, Outcome(status=REVOKED, result="expired"))
                return
            self._run(job, spec, running)
        except (OSError, ValueError, Unreachable) as error:
            self._end(job, Outcome(status=FAILURE, error=f"the job could not be run: {error}"))

    def close(self) -> None:
        """Let the warm worker go."""
        if self._warm is not None:
            self._warm.drop()
            self._warm = None

    def _run(self, job: Job, spec: dict[str, Any], running: Running) -> None:
        attempt = _Attempt(self._bench, job, spec, running)
        if job.runs > self._bench.starts:
            text = f"given up: the scheduler ended {job.runs - 1} times while this job ran"
            self._end(job, Outcome(status=FAILURE, error=text))
            return
        shared = spec["builtin"] and not job.retry and attempt.run(self._shared(), own=False)
        if not shared:
            worker = self._bench.pool.worker()
            attempt.run(worker, own=True)
            worker.drop()
        self._tidy(attempt.memory if shared else 0)
        self._judge(job, attempt)

    def _shared(self) -> Worker:
        if self._warm is None:
            self._warm = self._bench.pool.worker()
            self._base = self._warm.memory()
        self._warm.jobs += 1
        return self._warm

    def _tidy(self, memory: int) -> None:
        """Replace a warm worker that is dead, old, or has grown to so many bytes."""
        warm = self._warm
        if warm is None:
            return
        grown = memory - self._base > self._bench.memory * _WARM_GROWTH
        if warm.ended or warm.jobs >= _WARM_JOBS or grown:
            self.close()

    def _judge(self, job: Job, attempt: _Attempt) -> None:
        if attempt.left:
            self._bench.book.again(job.id, error="", counted=False)
        elif attempt.crashed and job.retry + 1 < CRASHES:
            self._bench.book.again(job.id, error=attempt.reason, counted=True)
            self._again(job)
        else:
            self._end(job, attempt.outcome(), job.runs)

    def _end(self, job: Job, outcome: Outcome, attempt: int = 0) -> None:
        self._bench.book.end(job, outcome, attempt)
        self._ended(job.id)


class _Attempt:
    """One run of a job in a worker: its progress, its limits, its end."""

    def __init__(self, bench: Bench, job: Job, spec: dict[str, Any], running: Running) -> None:
        self._bench = bench
        self._job = job
        self._spec = spec
        self._limit = spec["time_limit"]
        self._running = running
        self._progress = Progress()
        self._shown = 0.0
        self._weighed = time.monotonic()
        self.reason = ""
        self.crashed = False
        self.left = False
        self.memory = 0  # bytes that the worker occupied at the end
        self._revoked = False
        self._left: dict[str, Any] | None = None

    def run(self, worker: Worker, *, own: bool) -> bool:
        """Drive the worker to the job's end; False when it asks for a process of its own."""
        job = self._job
        if self._limit <= 0:  # no job is that fast, though a small one may end before it is asked
            self.reason = self._too_long()
            return True
        folder = str(self._bench.folders.job(job.id))
        self._bench.folders.clear_attempt(job.id, job.runs)
        spec = self._spec if len(str(self._spec)) <= _INLINE else None
        order = {"attempt": job.runs, "retry": job.retry, "own": own, "spec": spec}
        worker.send(order | {"folder": folder})
        deadline = time.monotonic() + self._limit
        while True:
            frame = worker.receive(min(TICK, max(0.0, deadline - time.monotonic())))
            for word in worker.words():
                self._progress.take(word)
            if frame is not None and not self._take(frame, worker):
                return "own" not in frame
            if self._must_stop(worker, deadline):
                worker.drop()
                return True
            self._show()

    def _take(self, frame: dict[str, Any], worker: Worker) -> bool:
        """Note a frame; False when it was the last one of the job."""
        if "ended" in frame:
            self.crashed, self.reason = True, f"the job's process {_death(worker.code)}"
            return False
        if "end" in frame:
            self._left, self.memory = frame["end"], frame["memory"]
        return "more" in frame

    def _must_stop(self, worker: Worker, deadline: float) -> bool:
        self.left = self._running.order is Order.LEAVE
        self._revoked = self._running.order is Order.CANCEL
        if time.monotonic() >= deadline:
            self.reason = self._too_long()
        elif time.monotonic() - self._weighed >= TICK:  # not for every word of progress
            self._weighed = time.monotonic()
            self._bench.folders.trim_log(self._job.id, self._job.runs)
            if worker.memory() > self._bench.memory:
                self.reason = self._too_big()
        return bool(self.reason) or self.left or self._revoked

    def _too_long(self) -> str:
        return f"took longer than its time limit of {self._limit:g} s"

    def _too_big(self) -> str:
        return f"needed more than {self._bench.memory / (1 << 30):.3g} GB of memory"

    def _show(self) -> None:
        now = time.monotonic()
        if self._progress.changed and now - self._shown >= _SHOW_EVERY:
            self._bench.book.show(self._job.id, self._progress.percent, self._progress.steps)
            self._progress.changed, self._shown = False, now

    def outcome(self) -> Outcome:
        """The job's end, in the store's words."""
        steps = tuple(self._progress.steps)
        if self._revoked:
            return Outcome(status=REVOKED, steps=steps)
        left = None if self.reason else self._outcome()
        if left is None:
            reason = self.reason or "the job's process left no result"
            return self._failure(reason, self._tail(), (), steps)
        warnings = tuple(left["warnings"])
        if left.get("ok"):
            made = left.get("made")
            return Outcome(
                status=SUCCESS,
                result=left["result"],
                warnings=warnings,
                steps=steps,
                made=None if made is None else tuple(Fetched(*one) for one in made),
            )
        reason = self._too_big() if left.get("memory") else left["error"]
        failed = self._failure(reason, left["detail"] or self._tail(), warnings, steps)
        return replace(failed, permanent=bool(left.get("permanent")))

    def _outcome(self) -> dict[str, Any] | None:
        return self._left or self._bench.folders.outcome(self._job.id, self._job.runs)

    def _failure(
        self, reason: str, detail: str, warnings: tuple[str, ...], steps: tuple[Step, ...]
    ) -> Outcome:
        # the wire shows the exception's text as the result of a failed job
        return Outcome(
            status=FAILURE,
            error=reason,
            detail=detail,
            result=reason,
            warnings=warnings,
            steps=steps,
        )

    def _tail(self) -> str:
        return self._bench.folders.tail(self._job.id, self._job.runs)


def _death(code: int | None) -> str:
    """How a process ended, for people."""
    if code is None:
        return "was lost"
    if code >= 0:
        return f"ended early (exit code {code})"
    name = ""
    with contextlib.suppress(ValueError):
        name = signal.strsignal(-code) or ""
    return f"crashed (signal {-code}: {name.lower()})"


class Gate:
    """The jobs that are running now, so that they can be told to stop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Running] = {}

    @contextlib.contextmanager
    def passing(self, job_id: str) -> Any:
        """A job while it runs."""
        running = Running()
        with self._lock:
            self._running[job_id] = running
        try:
            yield running
        finally:
            with self._lock:
                del self._running[job_id]

    def tell(self, job_id: str, order: Order) -> bool:
        """Tell one job; False when it does not run."""
        with self._lock:
            if job_id in self._running:
                self._running[job_id].order = order
            return job_id in self._running

    def tell_all(self, order: Order) -> None:
        """Tell all of them."""
        with self._lock:
            for running in self._running.values():
                running.order = order
