"""A worker process: Celery takes the tasks of some queues, a crew runs them, a signal drains it.

Imports the standard library, celery, structlog's types, ``errors`` and this package. Invariant:
what was begun ends, or is handed back, before the process does.

Celery runs in this process with its pool of threads: its pre-forked children may have no children
of their own, and each job runs in a process of our own pool, with its limits.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery.worker import WorkController, state
from structlog.typing import FilteringBoundLogger

from watcher.embedded.farm.board import Board
from watcher.embedded.farm.claims import name_of
from watcher.embedded.farm.crew import Crew, Hall
from watcher.embedded.farm.pulse import Pulse
from watcher.embedded.farm.tasks import application, queue_name, register
from watcher.embedded.folders import Folders
from watcher.embedded.pool import Pool
from watcher.embedded.workshop import PROCESSES, fair_memory
from watcher.errors import StateTaken, WatcherError

_LOOK_EVERY = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Labour:
    """What a worker is to do. ``state`` holds the shared ``jobs``; ``grace`` in seconds is what
    running jobs get after a signal before they are handed back."""

    broker: str
    state: Path
    queues: tuple[str, ...]
    workers: int
    grace: float


class Worker:
    """One worker; ``run`` works until ``drain`` was called."""

    def __init__(self, labour: Labour, log: FilteringBoundLogger) -> None:
        self._labour = labour
        self._log = log
        self._draining = threading.Event()
        self._now = threading.Event()
        self._trouble = ""
        self._celery: Any = None

    def drain(self) -> None:
        """Take no more tasks, give running jobs the grace; called again, hand them back at once.
        Safe in a signal handler."""
        if self._draining.is_set():
            self._now.set()
        self._draining.set()
        state.should_stop = os.EX_OK

    def run(self) -> None:
        """Work until told to drain.

        Raises:
            StateTaken: the jobs folder cannot be used.
            WatcherError: Celery ended by itself.
        """
        farm = self._farm()
        if not farm:
            return
        labour, root = self._labour, self._labour.state / "jobs"
        name = f"{socket.gethostname()}:{os.getpid()}"
        memory = fair_memory(labour.workers)
        pulse = Pulse(Board(labour.broker, farm), self._tell, self._reconnect)
        pool = Pool(root / f"workers.{socket.gethostname()}.log", memory, package=PROCESSES)
        hall = Hall(folders=Folders(root), pool=pool, memory=memory, pulse=pulse, name=name)
        crew = Crew(hall, labour.workers)
        pulse.start()
        threading.Thread(target=self._hand_back, args=(pulse,), daemon=True).start()
        try:
            self._work(farm, crew, name)
        finally:
            # Celery does not always wait for its threads: not when the broker is away
            self._draining.set()
            pulse.leaving = True
            crew.close()
            pulse.stop()

    def _work(self, farm: str, crew: Crew, name: str) -> None:
        labour = self._labour
        _relay(self._log)
        app = application(labour.broker)
        register(app, crew.run)
        app.finalize()
        self._celery = _controller(
            app=app,
            pool="threads",
            concurrency=labour.workers,
            queues=[queue_name(farm, queue) for queue in labour.queues],
            hostname=f"watcher@{name}",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        self._log.info(
            "worker.started",
            farm=farm,
            queues=list(labour.queues),
            workers=labour.workers,
            state=str(labour.state),
        )
        self._celery.start()
        if not self._draining.is_set():
            raise WatcherError("the worker ended by itself", fix="see its log, then start it again")

    def _farm(self) -> str:
        """The farm of the folder; waits until ``serve`` has begun there."""
        root = self._labour.state / "jobs"
        said = False
        while not (farm := name_of(root)):
            if not said:
                self._log.warning(
                    "trouble", where=str(root), reason="no `watcher serve --executor celery` yet"
                )
                said = True
            if self._draining.wait(_LOOK_EVERY):
                return ""
        if not os.access(root, os.W_OK | os.X_OK):
            raise StateTaken(
                "the shared jobs folder cannot be written",
                where=str(root),
                fix="run workers as the user of serve",
            )
        return farm

    def _hand_back(self, pulse: Pulse) -> None:
        self._draining.wait()
        pulse.leaving = True
        self._log.info("worker.stopping", jobs=pulse.busy)
        self._now.wait(self._labour.grace)
        pulse.leave()

    def _reconnect(self) -> None:
        """Have Celery connect anew. A task that it could not acknowledge while the broker was away
        would count as running for ever, and so many fewer would be taken."""
        consumer = getattr(self._celery, "consumer", None)
        if consumer is not None and consumer.connection is not None:
            consumer.call_soon(_broken)

    def _tell(self, reason: str) -> None:
        if reason == self._trouble:
            return
        self._trouble = reason
        if reason:
            self._log.warning("trouble", where="broker", reason=f"it cannot be used ({reason})")
        else:
            self._log.info("trouble.over", where="broker")


def _broken() -> None:
    """Run in Celery's own loop, which mends its connection after such an error."""
    raise ConnectionResetError("the broker was away")


def _controller(*, app: Any, **more: Any) -> Any:
    """Celery's worker without its banner and signal handlers; its types say nothing."""
    make: Callable[..., Any] = WorkController
    return make(app=app, **more)


def _relay(log: FilteringBoundLogger) -> None:
    """What Celery itself says, from warnings up, in our log."""
    for name in ("celery", "kombu"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [_Relay(log)], False
        logger.setLevel(logging.WARNING)


class _Relay(logging.Handler):
    """Passes a record on to structlog."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        text = record.getMessage().strip().splitlines() or [""]
        self._log.warning("trouble", where=record.name, reason=text[0])
