"""The executor on this machine: lanes that take waiting jobs and run them in worker processes.

Imports the standard library, ``errors`` and this package. Invariant: no worker is started and
nothing heavy is imported before the first job needs it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from watcher.embedded.executor import Books, due
from watcher.embedded.lane import Bench, Gate, Lane, Order
from watcher.embedded.pool import Pool
from watcher.embedded.store import REVOKED, Job, Outcome, Step
from watcher.embedded.waiting import Waiting
from watcher.errors import Unreachable

PROCESSES = "watcher.embedded.processes"
_LEAST_MEMORY = 2 << 30
_SHARE = 0.75  # of the machine's memory, for all workers together


@dataclass(frozen=True, slots=True, kw_only=True)
class Benches:
    """How many jobs run at once, and what each may use; see ``EmbeddedOptions``."""

    workers: int = 0
    memory: int = 0
    starts: int = 25
    package: str = PROCESSES
    grace: float = 5.0
    revives: Collection[str] | None = None
    withheld: Callable[[], Iterable[str]] = tuple


class Workshop:
    """An ``Executor`` in this process."""

    def __init__(self, books: Books, chosen: Benches) -> None:
        self._books = books
        self._chosen = chosen
        self._queue = Waiting()
        self._gate = Gate()
        self._threads: list[threading.Thread] = []
        self._workers = workers(chosen.workers)
        memory = chosen.memory or fair_memory(self._workers)
        log = books.folders.root / "workers.log"
        self.pool = Pool(log, memory, package=chosen.package, withheld=chosen.withheld)
        self._bench = Bench(_Kept(books), books.folders, self.pool, memory, chosen.starts)

    def recover(self, unfinished: Sequence[Job]) -> None:
        """See ``Executor``; what had begun begins again, where it is wanted."""
        for job in unfinished:
            self._books.store.requeue(job.id)
            if self._chosen.revives is None or job.id in self._chosen.revives:
                self.put(job)

    def put(self, job: Job) -> None:
        """See ``Executor``; opens one lane more while there are fewer than workers."""
        self._queue.put(job, due=due(job, self._books.folders))
        if len(self._threads) < self._workers and not self._queue.closed:
            thread = threading.Thread(target=self._serve, name="embedded-lane", daemon=True)
            self._threads.append(thread)
            thread.start()

    def cancel(self, job_id: str) -> None:
        """See ``Executor``."""
        if self._gate.tell(job_id, Order.CANCEL):
            return
        if self._books.store.end(job_id, Outcome(status=REVOKED), time.time()):
            self._books.ended(job_id)

    def close(self) -> None:
        """See ``Executor``; running jobs get the grace to end."""
        self._queue.close()
        deadline = time.monotonic() + self._chosen.grace
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._gate.tell_all(Order.LEAVE)
        for thread in self._threads:
            thread.join()
        self.pool.close()

    def _serve(self) -> None:
        lane = Lane(self._bench, self._books.ended, self._queue.put)
        while (job_id := self._queue.take()) is not None:
            # a store that fails even at the end of a job leaves it to be run at the next start
            with suppress(Unreachable), self._gate.passing(job_id) as running:
                lane.run(job_id, running)
        lane.close()


class _Kept:
    """The book of the lanes here: the store, and the outputs under their final name."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def start(self, job_id: str, at: float) -> Job | None:
        return self._books.store.start(job_id, at)

    def show(self, job_id: str, progress: int | None, steps: Iterable[Step]) -> None:
        self._books.store.show(job_id, progress, steps)

    def again(self, job_id: str, *, error: str, counted: bool) -> None:
        self._books.store.again(job_id, error=error, counted=counted)

    def end(self, job: Job, outcome: Outcome, attempt: int) -> None:
        if attempt:
            self._books.folders.keep_outputs(job.id, attempt, outcome.made)
        self._books.store.end(job.id, outcome, time.time())


def workers(wanted: int) -> int:
    """How many jobs run at once; 0 asks for one a core."""
    return wanted or os.cpu_count() or 1


def fair_memory(workers: int) -> int:
    """Bytes of memory for each job: an equal share of most of the machine's."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(_LEAST_MEMORY, int(total * _SHARE / workers))
