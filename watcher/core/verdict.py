"""What a settled file is to us: new, known, touched, or new content under a known name.

Imports ``model`` and ``lifecycle``. Invariant: what only hashing can tell apart is never guessed.
"""

from __future__ import annotations

from enum import StrEnum

from watcher.core.lifecycle import UNFINISHED
from watcher.core.model import Asset, FileRecord, FileState


class Verdict(StrEnum):
    """What a settled file is to us, given the live record of its path."""

    NEW = "new"
    SAME = "same"  # nothing happened
    TOUCHED = "touched"  # not read yet: only its fingerprint is brought up to date
    COMPARE = "compare"  # only hashing tells a touch from new content
    REPLACED = "replaced"  # new content while in work: start over
    NEXT = "next"  # new content after the end: a new arrival


def verdict(record: FileRecord | None, asset: Asset) -> Verdict:
    """Tell a duplicate event, a touch and new content apart."""
    if record is None:
        return Verdict.NEW
    changed = asset.whole and other_parts(record, asset)
    if record.print == asset.print and not changed:
        return Verdict.SAME
    if record.state is FileState.ACCEPTED and not record.digest:
        return Verdict.TOUCHED
    if record.print.size == asset.print.size and record.digest and not changed:
        return Verdict.COMPARE
    return Verdict.REPLACED if record.state in UNFINISHED else Verdict.NEXT


def other_parts(record: FileRecord, asset: Asset) -> bool:
    """Whether parts came, went or changed since."""
    return {(p.path, p.print) for p in record.parts} != {(p.path, p.print) for p in asset.parts}
