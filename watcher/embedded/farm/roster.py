"""What ``serve`` knows of the attempts that were sent and of those that run.

Imports the standard library and the package's ``board``. Invariant: no clock but the monotonic one
decides; silence counts only while somebody listens, so neither an absence of Redis nor a pause of
``serve`` makes a worker lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from watcher.embedded.farm.board import ANSWER_WITHIN, Row

LATE = 2.0  # seconds between two rounds that count as listened to at most; there are two a second
LOST_AFTER = 8.0  # seconds without a beat, of which there are two a second
STALE_AFTER = 10.0  # seconds in a queue, after which an empty queue means that a task was dropped
AWAITED = 60.0  # seconds that a shared folder may take to show a verdict which is told of


@dataclass(slots=True)
class Live:
    """An attempt at work: ``seen`` in seconds that were listened, ``told`` in monotonic ones."""

    attempt: int
    seen: float
    beat: int = -1
    shown: int = 0
    told: float = 0.0  # when its end was told of; 0: not yet


@dataclass(frozen=True, slots=True)
class Sent:
    """A task in a queue."""

    attempt: int
    queue: str
    at: float


@dataclass(slots=True)
class Roster:
    """All of them. Used by the thread that listens, and by the sender under its own lock."""

    live: dict[str, Live] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)
    strays: dict[str, Live] = field(default_factory=dict)
    reachable: bool = False
    listened: float = 0.0  # seconds, up to the present round
    _round: float | None = None  # when the present one began, monotonic
    _counts_from: float = 0.0  # silence does
    _was_away: bool = False

    def listen(self, now: float) -> None:
        """A round reads the board. One that comes late counts as a short one: what workers told
        meanwhile was not heard, and they may have been paused with us."""
        if self._round is not None:
            self.listened += min(now - self._round, LATE)
        self._round = now

    def away(self) -> None:
        """Redis does not do its part."""
        self.reachable, self._was_away = False, True

    def back(self) -> None:
        """It does. A worker may notice later, when its last question has got no answer."""
        self.reachable = True
        self._counts_from = self.listened + (ANSWER_WITHIN if self._was_away else 0.0)

    def begin(self, job_id: str, attempt: int) -> None:
        """An attempt is at work."""
        self.sent.pop(job_id, None)
        self.live[job_id] = Live(attempt, self.listened)

    def end(self, job_id: str) -> None:
        """It is no more, or the job ended."""
        self.live.pop(job_id, None)
        self.sent.pop(job_id, None)

    def leave(self, job_id: str, live: Live) -> None:
        """This attempt is no more; a later one may be under way already."""
        if self.live.get(job_id) is live:
            del self.live[job_id]

    def heard(self, rows: Mapping[str, Row]) -> list[str]:
        """Note the beats of the attempts that are known; the jobs whose progress changed."""
        changed = []
        for job_id, row in rows.items():
            live = self.live.get(job_id)
            if live is None or live.attempt != row.attempt:
                continue
            self._note(live, row)
            if row.shown != live.shown:
                live.shown = row.shown
                changed.append(job_id)
        return changed

    def lost(self) -> list[str]:
        """The jobs whose worker gives no sign of life."""
        now = time.monotonic()
        return [
            job_id
            for job_id, live in self.live.items()
            if self._silent(live) and (not live.told or now - live.told > AWAITED)
        ]

    def told(self) -> list[str]:
        """The jobs whose end was told of, and cannot be read yet."""
        return [job_id for job_id, live in self.live.items() if live.told]

    def stray(self, rows: Mapping[str, Row]) -> tuple[dict[str, int], list[str]]:
        """Of rows that are not of current attempts: those to be stopped, and the silent ones."""
        self.strays = {job: one for job, one in self.strays.items() if job in rows}
        for job_id, row in rows.items():
            known = self.strays.get(job_id)
            if known is None or known.attempt != row.attempt:
                known = self.strays[job_id] = Live(row.attempt, self.listened)
            self._note(known, row)
        silent = [job_id for job_id, one in self.strays.items() if self._silent(one)]
        return {job_id: row.attempt for job_id, row in rows.items()}, silent

    def stale(self) -> dict[str, Sent]:
        """The tasks that were sent some time ago and not begun."""
        before = time.monotonic() - STALE_AFTER
        return {job_id: sent for job_id, sent in list(self.sent.items()) if sent.at < before}

    def queues(self, jobs: Iterable[str]) -> set[str]:
        """The queues that these wait in."""
        return {self.sent[job_id].queue for job_id in jobs if job_id in self.sent}

    def _silent(self, live: Live) -> bool:
        return self.listened - max(live.seen, self._counts_from) > LOST_AFTER

    def _note(self, live: Live, row: Row) -> None:
        if row.beat != live.beat:
            live.beat, live.seen = row.beat, self.listened
