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
        renewed: called when Redis was away, or is another one than before.
    """

    def __init__(
        self, board: Board, trouble: Callable[[str], None], renewed: Callable[[], None]
    ) -> None:
        self._board = board
        self._trouble = trouble
        self._renewed = renewed
        self._epoch = ""
        self._away = False
        self._lock = threading.Lock()
        self._at_work: dict[str, _Attempt] = {}
        self._done: list[tuple[str, int]] = []
        self._leaving = False
        self.leaving = False  # takes no new attempts
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
                epoch = self._tell()
            except BoardError as error:
                self._away = True
                self._trouble(type(error).__name__)
            else:
                self._heard(epoch)
            if over:
                return
            self._wake.wait(BEAT)
            self._wake.clear()

    def _heard(self, epoch: str) -> None:
        self._trouble("")
        if self._away or (epoch and self._epoch not in ("", epoch)):
            self._renewed()
        self._away = False
        self._epoch = epoch or self._epoch

    def _tell(self) -> str:
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
        heard = self._board.beat(rows, shown)
        self._obey(heard.stops)
        return heard.epoch

    def _obey(self, stops: dict[str, int]) -> None:
        with self._lock:
            for job_id, last in stops.items():
                attempt = self._at_work.get(job_id)
                if attempt is not None and attempt.row.attempt <= last:
                    attempt.running.order = Order.CANCEL
