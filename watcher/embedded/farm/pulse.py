"""A worker's signs of life: which attempts it runs, how far they are, and who must stop.

Imports the standard library and the package's ``board``, ``lane`` and ``store``. Invariant: what
cannot be told now is told later; running goes on while Redis is away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from watcher.embedded.farm.board import Board, BoardError, Row, Shown
from watcher.embedded.lane import Order, Running
from watcher.embedded.store import Step

BEAT = 0.5  # seconds


@dataclass(slots=True)
class _Attempt:
    row: Row
    running: Running = field(default_factory=Running)
    shown: Shown | None = None


class Pulse:
    """All attempts of one worker.

    Args:
        board: where they are told.
        trouble: called with the reason when the board cannot be used, and with "" when it can.
    """

    def __init__(self, board: Board, trouble: Callable[[str], None]) -> None:
        self._board = board
        self._trouble = trouble
        self._lock = threading.Lock()
        self._at_work: dict[str, _Attempt] = {}
        self._done: list[tuple[str, int]] = []
        self._leaving = False
        self._over = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="farm-pulse", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def add(self, job_id: str, row: Row) -> Running:
        """An attempt begins."""
        attempt = _Attempt(row)
        with self._lock:
            attempt.running.order = Order.LEAVE if self._leaving else Order.GO_ON
            self._at_work[job_id] = attempt
        self._wake.set()
        return attempt.running

    def show(self, job_id: str, progress: int | None, steps: Iterable[Step]) -> None:
        """How far an attempt is."""
        with self._lock:
            attempt = self._at_work[job_id]
            attempt.row = replace(attempt.row, shown=attempt.row.shown + 1)
            attempt.shown = Shown(progress, tuple((step.info, step.duration) for step in steps))

    def remove(self, job_id: str) -> None:
        """An attempt ended, and its verdict stands."""
        with self._lock:
            self._done.append((job_id, self._at_work.pop(job_id).row.attempt))
        self._wake.set()

    def leave(self) -> None:
        """Have every attempt stopped and handed back."""
        with self._lock:
            self._leaving = True
            for attempt in self._at_work.values():
                attempt.running.order = Order.LEAVE

    @property
    def busy(self) -> int:
        """How many attempts run."""
        return len(self._at_work)

    def stop(self) -> None:
        """Tell what is left to tell, if that can be done, and end."""
        self._over.set()
        self._wake.set()
        self._thread.join()
        self._board.close()

    def _run(self) -> None:
        while True:
            over = self._over.is_set()
            try:
                self._tell()
                self._trouble("")
            except BoardError as error:
                self._trouble(type(error).__name__)
            if over:
                return
            self._wake.wait(BEAT)
            self._wake.clear()

    def _tell(self) -> None:
        with self._lock:
            done = list(self._done)
            rows, shown = {}, {}
            for job_id, attempt in self._at_work.items():
                attempt.row = rows[job_id] = replace(attempt.row, beat=attempt.row.beat + 1)
                if attempt.shown is not None:
                    shown[job_id] = attempt.shown
        for job_id, number in done:
            self._board.ended(job_id, number)
            with self._lock:
                self._done.remove((job_id, number))
        self._obey(self._board.beat(rows, shown))

    def _obey(self, stops: dict[str, int]) -> None:
        with self._lock:
            for job_id, last in stops.items():
                attempt = self._at_work.get(job_id)
                if attempt is not None and attempt.row.attempt <= last:
                    attempt.running.order = Order.CANCEL
