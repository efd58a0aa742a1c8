"""The executor of a farm: sends attempts to Celery workers and hears what becomes of them.

Imports the standard library, structlog's types, and this package. Invariant: serve's store and the
shared folder decide; while the broker is away nothing is lost and nothing is asked of it by those
who call, and when it is back, emptied or not, what waits is sent again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from structlog.typing import FilteringBoundLogger

from watcher.embedded.executor import Books, Executor, Hire, due
from watcher.embedded.farm.board import Board, BoardError, Row
from watcher.embedded.farm.claims import Claims, named
from watcher.embedded.farm.referee import WAITING, WORKING, Referee
from watcher.embedded.farm.roster import Roster, Sent
from watcher.embedded.farm.tasks import Outbox, TaskError
from watcher.embedded.store import Job, Step
from watcher.embedded.waiting import Waiting
from watcher.errors import WatcherError

_LISTEN = 0.5  # seconds that a round waits for ended attempts
_AGAIN_AFTER = 0.5  # seconds after a round that failed
_SWEEP_EVERY = 5.0


def farm(url: str, log: FilteringBoundLogger) -> Hire:
    """Hires a farm on this broker."""

    def hire(books: Books) -> Executor:
        return Dispatcher(books, url, log)

    return hire


class Dispatcher:
    """An ``Executor`` on Celery workers.

    Raises:
        Unreachable: the jobs folder cannot be written.
    """

    def __init__(self, books: Books, url: str, log: FilteringBoundLogger) -> None:
        name = named(books.folders.root)
        self._books = books
        self._log = log
        self._claims = Claims(books.folders)
        self._referee = Referee(books, self._claims, self.put)
        self._queue = Waiting()
        self._roster = Roster()
        self._outbox = Outbox(url, name)
        self._board = Board(url, name)
        self._sending = threading.Lock()  # of the outbox, and of what it sent
        self._reachable = threading.Event()
        self._over = threading.Event()
        self._stops: dict[str, int] = {}
        self._epoch = self._trouble = ""
        self._swept = 0.0
        self._threads = [
            threading.Thread(target=run, name=f"farm-{run.__name__[1:]}", daemon=True)
            for run in (self._send_all, self._listen)
        ]

    # ---------------------------------------------------------------- the port
    def recover(self, unfinished: Sequence[Job]) -> None:
        """See ``Executor``; what runs on workers goes on."""
        for job in unfinished:
            if job.status in WORKING:
                self._roster.begin(job.id, job.runs)
            elif self._claims.claimed(job.id, job.runs + 1):
                self._began(job.id, job.runs + 1, time.time())
            else:
                self.put(job)
        for thread in self._threads:
            thread.start()

    def put(self, job: Job) -> None:
        """See ``Executor``."""
        self._queue.put(job, due=due(job, self._books.folders))

    def cancel(self, job_id: str) -> None:
        """See ``Executor``."""
        attempt = self._referee.cancel(job_id)
        if attempt is not None:
            self._stops[job_id] = attempt

    def close(self) -> None:
        """See ``Executor``; workers go on, and what they end is found at the next start."""
        self._queue.close()
        self._over.set()
        self._reachable.set()
        for thread in self._threads:
            thread.join()
        self._outbox.close()
        self._board.close()

    # ---------------------------------------------------------------- sending
    def _send_all(self) -> None:
        while (job_id := self._queue.take()) is not None:
            self._reachable.wait()
            if self._over.is_set():
                return
            try:
                self._send(job_id)
            except TaskError:
                with self._sending:
                    self._outbox.close()
                self._reachable.clear()
                self._put_back(job_id)
            except WatcherError as error:
                self._log.warning("trouble", where="job store", reason=str(error))
                self._put_back(job_id)

    def _put_back(self, job_id: str) -> None:
        """In a while: the store or the broker does not do its part now."""
        job = Job(
            seq=0, id=job_id, name="", process="", priority=0, status=WAITING[0], requested=0.0
        )
        with suppress(WatcherError):
            job = self._books.store.get(job_id) or job
        self._queue.put(job, due=time.time() + _AGAIN_AFTER)

    def _send(self, job_id: str) -> None:
        with self._sending:
            job = self._books.store.get(job_id)
            if job is None or job.status not in WAITING:
                return
            queue = self._books.folders.queue(job_id)
            self._roster.sent[job_id] = Sent(job.runs + 1, queue, time.monotonic())
            self._outbox.send(job, queue)

    # ---------------------------------------------------------------- listening
    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                self._round()
            except (*TaskError, BoardError) as error:
                self._unreachable(type(error).__name__)
            except WatcherError as error:
                self._tell("job store", str(error))
                self._over.wait(_AGAIN_AFTER)
            except Exception as error:  # noqa: BLE001  (what workers of another version tell)
                self._tell("board", f"it cannot be understood ({type(error).__name__}: {error})")
                self._over.wait(_AGAIN_AFTER)

    def _unreachable(self, reason: str) -> None:
        self._reachable.clear()
        self._roster.away()
        with self._sending:
            self._outbox.close()
        # the library's words may hold the address with its password
        self._tell("broker", f"it cannot be used ({reason}); jobs wait, and go on when it is back")
        self._over.wait(_AGAIN_AFTER)

    def _tell(self, where: str, reason: str) -> None:
        if self._trouble != reason:
            self._trouble = reason
            self._log.warning("trouble", where=where, reason=reason)

    def _round(self) -> None:
        self._greet()
        for job_id, attempt in self._board.news(_LISTEN):
            self._ended(job_id, attempt)
        for job_id in self._roster.told():
            self._ended(job_id, self._roster.live[job_id].attempt)
        self._roster.listen(time.monotonic())
        self._look(self._board.rows())
        for job_id in self._roster.lost():
            self._lose(job_id)
        if time.monotonic() - self._swept > _SWEEP_EVERY:
            self._swept = time.monotonic()
            self._sweep()
        if self._trouble:
            self._trouble = ""
            self._log.info("trouble.over", where="broker")  # and whatever else it was

    def _greet(self) -> None:
        """Send everything anew to a broker that was started or emptied since the last round."""
        epoch = self._board.epoch()
        if epoch != self._epoch:
            with self._sending:
                self._outbox.empty()
                again = list(self._roster.sent)
                self._roster.sent.clear()
            self._epoch = epoch
            self._put_again(again)
        if not self._roster.reachable:
            self._roster.back()
            self._catch_up()
        self._reachable.set()

    def _catch_up(self) -> None:
        """Read the verdicts that nobody could tell of."""
        for job_id, live in list(self._roster.live.items()):
            if self._referee.finish(job_id, live.attempt):
                self._roster.leave(job_id, live)

    def _put_again(self, jobs: Sequence[str]) -> None:
        for job in self._books.store.many(jobs).values():
            if job.status in WAITING:
                self.put(job)

    def _look(self, rows: Mapping[str, Row]) -> None:
        """Take in what is told to run: begun attempts, beats, progress; and stop the strays."""
        stray = {job_id: row for job_id, row in rows.items() if not self._known(job_id, row)}
        shown = self._board.shown(self._roster.heard(rows))
        for job_id, one in shown.items():
            steps = [Step(text, seconds) for text, seconds in one.steps]
            self._books.store.show(job_id, one.progress, steps)
        stops, silent = self._roster.stray(stray)
        asked = dict(self._stops)
        self._board.stop(stops | asked)
        for job_id in asked:
            self._stops.pop(job_id, None)
        self._board.clear(silent)

    def _known(self, job_id: str, row: Row) -> bool:
        live = self._roster.live.get(job_id)
        if live is not None and live.attempt == row.attempt and job_id not in self._stops:
            return True
        return self._began(job_id, row.attempt, row.began)

    def _began(self, job_id: str, attempt: int, began: float) -> bool:
        current = self._referee.begin(job_id, attempt, began)
        if current:
            self._roster.begin(job_id, attempt)
        else:
            self._over_for(job_id)
        return current

    def _over_for(self, job_id: str) -> None:
        """Forget a job that has ended; one that waits or runs otherwise is kept."""
        job = self._books.store.get(job_id)
        if job is None or job.status not in (*WAITING, *WORKING):
            self._roster.end(job_id)

    def _ended(self, job_id: str, attempt: int) -> None:
        """An attempt is told to have ended; its verdict may come into sight later."""
        if job_id not in self._roster.live and not self._began(job_id, attempt, time.time()):
            return
        live = self._roster.live[job_id]
        if live.attempt == attempt:
            live.told = live.told or time.monotonic()
            if self._referee.finish(job_id, attempt):
                self._roster.leave(job_id, live)

    def _lose(self, job_id: str) -> None:
        live = self._roster.live[job_id]
        if self._referee.lose(job_id, live.attempt):
            self._log.warning("trouble", where=f"job {job_id}", reason="its worker was lost")
        self._roster.leave(job_id, live)
        self._board.clear([job_id])
        self._board.stop({job_id: live.attempt})

    def _sweep(self) -> None:
        """Send again what waits although its queue is empty: it was dropped on the way."""
        stale = self._roster.stale()
        with self._sending:
            waiting = self._outbox.waiting(self._roster.queues(stale))
        again = []
        for job_id, sent in stale.items():
            if waiting.get(sent.queue):  # its turn may come yet
                continue
            if self._claims.claimed(job_id, sent.attempt):
                self._began(job_id, sent.attempt, time.time())
            else:
                self._roster.sent.pop(job_id, None)
                again.append(job_id)
        self._put_again(again)
