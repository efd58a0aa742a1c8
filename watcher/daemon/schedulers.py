"""The schedulers that the settings name: built, exchanged when their settings change, closed.

Imports core, the HTTP adapter and the embedded scheduler. Invariant: a scheduler whose settings
stay the same stays the same object, whatever else is reloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from watcher.core.ports import Backend
from watcher.core.settings import SchedulerSettings
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler

JOBS_KEPT = 86400.0  # seconds that an ended embedded job is kept when nobody fetched it
CONNECT = 10.0  # seconds to wait for a connection, where a request may take longer


def build_backend(
    scheduler: SchedulerSettings, state: Path, withheld: Callable[[], Iterable[str]] = tuple
) -> Backend:
    """The scheduler that the settings name. ``withheld`` tells the secrets that jobs which run here
    do not inherit with the environment.

    Raises:
        StateTaken: another process owns the embedded scheduler's folder.
    """
    if scheduler.url != "embedded":
        return _remote(scheduler)
    own = state if scheduler.name == "default" else state / "schedulers" / scheduler.name
    return EmbeddedScheduler(
        EmbeddedOptions(
            state=own,
            workers=scheduler.workers,
            processes=scheduler.processes,
            withheld=withheld,
            durable=False,  # the ledger sends again what a power cut took
        )
    )


def _remote(scheduler: SchedulerSettings) -> Backend:
    """A scheduler over HTTP, whose libraries take memory only where there is one."""
    from watcher.adapters.http.backend import HttpBackend  # noqa: PLC0415
    from watcher.adapters.http.client import Client  # noqa: PLC0415
    from watcher.adapters.http.session import Server  # noqa: PLC0415

    token = scheduler.token.reveal() if scheduler.token is not None else ""
    connect = min(CONNECT, scheduler.timeout)
    server = Server(url=scheduler.url, token=token, connect=connect, read=scheduler.timeout)
    return HttpBackend(Client(server))


class Schedulers:
    """All of them, by name. ``hint(name, remote)`` is called when a job may have news;
    ``withheld`` as for ``build_backend``."""

    def __init__(
        self,
        state: Path,
        hint: Callable[[str, str], None],
        withheld: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._withheld = withheld
        self.backends: dict[str, Backend] = {}
        self._built: dict[str, SchedulerSettings] = {}
        self._state = state
        self._hint = hint

    def change(self, wanted: Mapping[str, SchedulerSettings]) -> None:
        """Close those that are gone or different, then build those that are missing.

        Raises:
            StateTaken: another process owns an embedded scheduler's folder.
        """
        for name in [n for n in self.backends if wanted.get(n) != self._built[n]]:
            self.backends.pop(name).close()
        for name in [n for n in wanted if n not in self.backends]:
            self.backends[name] = build_backend(wanted[name], self._state, self._withheld)
            self._built[name] = wanted[name]
            self.backends[name].listen(partial(self._hint, name))

    def forget(self, now: float, *, unended: bool) -> None:
        """Free what earlier lives left in embedded schedulers: jobs that ended long ago, and with
        ``unended`` those that nobody waits for."""
        for backend in self.backends.values():
            if isinstance(backend, EmbeddedScheduler):
                backend.purge(now - JOBS_KEPT)
                if unended:
                    backend.clear()
