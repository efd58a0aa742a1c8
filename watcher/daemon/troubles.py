"""What does not do its part: told once a minute, and the ledger waited for at the start.

Imports the clock port, errors and structlog's type. Invariant: one trouble is one line a
minute at most, since the disk that the log lies on may be the one that is full.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from watcher.core.ports import Clock
from watcher.daemon.patience import AGAIN
from watcher.errors import LedgerAway, WatcherError

Opened = TypeVar("Opened")
SAY_EVERY = 60.0  # seconds between two lines about one trouble


class Troubles:
    """Who is in trouble now, by name."""

    def __init__(self, log: FilteringBoundLogger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._told: dict[str, tuple[str, float]] = {}  # what was said last, and when

    def tell(self, where: str, error: WatcherError) -> None:
        """One line, unless the same was said within the last minute."""
        now, text = self._clock.monotonic(), str(error)
        before = self._told.get(where)
        if before is None or before[0] != text or now - before[1] >= SAY_EVERY:
            self._told[where] = (text, now)
            self._log.error("trouble", where=where, reason=text)

    def over(self, where: str) -> None:
        """It does its part again; said only of a trouble that was told."""
        if self._told.pop(where, None):
            self._log.info("trouble.over", where=where)


def waited_for(open_ledger: Callable[[], Opened], troubles: Troubles, patience: float) -> Opened:
    """What ``open_ledger`` gives, tried for as many seconds while the ledger is locked, full or
    not reached: a daemon that ended for it would be started and end again and again.

    Raises ``LedgerUnusable``.
    """
    end = time.monotonic() + patience
    while True:
        try:
            opened = open_ledger()
        except LedgerAway as error:
            if time.monotonic() >= end:
                raise
            troubles.tell("ledger", error)
            time.sleep(AGAIN)
        else:
            troubles.over("ledger")
            return opened
