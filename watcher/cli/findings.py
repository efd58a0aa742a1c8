"""What ``doctor`` finds: one line each, with what to do where something must be mended.

Imports the standard library only. Invariant: a finding that must be mended says how.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. ``MEND`` makes the command fail; ``NOTE`` is worth knowing."""

    OK = "ok"
    NOTE = "note"
    MEND = "mend"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``fix`` says what to do."""

    level: Level
    what: str
    found: str
    fix: str = ""


def ok(what: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding(Level.OK, what, found)


def note(what: str, found: str, fix: str = "") -> Finding:
    """It works, and is worth knowing."""
    return Finding(Level.NOTE, what, found, fix)


def mend(what: str, found: str, fix: str) -> Finding:
    """It must be mended."""
    return Finding(Level.MEND, what, found, fix)
