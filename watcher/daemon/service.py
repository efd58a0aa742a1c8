"""Builds the daemon from its parts, runs it, and stops it in a known order.

Imports everything below; the only place, beside the command line, that picks implementations.
Invariant: one daemon a state folder; stopping ends intake, then the effects in hand, then the
ledger.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from watcher.adapters import webhook
from watcher.adapters.clock import SystemClock
from watcher.adapters.files import LocalFiles
from watcher.adapters.ledger import SQLITE, SqlLedger, forgotten, open_ledger
from watcher.core.effects import Effect
from watcher.core.ports import Change
from watcher.core.settings import Settings
from watcher.daemon import alerts, logs
from watcher.daemon.books import Outside
from watcher.daemon.ended import Ended, ended_of
from watcher.daemon.engine import Engine, Reload, Stop
from watcher.daemon.hands import Hands
from watcher.daemon.health import Health, SchedulerHealth, summary
from watcher.daemon.hearing import Hint
from watcher.daemon.intake import Intake
from watcher.daemon.lock import Watchman, lock_state
from watcher.daemon.lookout import Lookout
from watcher.daemon.metrics import Meters
from watcher.daemon.patience import patient
from watcher.daemon.pulse import Pulse
from watcher.daemon.reloads import Reloads
from watcher.daemon.remains import make_folders, sweep
from watcher.daemon.roots import Roots
from watcher.daemon.rubbish import look_seldom
from watcher.daemon.schedulers import Schedulers
from watcher.daemon.seat import Keeper
from watcher.daemon.sightings import Absent, Arrival, Sighting
from watcher.daemon.statusfile import StatusFiles
from watcher.daemon.systemd import Supervisor
from watcher.daemon.troubles import Troubles, waited_for
from watcher.daemon.web.desk import Desk, oldest
from watcher.daemon.world import World
from watcher.errors import Fenced, LedgerUnusable, WatcherError

QUIET = 0.3  # seconds without anything to do after which ``run --once`` ends


class Service:
    """One daemon: built, run once, closed."""

    def __init__(
        self,
        settings: Settings,
        log: FilteringBoundLogger,
        *,
        listener: Callable[[Sequence[Change]], None] | None = None,
        configuration: Callable[[], Settings] | None = None,
        patience: float = 0.0,
    ) -> None:
        self.settings, self.log = settings, log
        self.reloads = Reloads(settings, configuration, log)
        self.supervisor = Supervisor(os.environ)
        self.pulse, self.meters = Pulse(), Meters()
        self._listener = listener
        self.signals = 0  # that told it to end
        self._between = True  # configurations, or before the first: intake has no threads yet
        self._ending = self._fenced = False
        self.lookout = Lookout(log, self.meters)
        self._end_page: Callable[[], None] = lambda: None
        self._lock = lock_state(settings.state)
        self._watchman = Watchman(self._lock, settings.state)
        make_folders(self.settings)
        self.clock = SystemClock()
        self.troubles = Troubles(log, self.clock)
        self.ledger = waited_for(self._open_ledger, self.troubles, patience)
        self._watchman.keep(self.ledger.places)
        self.files = LocalFiles()
        self.keeper = self._keeper()
        self.schedulers = Schedulers(settings.state, self._hint, self._secrets)
        self.backends = self.schedulers.backends
        self.schedulers.change(settings.schedulers)
        watched = alerts.Sources(
            hooks=lambda: self.settings.notify,
            health=self.health,
            oldest=lambda: oldest(self.ledger),
            clock=self.clock,
        )
        self.alerts = alerts.Alerts(watched, webhook.post, log)
        self.boards = StatusFiles(lambda: self.settings, self.ledger, self.files, self.clock)
        self._join()

    def _open_ledger(self) -> SqlLedger:
        state, url = self.settings.state, self.settings.ledger
        gone = url == SQLITE and forgotten(state)
        opened = open_ledger(state, read_only=False, url=url)
        if gone:
            reason = "the ledger is not there, though this state folder was in use: files that lie"
            self.log.warning("ledger.new", reason=f"{reason} in the input folders are new to it")
        return opened

    def _join(self) -> None:
        """The parts that live as long as one configuration does."""
        settings, former = self.settings, tuple(self.reloads.former)
        seat = self.keeper.number if self.keeper is not None else 0
        self.engine = Engine(settings, self.ledger, self.clock, self._outside(), former)
        world = World(settings, self.backends, self.files, former, seat)
        self.hands = Hands(world, self.engine.post, self.log)
        self.intake = Intake(
            settings.folders,
            self.files,
            self.ledger,
            clock=self.clock,
            deliver=self._sighted,
            roots=Roots(settings.state / "roots.json"),
        )

    def _keeper(self) -> Keeper | None:
        """Where several watchers share the ledger: this one's seat among them."""
        if self.ledger.seats is None:
            return None
        keeper = Keeper(self.ledger.seats, self.files, self._post, self._trouble)
        keeper.outputs = self._outputs()
        keeper.sit()
        return keeper

    def _outputs(self) -> tuple[Path, ...]:
        return tuple(folder.output for folder in self.settings.folders)

    def _post(self, message: object) -> None:
        self.engine.post(message)

    def _outside(self) -> Outside:
        return Outside(
            perform=self._perform,
            poll=self._poll,
            look=self._look,
            may_need=self._may_need,
            changed=self._changed,
            trouble=self._trouble,
            back=self.troubles.over,
            reload=self._reload,
            share=self.keeper.share() if self.keeper is not None else None,
        )

    def _perform(self, effect: Effect) -> None:
        self.hands.perform(effect)

    def _poll(self, scheduler: str, remotes: tuple[str, ...]) -> None:
        self.hands.poll(scheduler, remotes)

    def _look(self, folder: str, path: str) -> None:
        self.intake.nudge(folder, path)

    def _may_need(self, folder: str, path: str) -> bool:
        return self.intake.may_need(folder, path)

    def _secrets(self) -> list[str]:
        return [secret.reveal() for secret in logs.secrets_of(self.settings)]

    def _hint(self, scheduler: str, remote: str) -> None:
        self.engine.post(Hint(scheduler, remote))

    # ------------------------------------------------------------ what is told
    def _changed(self, changes: Sequence[Change]) -> None:
        logs.tell(self.log, changes, self._path_of)
        self.pulse.changed(changes)
        self.meters.changed(changes)
        self.alerts.changed(changes)
        self.boards.changed(changes)
        if self._listener is not None:
            self._listener(changes)

    def _path_of(self, file_id: int) -> str:
        work = self.engine.books.active.works.get(file_id)
        return work.file.path if work is not None else ""

    def _trouble(self, where: str, error: WatcherError) -> None:
        self.engine.show_life()  # it waits, and knows for what
        self.troubles.tell(where, error)

    def _sighted(self, sightings: Sequence[Sighting]) -> None:
        for one in sightings:
            if isinstance(one, Arrival | Absent):
                self.engine.post(one)
            else:
                self.lookout.tell(one)
        self.engine.let_catch_up()

    # ------------------------------------------------------------ running
    def run(self) -> Ended:
        """Until a signal has drained it; with ``http`` set the page is served meanwhile.

        Raises:
            UsageError: the address of the page cannot be used.
            StateTaken: the state folder was taken away meanwhile.
        """
        if self.settings.http is not None:
            # its libraries take memory, so only where there is a page
            from watcher.daemon.monitor import Monitor  # noqa: PLC0415

            monitor = Monitor(self._desk())
            try:
                address = monitor.start(self.settings.http)
            except WatcherError:
                self.close()
                raise
            self._end_page = monitor.stop
            self.log.info("http.listening", address=address)
        return self._run(lambda: False)

    def _desk(self) -> Desk:
        return Desk(
            settings=lambda: self.settings,
            health=self.health,
            works=lambda: list(self.engine.books.active.works.values()),
            ledger=self.ledger,
            files=self.files,
            clock=self.clock,
            pulse=self.pulse,
            meters=self.meters,
        )

    def health(self) -> Health:
        """How the parts do right now; may be called from any thread."""
        shut = self.engine.unreachable()
        tally = self.engine.books.tally
        return Health(
            beat_age=self.clock.monotonic() - self.engine.beat,
            intake_alive=self._between or self.intake.alive(),
            roots=dict(self.lookout.roots),
            refused=self.reloads.refused,
            seat=self.keeper.number if self.keeper is not None else 0,
            watchers=self.keeper.watchers if self.keeper is not None else (),
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
        sweep(self.settings, self.files, self.ledger)
        look_seldom()
        # at a shared ledger the files of earlier jobs went to another watcher, or begin anew
        self.schedulers.forget(self.clock.now(), unended=self.keeper is not None)
        self.engine.show_life()
        self.alerts.start()
        self.supervisor.watch(
            lambda: self.health().beat_age, lambda: summary(self.health(), self.ledger)
        )
        try:
            self._turn(until)
            while (self.reloads.pending or self._fenced) and not self._ending:
                self._renew()
                self._turn(until)
        finally:
            ended = ended_of(self.engine, self.intake, self.lookout)
            self.close()
        self.log.info(
            "daemon.stopped", delivered=ended.delivered, failed=ended.failed, left=ended.left
        )
        if self._watchman.lost:
            raise self._watchman.error()
        return ended

    def _turn(self, until: Callable[[], bool]) -> None:
        """One configuration's life: until the end, or until the next one."""
        if self.keeper is not None:
            self.keeper.start()
        self.engine.recover()
        self.intake.start()
        self._between = False
        self.supervisor.ready(f"watching {len(self.settings.folders)} folders")
        try:
            self.engine.run(lambda: self._watchman.ousted() or until())
        except Fenced as error:
            self._fenced = True
            # the words say it all: a traceback would only frighten
            self.log.error("seat.lost", reason=str(error))  # noqa: TRY400

    # ------------------------------------------------------------ a new configuration
    def _reload(self) -> None:
        """Read the configuration; a valid one that differs drains the engine for its sake."""
        if self.reloads.pending or self._ending:
            return
        self.supervisor.reloading()
        if self.reloads.read():
            self.engine.books.draining = True
        else:
            self.supervisor.ready(summary(self.health(), self.ledger))

    def _renew(self) -> None:
        """The engine has drained: build what depends on the configuration anew. Ledger, lock, page
        and unchanged schedulers stay."""
        self._between = True
        for step in (self.intake.stop, self.hands.close, self._change):
            self.engine.show_life()
            step()
        tally = self.engine.books.tally
        if self.keeper is not None:
            self.keeper.stop()
            self.keeper.outputs = self._outputs()
            if self._fenced:
                patient(self.keeper, self._wait).sit()
        self._fenced = False
        self._join()
        self.engine.books.tally = tally
        self.engine.books.stopping = self._ending

    def _change(self) -> None:
        if not self.reloads.pending:
            return
        try:
            self.schedulers.change(self.reloads.next.schedulers)
            self._take_up(self.reloads.taken(self.ledger.new_ids(1)[0]))
        except WatcherError as error:
            self.reloads.undo(error)
            self.schedulers.change(self.settings.schedulers)

    def _wait(self, error: LedgerUnusable) -> None:
        self._trouble("ledger", error)
        if self._ending:
            raise error

    def _take_up(self, new: Settings) -> None:
        same = {folder.name for folder in new.folders if folder in self.settings.folders}
        self.lookout.keep(same)
        self.settings = new
        make_folders(self.settings)
        self.log.info("config.reloaded", folders=[folder.name for folder in new.folders])

    def stop(self) -> None:
        """Drain: begin nothing new, end what is in hand."""
        self._ending = True
        self.log.info("daemon.stopping")
        self.supervisor.stopping()
        self.engine.books.stopping = True
        self.hands.stop()
        self.engine.post(Stop())

    def close(self) -> None:
        """Stop in order: page, intake, effects, schedulers, ledger, lock."""
        self.supervisor.close()
        self.alerts.stop()
        self._end_page()
        self.intake.stop()
        self.hands.close()
        for backend in self.backends.values():
            backend.close()
        self.boards.stop()
        if self.keeper is not None:
            self.keeper.leave()
        self.ledger.close()
        self._lock.close()

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT drain; a second one ends at once (recovery takes it up). SIGHUP reads
        the configuration again."""

        def on_signal(number: int, _: object) -> None:
            self.signals += 1
            if self.signals > 1:
                os._exit(128 + number)
            self.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        signal.signal(signal.SIGHUP, lambda *_: self.engine.post(Reload()))
