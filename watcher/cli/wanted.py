"""What ``watcher serve`` was asked for, between its command line and the server.

Imports the standard library. Invariant: everything in here has been checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for. ``keep`` in seconds, None is for ever; ``broker`` is
    empty where jobs run on this machine."""

    host: str
    port: int
    state: Path
    token: str
    scripts: bool
    processes: Path | None
    workers: int
    keep: float | None
    broker: str
