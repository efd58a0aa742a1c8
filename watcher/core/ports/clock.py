"""Time.

Imports the standard library. Invariant: as the package says.
"""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time."""

    def now(self) -> float:
        """Wall time, UTC, seconds since the epoch; may step."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; for deciding."""
        ...
