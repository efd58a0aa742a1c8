"""The clock of the machine.

Imports the standard library. Invariant: the only place that asks the machine for the time for
those who decide.
"""

from __future__ import annotations

import time


class SystemClock:
    """``Clock`` as the machine tells it."""

    def now(self) -> float:
        """Wall time, UTC, seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()
