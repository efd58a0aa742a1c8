"""How a run ended, in numbers.

Imports the parts that count. Invariant: what is left is never told as done.
"""

from __future__ import annotations

from dataclasses import dataclass

from watcher.daemon.engine import Engine
from watcher.daemon.intake import Intake
from watcher.daemon.lookout import Lookout


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: counts of files of this run, of files and folders that remain, and who could
    not be reached."""

    delivered: int
    failed: int
    left: int
    unreachable: str = ""


def ended_of(engine: Engine, intake: Intake, lookout: Lookout) -> Ended:
    """The end of a run, from what its parts still hold."""
    books = engine.books
    unreachable = "; ".join(
        f"scheduler {name}: {reason}"
        for name, (_, reason) in engine.unreachable(needed=True).items()
    )
    unseen = sum(not root.online or root.trouble != "" for root in lookout.roots.values())
    left = (
        len(books.lanes)
        + unseen
        + len(lookout.refused)
        + intake.parked()
        + sum(work.file.state != "delivered" for work in books.active.works.values())
    )
    return Ended(books.tally.delivered, books.tally.failed, left, unreachable)
