"""How the daemon does: a snapshot, and what follows from it for ``/healthz`` and ``/readyz``.

Imports core, and looks at the disk. Invariant: a snapshot never changes; reasons are for people.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watcher.core.model import FileState, Watcher, printable
from watcher.core.ports import Ledger
from watcher.core.settings import Folder, Settings
from watcher.daemon.sightings import RootState
from watcher.errors import LedgerError

BEAT_FRESH = 30.0  # seconds; an idle engine turns about every second
SPACE_LEAST = 64 << 20  # bytes free below which a disk counts as full


@dataclass(frozen=True, slots=True)
class SchedulerHealth:
    """Jobs asked for and not finished; why its breaker is open, or nothing."""

    in_flight: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """One moment of the daemon. ``beat_age``: seconds since the engine's last turn."""

    beat_age: float
    intake_alive: bool
    roots: Mapping[str, RootState]
    schedulers: Mapping[str, SchedulerHealth]
    delivered: int
    failed: int
    refused: str = ""  # why the last new configuration was not taken up
    seat: int = 0
    watchers: tuple[Watcher, ...] = ()  # who shares the ledger, this one included


def sick(health: Health) -> list[str]:
    """Why only a restart helps; nothing when all is well."""
    reasons = []
    if health.beat_age > BEAT_FRESH:
        reasons.append(f"the engine has not turned for {health.beat_age:.0f} s")
    if not health.intake_alive:
        reasons.append("a thread of intake has ended")
    return reasons


def unready(settings: Settings, health: Health, ledger: Ledger) -> list[str]:
    """Why work does not flow everywhere; nothing when it does."""
    reasons = sick(health)
    if health.refused:
        reasons.append(
            f"the new configuration was refused, the last good one is used: {health.refused}"
        )
    for folder in settings.folders:
        reasons += _of_folder(folder, health.roots.get(folder.name))
    for name, one in health.schedulers.items():
        if one.trouble:
            reasons.append(f"scheduler {name}: {one.trouble}")
    try:
        for (name, state), count in ledger.counts().items():
            if state is FileState.HELD and count:
                reasons.append(f"folder {name}: {count} held")
    except LedgerError as error:
        reasons.append(f"ledger: {error}")
    return [printable(reason) for reason in reasons + _full(settings)]


def summary(health: Health, ledger: Ledger) -> str:
    """One line for ``systemctl status``: what is wrong first, then how much of what."""
    words = [f"folder {name} is offline" for name, one in health.roots.items() if not one.online]
    words += [f"scheduler {n} is down" for n, one in health.schedulers.items() if one.trouble]
    if health.refused:
        words.append("the new configuration was refused")
    totals: dict[FileState, int] = {}
    with suppress(LedgerError):
        for (_, state), count in ledger.counts().items():
            totals[state] = totals.get(state, 0) + count
    words += [f"{totals[state]} {state}" for state in FileState if totals.get(state)]
    return printable(", ".join(words) or "nothing seen yet")


def _of_folder(folder: Folder, root: RootState | None) -> list[str]:
    reasons = []
    if root is None or not root.online:
        why = root.reason if root is not None else "not looked at yet"
        reasons.append(f"folder {folder.name} is offline: {why}")
    elif root.trouble:
        reasons.append(f"folder {folder.name}: {root.trouble}")
    written = {"output": folder.output, "failed folder": folder.failed, "done folder": folder.done}
    for kind, path in written.items():
        if isinstance(path, Path) and (why := _unwritable(path)):
            reasons.append(f"folder {folder.name}: the {kind} {path} {why}")
    return reasons


def _unwritable(path: Path) -> str:
    """Why nothing can be put there; empty when something can."""
    if not path.is_dir():
        return "is not there"
    return "" if os.access(path, os.W_OK | os.X_OK) else "is not writable"


def _full(settings: Settings) -> list[str]:
    reasons = []
    for path in sorted({settings.state, *(folder.output for folder in settings.folders)}):
        try:
            free = shutil.disk_usage(path).free
        except OSError:
            continue  # a missing folder is told of as not writable
        if free < SPACE_LEAST:
            reasons.append(f"{path}: only {free >> 20} MiB free")
    return reasons
