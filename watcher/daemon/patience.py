"""A ledger that is waited for: what the engine asks is asked again until there is an answer.

Imports errors only. Invariant: nothing is decided on a ledger that did not answer;
the engine alone waits here, never a thread that others need; nobody waits for a damaged one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from watcher.errors import LedgerDamaged, LedgerUnusable

P = TypeVar("P")
AGAIN = 1.0  # seconds between two tries


class _Patient:
    """Stands for any port whose calls may find the database away."""

    def __init__(
        self, port: object, away: Callable[[LedgerUnusable], None], back: Callable[[], None]
    ) -> None:
        self._port = port
        self._away = away
        self._back = back

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return partial(self._asked, found) if callable(found) else found

    def _asked(self, method: Callable[..., Any], *args: Any, **named: Any) -> Any:
        waited = False
        while True:
            try:
                answer = method(*args, **named)
            except LedgerDamaged:
                raise
            except LedgerUnusable as error:
                self._away(error)
                waited = True
                time.sleep(AGAIN)
            else:
                if waited:
                    self._back()
                return answer


def patient(
    port: P, away: Callable[[LedgerUnusable], None], back: Callable[[], None] = lambda: None
) -> P:
    """The same port, whose calls last until they are answered.

    ``away`` is told of each try that failed, and raises when there is no time to wait; ``back``
    when there is an answer again.
    """
    return cast("P", _Patient(port, away, back))
