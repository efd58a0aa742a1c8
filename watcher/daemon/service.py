"""Builds the daemon from its parts, runs it, and stops it in a known order.

Imports everything below; the only place, beside the command line, that picks implementations.
Invariant: one daemon a state folder; stopping ends intake, then the effects in hand, then the
ledger.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from structlog.typing import FilteringBoundLogger

from watcher.adapters.clock import SystemClock
from watcher.adapters.files import LocalFiles
from watcher.adapters.http.backend import HttpBackend
from watcher.adapters.http.client import Client
from watcher.adapters.http.session import Server
from watcher.adapters.ledger import open_ledger
from watcher.core.effects import Effect
from watcher.core.lifecycle import UNFINISHED
from watcher.core.ports import Backend, Change, Ledger, NewFile, SaveFile
from watcher.core.settings import SchedulerSettings, Settings
from watcher.daemon import logs
from watcher.daemon.books import Outside
from watcher.daemon.effects import World, file_of
from watcher.daemon.engine import Engine, Hint, Stop
from watcher.daemon.hands import Hands
from watcher.daemon.health import Health, SchedulerHealth
from watcher.daemon.intake import Intake
from watcher.daemon.monitor import Monitor
from watcher.daemon.roots import Roots
from watcher.daemon.sightings import (
    Absent,
    Arrival,
    Fault,
    Refusal,
    RootState,
    ScanDone,
    Sighting,
)
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler
from watcher.errors import StateTaken, WatcherError

JOBS_KEPT = 86400.0  # seconds that an ended embedded job is kept when nobody fetched it
CONNECT = 10.0  # seconds to wait for a connection, where a request may take longer
QUIET = 0.3  # seconds without anything to do after which ``run --once`` ends


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: counts of files of this run, of files and folders that remain, and who could
    not be reached."""

    delivered: int
    failed: int
    left: int
    unreachable: str = ""


def lock_state(state: Path) -> IO[str]:
    """Own a state folder for as long as the returned file stays open.

    Raises:
        StateTaken: another daemon owns it, or it cannot be made.
    """
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o750)
        held = (state / "lock").open("a+")
    except OSError as error:
        raise StateTaken(
            f"the state folder cannot be used: {error.strerror}", where=str(state)
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.seek(0)
        owner = held.read().strip() or "unknown"
        held.close()
        raise StateTaken(
            f"another watcher (process {owner}) uses this state folder",
            where=str(state),
            fix="stop it, or give this one a state of its own",
        ) from None
    held.truncate(0)
    held.write(str(os.getpid()))
    held.flush()
    return held


def build_backend(scheduler: SchedulerSettings, state: Path) -> Backend:
    """The scheduler that the settings name.

    Raises:
        StateTaken: another process owns the embedded scheduler's folder.
    """
    if scheduler.url != "embedded":
        token = scheduler.token.reveal() if scheduler.token is not None else ""
        connect = min(CONNECT, scheduler.timeout)
        server = Server(url=scheduler.url, token=token, connect=connect, read=scheduler.timeout)
        return HttpBackend(Client(server))
    own = state if scheduler.name == "default" else state / "schedulers" / scheduler.name
    return EmbeddedScheduler(
        EmbeddedOptions(state=own, workers=scheduler.workers, processes=scheduler.processes)
    )


class Service:
    """One daemon: built, run once, closed."""

    def __init__(
        self,
        settings: Settings,
        log: FilteringBoundLogger,
        *,
        listener: Callable[[Sequence[Change]], None] | None = None,
    ) -> None:
        self.settings = settings
        self.log = log
        self._listener = listener
        self._paths: dict[int, str] = {}
        self._signals = 0
        self.roots: dict[str, RootState] = {}
        self._refused: set[tuple[str, str]] = set()
        self._monitor: Monitor | None = None
        self._lock = lock_state(settings.state)
        self._make_folders()
        self.ledger: Ledger = open_ledger(settings.state, read_only=False, url=settings.ledger)
        self.files = LocalFiles()
        self.clock = SystemClock()
        self.backends = {
            name: build_backend(one, settings.state) for name, one in settings.schedulers.items()
        }
        self.engine = Engine(settings, self.ledger, self.clock, self._outside())
        self.hands = Hands(World(settings, self.backends, self.files), self.engine.post, log)
        self.intake = Intake(
            settings.folders,
            self.files,
            self.ledger,
            clock=self.clock,
            deliver=self._sighted,
            roots=Roots(settings.state / "roots.json"),
        )
        for name, backend in self.backends.items():
            backend.listen(self._hint(name))

    def _sweep(self) -> None:
        """Remove what a killed daemon left of files that have come to their end: staging folders,
        and jobs of the embedded scheduler that ended a day ago."""
        for folder in self.settings.folders:
            with suppress(WatcherError):
                for name in self.files.leftovers(folder.output, self.settings.state):
                    work = self.ledger.work(file_of(name) or 0)
                    if work is not None and work.file.state not in UNFINISHED:
                        self.files.discard(folder.output, self.settings.state, name)
        for backend in self.backends.values():
            if isinstance(backend, EmbeddedScheduler):
                backend.purge(self.clock.now() - JOBS_KEPT)

    def _make_folders(self) -> None:
        """Make the folders that we write into; an input is its users' and is waited for."""
        for folder in self.settings.folders:
            for path in (folder.output, folder.failed, folder.done):
                if isinstance(path, Path):
                    with suppress(OSError):
                        path.mkdir(parents=True, exist_ok=True)

    def _outside(self) -> Outside:
        return Outside(
            perform=self._perform,
            poll=self._poll,
            look=self._look,
            may_need=self._may_need,
            changed=self._changed,
            trouble=self._trouble,
            back=self._back,
        )

    def _perform(self, effect: Effect) -> None:
        self.hands.perform(effect)

    def _poll(self, scheduler: str, remotes: tuple[str, ...]) -> None:
        self.hands.poll(scheduler, remotes)

    def _look(self, folder: str, path: str) -> None:
        self.intake.nudge(folder, path)

    def _may_need(self, folder: str, path: str) -> bool:
        return self.intake.may_need(folder, path)

    def _hint(self, scheduler: str) -> Callable[[str], None]:
        return lambda remote: self.engine.post(Hint(scheduler, remote))

    # ------------------------------------------------------------ what is told
    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, NewFile | SaveFile):
                file = change.file if isinstance(change, NewFile) else change.after
                self._paths[file.id] = file.path
        logs.tell(self.log, changes, self._path_of)
        for change in changes:
            if isinstance(change, SaveFile) and change.after.disposed:
                self._paths.pop(change.after.id, None)
        if self._listener is not None:
            self._listener(changes)

    def _path_of(self, file_id: int) -> str:
        work = self.engine.books.active.works.get(file_id)
        return self._paths.get(file_id) or (work.file.path if work is not None else "")

    def _trouble(self, where: str, error: WatcherError) -> None:
        self.log.error("trouble", where=where, reason=str(error))

    def _back(self, where: str) -> None:
        self.log.info("trouble.over", where=where)

    def _sighted(self, sightings: Sequence[Sighting]) -> None:
        for one in sightings:
            if isinstance(one, Arrival | Absent):
                self.engine.post(one)
            else:
                self._tell(one)

    def _tell(self, one: RootState | ScanDone | Refusal | Fault) -> None:
        if isinstance(one, RootState):
            self.roots[one.folder] = one
            if one.online:
                how = "native" if one.native else "polling"
                self.log.info("root.online", folder=one.folder, watch=how, note=one.reason)
                if one.trouble:
                    self.log.error("root.trouble", folder=one.folder, reason=one.trouble)
            else:
                self.log.error("root.offline", folder=one.folder, reason=one.reason)
        elif isinstance(one, ScanDone):
            self.log.debug(
                "scan.done", folder=one.folder, files=one.files, seconds=round(one.seconds, 3)
            )
        else:
            if isinstance(one, Refusal):
                self._refused.add((one.folder, one.path))
            event = "file.refused" if isinstance(one, Refusal) else "fault"
            self.log.warning(event, folder=one.folder, file=one.path, reason=one.reason)

    # ------------------------------------------------------------ running
    def run(self) -> Ended:
        """Until a signal has drained it; with ``http`` set the page is served meanwhile.

        Raises:
            UsageError: the address of the page cannot be used.
        """
        if self.settings.http is not None:
            monitor = Monitor(self.settings, self.ledger, self.health)
            try:
                address = monitor.start(self.settings.http)
            except WatcherError:
                self.close()
                raise
            self._monitor = monitor
            self.log.info("http.listening", address=address)
        return self._run(lambda: False)

    def health(self) -> Health:
        """How the parts do right now; may be called from any thread."""
        shut = self.engine.unreachable()
        tally = self.engine.books.tally
        return Health(
            beat_age=self.clock.monotonic() - self.engine.beat,
            intake_alive=self.intake.alive(),
            roots=dict(self.roots),
            schedulers={
                name: SchedulerHealth(len(polls.jobs), shut[name][1] if name in shut else "")
                for name, polls in self.engine.books.polls.items()
            },
            delivered=tally.delivered,
            failed=tally.failed,
        )

    def run_once(self, timeout: float) -> Ended:
        """Until all that is there is handled, or a scheduler stays unreachable for ``timeout``."""
        quiet_since = 0.0

        def over() -> bool:
            nonlocal quiet_since
            dead = [
                name
                for name, (since, _) in self.engine.unreachable(needed=True).items()
                if since >= timeout
            ]
            if not (self.intake.idle() and self.engine.idle(dead)):
                quiet_since = 0.0
                return False
            quiet_since = quiet_since or time.monotonic()
            return time.monotonic() - quiet_since >= QUIET

        return self._run(over)

    def _run(self, until: Callable[[], bool]) -> Ended:
        self.log.info(
            "daemon.started",
            config=str(self.settings.source),
            folders=[folder.name for folder in self.settings.folders],
        )
        self._sweep()
        self.engine.recover()
        self.intake.start()
        try:
            self.engine.run(until)
        finally:
            ended = self._ended()
            self.close()
        self.log.info(
            "daemon.stopped", delivered=ended.delivered, failed=ended.failed, left=ended.left
        )
        return ended

    def _ended(self) -> Ended:
        books = self.engine.books
        unreachable = "; ".join(
            f"scheduler {name}: {reason}"
            for name, (_, reason) in self.engine.unreachable(needed=True).items()
        )
        unseen = sum(not root.online or root.trouble != "" for root in self.roots.values())
        left = (
            len(books.lanes)
            + unseen
            + len(self._refused)
            + sum(work.file.state != "delivered" for work in books.active.works.values())
        )
        return Ended(books.tally.delivered, books.tally.failed, left, unreachable)

    def stop(self) -> None:
        """Drain: begin nothing new, end what is in hand."""
        self.log.info("daemon.stopping")
        self.engine.books.stopping = True
        self.engine.post(Stop())

    def close(self) -> None:
        """Stop in order: page, intake, effects, schedulers, ledger, lock."""
        if self._monitor is not None:
            self._monitor.stop()
        self.intake.stop()
        self.hands.close()
        for backend in self.backends.values():
            backend.close()
        self.ledger.close()
        self._lock.close()

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT drain; a second one ends at once (recovery takes it up)."""

        def on_signal(number: int, _: object) -> None:
            self._signals += 1
            if self._signals > 1:
                os._exit(128 + number)
            self.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
