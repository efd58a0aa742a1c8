"""The thread pools that perform effects and ask schedulers, and post what came of it.

Imports ``core`` and ``effects``. Invariants: whatever happens in a pool, exactly one message comes
back for each effect or poll, so that the engine never waits for nothing; each scheduler has threads
of its own, so that one that hangs holds up nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from watcher.core.effects import (
    Clean,
    Copy,
    Effect,
    Fetch,
    Left,
    Outcome,
    Result,
    Silent,
    Submit,
    Told,
    Wrong,
)
from watcher.daemon.crowd import Crowd, Grouped
from watcher.daemon.effects import perform, perform_all
from watcher.daemon.world import World
from watcher.errors import SchedulerError, Unreachable, WatcherError

SENDING = 8  # threads that send jobs to one scheduler
FETCHING = 4  # threads that bring outputs from one scheduler
WRITING = 4  # threads that copy and publish


class Pools:
    """The threads that talk to one scheduler; each starts with the first that needs it."""

    def __init__(self, name: str) -> None:
        self.sending = ThreadPoolExecutor(SENDING, f"watcher-send-{name}")
        self.fetching = ThreadPoolExecutor(FETCHING, f"watcher-fetch-{name}")
        self.sweeping = ThreadPoolExecutor(1, f"watcher-sweep-{name}")
        self.polling = ThreadPoolExecutor(1, f"watcher-poll-{name}")

    def close(self) -> None:
        """End the threads; what is under way is finished."""
        for pool in (self.sending, self.fetching, self.sweeping, self.polling):
            pool.shutdown(wait=True)


class Hands:
    """See the module; ``post`` is the engine's."""

    def __init__(
        self, world: World, post: Callable[[object], None], log: FilteringBoundLogger
    ) -> None:
        self._world = world
        self._post = post
        self._log = log
        self._stopping = False
        self._crowd = Crowd(WRITING)
        self._pools = {name: Pools(name) for name in world.backends}
        self._writing = ThreadPoolExecutor(WRITING, "watcher-write")
        self._sweeping = ThreadPoolExecutor(1, "watcher-sweep")

    def perform(self, effect: Effect) -> None:
        """Do an effect in the pool of its kind."""
        if isinstance(effect, Grouped):
            if self._crowd.add(effect):
                self._writing.submit(self._perform_crowd)
        else:
            self._pool(effect).submit(self._perform, effect)

    def _perform_crowd(self) -> None:
        """Copy and publish what waits for it, many at a time, until nothing does."""
        while effects := self._crowd.take():
            if self._stopping:
                outcomes: list[Outcome | Left] = [Left(effect) for effect in effects]
            else:
                outcomes = [*self._safely_all(effects)]
            for outcome in outcomes:
                self._post(outcome)

    def _safely_all(self, effects: Sequence[Grouped]) -> list[Outcome]:
        try:
            return perform_all(self._world, effects)
        except Exception:  # noqa: BLE001  (the boundary: one by one, to tell whose fault it is)
            self._log.exception("fault", effect=f"{len(effects)} together")
        # what was published before the fault is known again by its content
        again = (e if isinstance(e, Copy) else replace(e, resumed=True) for e in effects)
        return [Outcome(effect, self._safely(effect)) for effect in again]

    def _pool(self, effect: Effect) -> ThreadPoolExecutor:
        if isinstance(effect, Submit):
            return self._pools[effect.job.scheduler].sending
        if isinstance(effect, Fetch):
            return self._pools[effect.job.scheduler].fetching
        if isinstance(effect, Clean):
            names = [job.scheduler for job in effect.jobs if job.scheduler in self._pools]
            return self._pools[names[0]].sweeping if names else self._sweeping
        return self._writing

    def _perform(self, effect: Effect) -> None:
        if self._stopping:
            self._post(Left(effect))
        else:
            self._post(Outcome(effect, self._safely(effect)))

    def _safely(self, effect: Effect) -> Result:
        try:
            return perform(self._world, effect)
        except Exception as fault:  # noqa: BLE001  (the boundary: no file may wait for ever)
            self._log.exception("fault", effect=type(effect).__name__)
            return Wrong(WatcherError(f"internal error: {type(fault).__name__}: {fault}"))

    def poll(self, scheduler: str, remotes: tuple[str, ...]) -> None:
        """Ask a scheduler for its word on jobs; of none, whether it does its part."""
        self._pools[scheduler].polling.submit(self._poll, scheduler, remotes)

    def _poll(self, scheduler: str, remotes: tuple[str, ...]) -> None:
        try:
            statuses = self._world.backends[scheduler].status(remotes)
        except SchedulerError as error:
            self._post(Silent(scheduler, error))
        except Exception as fault:  # noqa: BLE001  (the boundary: polling must go on)
            self._log.exception("fault", effect="poll")
            self._post(Silent(scheduler, Unreachable(f"internal error: {fault}")))
        else:
            self._post(Told(scheduler, remotes, statuses))

    def stop(self) -> None:
        """Begin nothing more of what waits for a thread."""
        self._stopping = True

    def close(self) -> None:
        """End the threads; what is under way is finished."""
        for pool in (self._writing, self._sweeping):
            pool.shutdown(wait=True)
        for pools in self._pools.values():
            pools.close()
