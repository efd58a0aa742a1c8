"""All that the page sees of the daemon.

Imports core, health, metrics and pulse. Invariant: everything here may be read from any thread,
and nothing changes the daemon but a request left in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from watcher.core.model import FileRecord, FileState, Work
from watcher.core.ports import Clock, Files, Ledger
from watcher.core.settings import Settings
from watcher.daemon.health import Health
from watcher.daemon.metrics import Meters
from watcher.daemon.pulse import Pulse


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """``settings``, ``health`` and ``works`` (the files in work, with their progress) are asked
    anew each time, since a reload exchanges them."""

    settings: Callable[[], Settings]
    health: Callable[[], Health]
    works: Callable[[], Sequence[Work]]
    ledger: Ledger
    files: Files
    clock: Clock
    pulse: Pulse
    meters: Meters

    def oldest(self) -> dict[str, float]:
        """When the file that waits longest was accepted, by folder."""
        return oldest(self.ledger)


def oldest(ledger: Ledger) -> dict[str, float]:
    """When the file that waits longest was accepted, by folder."""
    found: dict[str, float] = {}
    for lane in ledger.lanes():
        for work in ledger.waiting(lane, 1):
            at = work.file.accepted_at
            found[lane.folder] = min(found.get(lane.folder, at), at)
    return found


def failed_now(ledger: Ledger) -> list[FileRecord]:
    """The files that failed and did not come again since, one a path."""
    newest: dict[tuple[str, str], FileRecord] = {}
    for work in ledger.files(state=FileState.FAILED):
        newest.setdefault((work.file.folder, work.file.path), work.file)
    return [
        file
        for file in newest.values()
        if ledger.last_arrivals(file.folder, [file.path]).get(file.path) == file.arrival
    ]
