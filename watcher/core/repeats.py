"""What a file is that comes again: unchanged since it was delivered, or not.

Imports ``model``, ``delivery`` (times for people) and ``settings``. Invariant: only what the same
rule delivered from the same content, parts included, makes a repeat; in doubt it is none, and the
file is converted.
"""

from __future__ import annotations

from collections.abc import Iterable

from watcher.core.delivery import stamp
from watcher.core.model import FileRecord, FileState, printable
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


def content_name(rule: Rule, file: FileRecord) -> str:
    """The name under which a delivered content is remembered for ``dedupe``; empty when it is not.

    It is kept among the final names that sources own, where no path can have it: it begins with a
    NUL. A file with parts has none, since its main file alone does not tell what it is.
    """
    told = rule.dedupe and file.digest and not file.parts
    return f"\0{rule.name}\0{file.digest}" if told else ""


def known_as(owner: str) -> str:
    """Why a content is not converted under another name."""
    return f"not converted: the content is that of {printable(owner)}, delivered before (dedupe)"
