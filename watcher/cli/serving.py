"""Runs ``watcher serve``: wires scheduler, API and socket, and waits for a signal.

Imports ``daemon.logs``, ``core`` and ``embedded``. Invariant: what was taken is either done or left
for the next start; the exit code of a stop that was asked for is 0.
"""

from __future__ import annotations

import signal
import threading
import time

from structlog.typing import FilteringBoundLogger

from watcher import __version__
from watcher.cli import broker
from watcher.cli.wanted import Wanted
from watcher.core.settings import Secret
from watcher.daemon import logs
from watcher.embedded.executor import Hire
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler
from watcher.embedded.server.app import Api, Serving
from watcher.embedded.server.host import Host, bind
from watcher.errors import WatcherError

_LOOK_EVERY = 1.0  # seconds between looks at the server's thread
_PURGE_EVERY = 600.0


def run(wanted: Wanted, *, verbose: bool) -> None:
    """Serve until a signal."""
    stop = _stop_on_signals()
    secrets = [Secret(wanted.token)] if wanted.token else []
    log = logs.configure(
        level="debug" if verbose else "info", secrets=[*secrets, *broker.secrets(wanted.broker)]
    )
    bound = bind(wanted.host, wanted.port)
    with bound:
        scheduler = EmbeddedScheduler(
            EmbeddedOptions(
                state=wanted.state,
                workers=wanted.workers,
                processes=wanted.processes,
                hire=_hire(wanted, log),
            )
        )
        try:
            api = Api(
                scheduler,
                Serving(version=__version__, token=wanted.token, scripts=wanted.scripts),
                log,
            )
            host = Host(api.application(), log)
            log.info(
                "serve.started",
                url=host.start(bound),
                state=str(wanted.state),
                token=bool(wanted.token),
                executor="celery" if wanted.broker else "local",
                scripts=wanted.scripts,
            )
            watch(scheduler, host, stop, wanted.keep, log)
            log.info("serve.stopping")
            host.stop()
            api.close()
        finally:
            scheduler.close()
    log.info("serve.stopped")


def _hire(wanted: Wanted, log: FilteringBoundLogger) -> Hire | None:
    """Who runs the jobs; None is this machine."""
    if not wanted.broker:
        return None
    from watcher.embedded.farm.dispatcher import farm  # noqa: PLC0415  (needs the extra)

    return farm(wanted.broker, log)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def watch(
    scheduler: EmbeddedScheduler,
    host: Host,
    stop: threading.Event,
    keep: float | None,
    log: FilteringBoundLogger,
) -> None:
    """Until a signal; meanwhile what ended more than ``keep`` seconds ago goes.

    Raises:
        WatcherError: the server's thread ended by itself.
    """
    due = 0.0
    while not stop.wait(_LOOK_EVERY):
        if not host.alive:
            raise WatcherError("the server ended by itself", fix="see its log, then start it again")
        if keep is not None and time.monotonic() >= due:
            due = time.monotonic() + min(_PURGE_EVERY, max(1.0, keep / 4))
            try:
                scheduler.purge(time.time() - keep)
            except WatcherError as error:  # a full disk passes; the jobs go the next time
                log.warning("trouble", where="old jobs", reason=str(error))
