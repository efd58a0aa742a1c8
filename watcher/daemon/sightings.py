"""What intake tells the engine.

Imports the model only. Invariant: everything here is a fact about the disk, never a decision; an
``Arrival`` may come twice for one unchanged file, so its receiver compares fingerprints.
"""

from __future__ import annotations

from dataclasses import dataclass

from watcher.core.model import Asset


@dataclass(frozen=True, slots=True)
class Arrival:
    """A settled file that a rule takes, with its parts."""

    asset: Asset


@dataclass(frozen=True, slots=True)
class Absent:
    """Paths with a live record that a complete scan of an online root did not find."""

    folder: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RootState:
    """A root came, went, or is watched in another way.

    ``native`` is False while it is polled; ``reason`` says why it is that, or offline. ``trouble``
    is what the last scan of an online root could not see.
    """

    folder: str
    online: bool
    native: bool = False
    reason: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ScanDone:
    """A scan of a whole root ended. ``unannounced`` are new files that the native watch should
    have told of and did not, counted since the scan before. ``quick``: only directories whose names
    changed were read, and ``files`` counts theirs."""

    folder: str
    complete: bool
    seconds: float
    files: int
    unannounced: int = 0
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A path that a rule would take and that cannot be taken; told once."""

    folder: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Our own program failed at this place and went on."""

    folder: str
    path: str
    reason: str


Sighting = Arrival | Absent | RootState | ScanDone | Refusal | Fault
