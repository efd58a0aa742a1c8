"""When: to poll, to try again, to give up, and how long to leave a silent scheduler alone.

Imports the standard library's data types only. Invariant: retry is a value, never a loop; nobody
sleeps in a call. All times are seconds; ``spread`` is a number in [0, 1) given by the caller, so
that a thousand files do not come back in the same instant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

LONGEST_RETRY = 3600.0
LONGEST_POLL = 30.0
SLOWEST_TRANSIENT = 60.0
# A scheduler that cannot tell "queued" from "never heard of" gets this long before a job whose
# sending was cut is sent again under the same id.
UNSURE_HOLD = 30.0
STALL_PENDING = 1800.0
STALL_RUNNING = 3600.0
BREAKER_FAILURES = 3


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at this wall time."""

    at: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Trying again is over."""

    tries: int


def backoff(tries: int, base: float, longest: float, spread: float) -> float:
    """Seconds to wait after ``tries`` failures: ``base`` doubled each time, up to ``longest``,
    plus up to a quarter of jitter."""
    wait = min(base * 2.0 ** min(tries - 1, 30), longest)
    return wait * (1.0 + 0.25 * spread)


def retry(failed: int, *, retries: int, base: float, now: float, spread: float) -> RetryAt | GiveUp:
    """What to do after the ``failed``-th run of a job failed."""
    if failed > retries:
        return GiveUp(failed)
    return RetryAt(now + backoff(failed, base, LONGEST_RETRY, spread))


def transient(tries: int, *, now: float, spread: float) -> float:
    """When to try again what an operator or time will mend: no attempt is counted."""
    return now + backoff(tries, 1.0, SLOWEST_TRANSIENT, spread)


def poll_after(age: float, fastest: float) -> float:
    """Seconds until a job of this age is asked for again: a tenth of its age, within bounds."""
    return min(max(age / 10.0, fastest), max(LONGEST_POLL, fastest))


def stalled(*, quiet: float, seen: bool) -> bool:
    """Whether a job without news for ``quiet`` seconds is given up as stalled."""
    return quiet > (STALL_RUNNING if seen else STALL_PENDING)


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker: after some failures in a row, ask only one request now and then."""

    failures: int = 0
    until: float = 0.0  # monotonic
    reason: str = ""
    since: float = 0.0  # monotonic, of the first failure in the row

    def closed(self, now: float) -> bool:
        """Whether requests may pass."""
        return self.failures < BREAKER_FAILURES or now >= self.until

    @property
    def open(self) -> bool:
        """Whether the scheduler counts as unreachable."""
        return self.failures >= BREAKER_FAILURES

    def failed(self, now: float, reason: str, spread: float) -> Breaker:
        """After one more failure."""
        count = self.failures + 1
        wait = backoff(max(1, count - BREAKER_FAILURES + 1), 1.0, LONGEST_POLL, spread)
        since = self.since if self.failures else now
        return Breaker(count, now + wait, reason, since)

    def passed(self) -> Breaker:
        """After a success."""
        return self if not self.failures else replace(self, failures=0, until=0.0, reason="")
