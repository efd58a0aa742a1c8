"""Members of units that stay where they are: known to the ledger as parts, and no news.

Imports ``core``; sees the ledger as a port. Invariant: only a live record that holds the file as it
is now makes it known; in doubt the unit is looked through once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from watcher.core.model import Fingerprint
from watcher.core.ports import Clock, Ledger
from watcher.daemon.candidates import Key

FRESH = 1.0  # seconds for which a record is believed without asking again


@dataclass(slots=True)
class _Record:
    """The files of a unit, as its live record had them at a monotonic time."""

    at: float
    files: dict[str, Fingerprint] = field(default_factory=dict)


class Members:
    """Used by one thread; ``mains`` maps units to their main files, and others may add to it."""

    def __init__(self, ledger: Ledger, clock: Clock, mains: dict[Key, str]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._mains = mains
        self._records: dict[Key, _Record] = {}

    def known(self, unit: Key, path: str, found: Fingerprint) -> bool:
        """Whether a file is recorded as it is, as part of the unit of this name."""
        main = self._mains.get(unit)
        if main is None:
            return False
        record, now = self._records.get(unit), self._clock.monotonic()
        if record is None or now - record.at >= FRESH:
            record = self._records[unit] = _Record(now, self._files(unit[0], main))
        return record.files.get(path) == found

    def _files(self, folder: str, main: str) -> dict[str, Fingerprint]:
        live = self._ledger.live(folder, [main]).get(main)
        if live is None:
            return {}
        return {main: live.print} | {part.path: part.print for part in live.parts}
