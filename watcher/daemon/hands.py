"""The thread pools that perform effects and ask schedulers, and post what came of it.

Imports ``core`` and ``effects``. Invariant: whatever happens in a pool, exactly one message comes
back for each effect or poll, so that the engine never waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from structlog.typing import FilteringBoundLogger

from watcher.core.effects import Clean, Effect, Fetch, Outcome, Result, Silent, Submit, Told, Wrong
from watcher.daemon.effects import World, perform
from watcher.errors import SchedulerError, Unreachable, WatcherError

SENDING = 8  # threads that talk to schedulers
WRITING = 4  # threads that copy and publish
SWEEPING = 1  # threads that clean up


class Hands:
    """See the module; ``post`` is the engine's."""

    def __init__(
        self, world: World, post: Callable[[object], None], log: FilteringBoundLogger
    ) -> None:
        self._world = world
        self._post = post
        self._log = log
        self._sending = ThreadPoolExecutor(SENDING, "watcher-send")
        self._writing = ThreadPoolExecutor(WRITING, "watcher-write")
        self._sweeping = ThreadPoolExecutor(SWEEPING, "watcher-sweep")
        self._polling = ThreadPoolExecutor(max(1, len(world.backends)), "watcher-poll")

    def perform(self, effect: Effect) -> None:
        """Do an effect in the pool of its kind."""
        pool = self._writing
        if isinstance(effect, Submit | Fetch):
            pool = self._sending
        elif isinstance(effect, Clean):
            pool = self._sweeping
        pool.submit(self._perform, effect)

    def _perform(self, effect: Effect) -> None:
        self._post(Outcome(effect, self._safely(effect)))

    def _safely(self, effect: Effect) -> Result:
        try:
            return perform(self._world, effect)
        except Exception as fault:  # noqa: BLE001  (the boundary: no file may wait for ever)
            self._log.exception("fault", effect=type(effect).__name__)
            return Wrong(WatcherError(f"internal error: {type(fault).__name__}: {fault}"))

    def poll(self, scheduler: str, remotes: tuple[str, ...]) -> None:
        """Ask a scheduler for its word on jobs."""
        self._polling.submit(self._poll, scheduler, remotes)

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

    def close(self) -> None:
        """End the threads; what is under way is finished."""
        for pool in (self._sending, self._writing, self._polling, self._sweeping):
            pool.shutdown(wait=True)
