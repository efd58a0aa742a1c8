"""Which file a change or an effect is about.

Imports ``core``. Invariant: every change is about one file; an effect may be about a path alone.
"""

from __future__ import annotations

from watcher.core.effects import Clean, Effect, Look
from watcher.core.ports import Change, NewFile, OwnTarget, SaveFile, SaveJob


def file_of(change: Change) -> int:
    """The file that a change is about."""
    match change:
        case NewFile(file):
            return file.id
        case SaveFile(before):
            return before.id
        case SaveJob(before):
            return before.file_id
        case OwnTarget():
            return change.file_id


def subject(effect: Effect) -> int:
    """The file that an effect acts on, 0 for a path."""
    if isinstance(effect, Clean):
        return effect.jobs[0].file_id if effect.jobs else 0
    return 0 if isinstance(effect, Look) else effect.file.id
