"""When a file counts as complete: one candidate's memory and a new look in, a verdict out.

Imports the model only. Invariant: a file whose lease is refused never settles, and quietness is
measured between our own looks on the monotonic clock, so file times (skewed, in the future, set
back by a copier) can only differ or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from watcher.core.model import Facts, Lease

PAIR = 0.2  # seconds between two looks where no lease can be asked
FIRST_RETRY = 0.05  # seconds after the first refused lease; doubles
LAST_RETRY = 1.0
# Copiers set the final mode last, so what may not be read is given time before it counts as
# complete (and then fails for that reason).
UNREADABLE_QUIET = 5.0


class Hint(StrEnum):
    """What made us look."""

    SCAN = "scan"
    CREATED = "created"
    CLOSED = "closed"  # a writer closed it
    MOVED = "moved"  # it was renamed into place


@dataclass(frozen=True, slots=True)
class Candidate:
    """The memory of a file that has not settled. Times are monotonic seconds.

    ``quiet_since`` is the first look that saw it as it is; ``refusals`` counts the refused leases
    in a row.
    """

    facts: Facts
    quiet_since: float
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """The file is complete, as these facts say."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class Again:
    """Not yet: look again at this monotonic time, with this memory."""

    candidate: Candidate
    at: float


@dataclass(frozen=True, slots=True)
class Gone:
    """The file went away before it settled."""


Verdict = Settled | Again | Gone


def same(one: Facts, other: Facts) -> bool:
    """Whether two looks saw one unchanged file; the lease does not count."""
    return (one.size, one.mtime_ns, one.ctime_ns, one.inode, one.device) == (
        other.size,
        other.mtime_ns,
        other.ctime_ns,
        other.inode,
        other.device,
    )


def judge(
    before: Candidate | None, look: Facts | None, *, now: float, settle: float, hint: Hint
) -> Verdict:
    """Decide on a file after a look.

    Args:
        before: what earlier looks left; None at the first.
        look: the facts of this look; None when the file is gone.
        now: monotonic seconds of this look.
        settle: the quiet time asked for, in seconds; 0 trusts the lease.
        hint: the strongest reason to look since the last look.
    """
    if look is None:
        return Gone()
    if look.lease is Lease.REFUSED:
        return _refused(before, look, now)
    since = now
    if before is not None and not before.refusals and same(before.facts, look):
        since = before.quiet_since
    needed = _needed(look, settle=settle, hint=hint)
    if now - since >= needed:
        return Settled(look)
    return Again(Candidate(look, since), since + needed)


def _refused(before: Candidate | None, look: Facts, now: float) -> Again:
    refusals = before.refusals + 1 if before is not None else 1
    wait = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(refusals - 1, 10))
    return Again(Candidate(look, now, refusals), now + wait)


def _needed(look: Facts, *, settle: float, hint: Hint) -> float:
    """How long the file must have been quiet, in seconds."""
    if look.lease is Lease.UNREADABLE:
        return max(settle, UNREADABLE_QUIET)
    if hint is Hint.MOVED:
        return 0.0
    if hint is Hint.CLOSED and settle == 0:
        return 0.0
    # The kernel announces a new file before its creator counts as a writer: for a moment the
    # lease of an empty file is free although somebody is about to write.
    blind = look.lease is Lease.UNKNOWN or look.size == 0
    return max(settle, PAIR) if blind else settle
