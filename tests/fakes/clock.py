"""A clock whose time moves only when it is told to."""

from __future__ import annotations


class FakeClock:
    """``Clock`` for tests: ``advance`` moves both times, ``step`` the wall's alone."""

    def __init__(self, now: float = 1_750_000_000.0) -> None:
        self._wall = now
        self._ticks = 0.0

    def now(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._ticks

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("time passes forwards only; step() moves the wall clock back")
        self._wall += seconds
        self._ticks += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP does."""
        self._wall += seconds
