"""Reading the configuration again: what is taken up, what is refused, what must wait for a start.

Imports core and errors; how a configuration is read is handed in. Invariant: an invalid one
changes nothing but the word on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from watcher.core.epochs import Epoch
from watcher.core.settings import Settings
from watcher.errors import ConfigError, WatcherError

Read = Callable[[], Settings]


class Reloads:
    """The configuration in force, those before it, and the next one.

    ``former`` stands oldest first; ``refused`` says why the last reading changed nothing;
    ``pending``: there is a next one, and the engine is to drain for it.
    """

    def __init__(self, settings: Settings, read: Read | None, log: FilteringBoundLogger) -> None:
        self.settings = settings
        self.former: list[Epoch] = []
        self.refused = ""
        self.pending = False
        self.next = settings
        self._read = read
        self._log = log

    def read(self) -> bool:
        """Read the configuration; whether there is a new one to take up."""
        if self._read is None:
            return False
        try:
            new = self._read()
        except WatcherError as error:
            problems = error.problems if isinstance(error, ConfigError) else ()
            self.refused = problems[0] if problems else str(error)
            self._log.error("config.refused", reason=str(error), problems=list(problems))
            return False
        self.refused = ""
        self.next = self._kept(new)
        self.pending = self.next != self.settings
        if not self.pending:
            self._log.info("config.unchanged")
        return self.pending

    def _kept(self, new: Settings) -> Settings:
        """The new configuration, with what cannot change in a living daemon as it was."""
        old = self.settings
        http = new.http
        if old.http is None or http is None:
            http = old.http
        else:
            http = replace(http, host=old.http.host, port=old.http.port)
        kept = replace(
            new, state=old.state, ledger=old.ledger, log_format=old.log_format, http=http
        )
        for key, same in (
            ("state", new.state == kept.state),
            ("ledger", new.ledger == kept.ledger),
            ("log.format", new.log_format == kept.log_format),
            ("http.listen", new.http == kept.http),
        ):
            if not same:
                self._log.warning("config.later", key=key, note="restart watcher to change it")
        return kept

    def taken(self, last: int) -> Settings:
        """The new configuration comes into force; ``last`` is an id given out before it."""
        self.former.append(Epoch(last, self.settings))
        self.settings, self.pending = self.next, False
        return self.settings

    def undo(self, error: WatcherError) -> None:
        """The new configuration cannot be taken up after all."""
        self.next, self.pending, self.refused = self.settings, False, str(error)
        self._log.error("config.refused", reason=str(error), problems=[])
