"""The last hour, minute by minute: how much came to its end, and how long it took.

Imports core only. Invariant: written by the engine's thread, read by any; sixty minutes and no
more, so that its size does not grow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from watcher.core.model import FileState
from watcher.core.ports import Change, SaveFile

MINUTES = 60


@dataclass(slots=True)
class Minute:
    """One minute; ``at`` is its number since the epoch, ``seconds`` the sum of all deliveries."""

    at: int
    delivered: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def latency(self) -> float:
        """From accepted to delivered, in seconds, on average."""
        return self.seconds / self.delivered if self.delivered else 0.0


class Pulse:
    """See the module."""

    def __init__(self) -> None:
        self._minutes: deque[Minute] = deque(maxlen=MINUTES)

    def changed(self, changes: Sequence[Change]) -> None:
        """Note what came to its end."""
        for change in changes:
            if not isinstance(change, SaveFile) or change.after.state is change.before.state:
                continue
            file = change.after
            if file.state is FileState.DELIVERED:
                minute = self._minute(file.changed_at)
                minute.delivered += 1
                minute.seconds += max(0.0, file.changed_at - file.accepted_at)
            elif file.state is FileState.FAILED:
                self._minute(file.changed_at).failed += 1

    def _minute(self, wall: float) -> Minute:
        at = int(wall // 60)
        if not self._minutes or self._minutes[-1].at < at:
            self._minutes.append(Minute(at))
        return self._minutes[-1]  # a clock set back counts in the newest

    def hour(self, now: float) -> list[Minute]:
        """The last hour, oldest first, quiet minutes included."""
        known = {minute.at: minute for minute in list(self._minutes)}
        last = max(int(now // 60), *known, 0) if known else int(now // 60)
        return [known.get(at, Minute(at)) for at in range(last - MINUTES + 1, last + 1)]
