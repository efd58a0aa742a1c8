"""A ledger that is waited for: what the engine asks is asked again until there is an answer.

Imports errors only. Invariant: nothing is decided on a ledger that did not answer;
the engine alone waits here, never a thread that others need.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from watcher.errors import LedgerUnusable

P = TypeVar("P")
AGAIN = 1.0  # seconds between two tries


class _Patient:
    """Stands for any port whose calls may find the database away."""

    def __init__(self, port: object, away: Callable[[LedgerUnusable], None]) -> None:
        self._port = port
        self._away = away

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return partial(self._asked, found) if callable(found) else found

    def _asked(self, method: Callable[..., Any], *args: Any, **named: Any) -> Any:
        while True:
            try:
                return method(*args, **named)
            except LedgerUnusable as error:
                self._away(error)
                time.sleep(AGAIN)


def patient(port: P, away: Callable[[LedgerUnusable], None]) -> P:
    """The same port, whose calls last until they are answered.

    ``away`` is told of each try that failed; it raises when there is no time to wait.
    """
    return cast("P", _Patient(port, away))
