"""When: to poll, to try again, to give up, and how long to leave a silent scheduler alone.

Imports the standard library's data types only. Invariant: retry is a value, never a loop; nobody
sleeps in a call. All times are seconds; ``spread`` is a number in [0, 1) given by the caller, so
that a thousand files do not come back in the same instant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

LONGEST_RETRY = 3600.0
LONGEST_POLL = 30.0
LONGEST_PROBE = 10.0
SLOWEST_TRANSIENT = 60.0
# Few files of a folder are held at a time, so each may look often whether its folder was mended.
SLOWEST_HELD = 10.0
# A scheduler that cannot tell "queued" from "never heard of" gets this long before a job whose
# sending was cut is sent again under the same id.
UNSURE_HOLD = 20.0
# Stall limits. A queued job cannot be told from a lost one on the real scheduler, and farms queue
# for hours: a job that was never seen gets as long as its record would live there. One that was
# seen and is unknown again was lost with the store. One that runs must show something new within
# its time limit (the real scheduler's default is an hour) and half an hour more.
WARN_QUIET = 1800.0
STALL_PENDING = 86400.0
STALL_LOST = 60.0
STALL_RUNNING = 3600.0
STALL_MARGIN = 1800.0
REVOKED_HOLD = 10.0  # an operator's revoke was seen to be followed by SUCCESS
LOST_RETRIES = 2  # a job that the scheduler lost is sent again at least so often
STALL_RETRIES = 1
POISON_TRIES = 20  # sendings that break while the scheduler otherwise answers
HOPELESS_TRIES = 1440  # about a day of sendings that break, while no other job was taken either
GARBLED_TRIES = 5  # likewise, that it answers with a fault of its own
FETCH_PATIENCE = 3600.0  # seconds for outputs of a succeeded job to become ready
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


def transient(
    tries: int, *, now: float, spread: float, longest: float = SLOWEST_TRANSIENT
) -> float:
    """When to try again what an operator or time will mend: no attempt is counted."""
    return now + backoff(tries, 1.0, longest, spread)


def until(at: float, now: float) -> float:
    """Seconds from now to a recorded wall time; bounded, since the clock may have been set back."""
    return min(max(0.0, at - now), LONGEST_RETRY * 1.25)


def unsure(since: float, now: float) -> bool:
    """Whether a sending begun at this wall time may still show up at its scheduler. A clock that
    was set back since ends the wait: sending again under the same key is harmless."""
    return 0.0 <= now - since <= UNSURE_HOLD


def poll_after(age: float, fastest: float) -> float:
    """Seconds until a job of this age is asked for again: a tenth of its age, within bounds."""
    return min(max(age / 10.0, fastest), max(LONGEST_POLL, fastest))


class Quiet(StrEnum):
    """What a silence about a job means."""

    FINE = "fine"
    LOST = "lost"  # it was seen, and the scheduler does not know it any more
    STALLED = "stalled"


def silence(quiet: float, *, was_seen: bool, is_seen: bool, time_limit: float | None) -> Quiet:
    """What it means that nothing new was told of a job for ``quiet`` seconds."""
    if was_seen and not is_seen:
        return Quiet.LOST if quiet >= STALL_LOST else Quiet.FINE
    runs = max(time_limit or 0.0, STALL_RUNNING) + STALL_MARGIN
    return Quiet.STALLED if quiet >= (runs if was_seen else STALL_PENDING) else Quiet.FINE


def poisoned(tries: int, *, garbled: bool, proven: bool = True) -> bool:
    """Whether a job that could not be sent so often is given up; the scheduler answers others."""
    if not proven:  # it may be that the scheduler takes nobody's jobs: its disk may be full
        return tries >= HOPELESS_TRIES
    return tries >= (GARBLED_TRIES if garbled else POISON_TRIES)


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker: after some failures in a row, only a probe passes now and then."""

    failures: int = 0
    until: float = 0.0  # monotonic
    reason: str = ""
    since: float = 0.0  # monotonic, of the first failure in the row

    @property
    def open(self) -> bool:
        """Whether the scheduler counts as unreachable: no request but a probe may pass."""
        return self.failures >= BREAKER_FAILURES

    def failed(self, now: float, reason: str, spread: float) -> Breaker:
        """After one more failure."""
        count = self.failures + 1
        wait = backoff(max(1, count - BREAKER_FAILURES + 1), 1.0, LONGEST_PROBE, spread)
        since = self.since if self.failures else now
        return Breaker(count, now + wait, reason, since)

    def passed(self) -> Breaker:
        """After a success."""
        return self if not self.failures else replace(self, failures=0, until=0.0, reason="")
