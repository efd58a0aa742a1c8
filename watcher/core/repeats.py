"""What a file is that comes again: unchanged since it was delivered, or not.

Imports ``model``, ``delivery`` (times for people) and ``settings``. Invariant: only what the same
rule delivered from the same content, parts included, makes a repeat; in doubt it is none, and the
file is converted.
"""

from __future__ import annotations

from collections.abc import Iterable

from watcher.core.delivery import stamp
from watcher.core.model import FileRecord, FileState
from watcher.core.settings import Rule

DELIVERED = (FileState.DELIVERED, FileState.ARCHIVED)


def candidates(rule: Rule, file: FileRecord, before: Iterable[FileRecord]) -> list[FileRecord]:
    """The earlier arrivals, oldest first, that may have had this content: only a digest tells."""
    if rule.on_repeat == "again":
        return []
    return [
        one
        for one in before
        if one.state in DELIVERED
        and one.arrival < file.arrival
        and (one.rule, one.print.size, one.parts) == (rule.name, file.print.size, file.parts)
    ]


def repeated(rule: Rule, file: FileRecord, before: Iterable[FileRecord]) -> FileRecord | None:
    """The last earlier arrival with this content; None when the content is new, or not known."""
    found = [one for one in candidates(rule, file, before) if file.digest == one.digest != ""]
    return found[-1] if found else None


def skipped(earlier: FileRecord) -> str:
    """Why a file is not converted a second time."""
    return (
        f"not converted again: the content is that of arrival {earlier.arrival}, accepted "
        f"{stamp(earlier.accepted_at)} (on_repeat: skip)"
    )
