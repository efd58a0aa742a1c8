"""This watcher's seat at a shared ledger: signs of life, and the files of those that give none.

Imports core's model and ports, and errors. Invariant: a dead watcher's staging is moved away before
its files are taken over, so that it can publish nothing when it wakes up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watcher.core.model import Watcher, Work
from watcher.core.ports import Files, Seats
from watcher.errors import Fenced, FileError, LedgerUnusable, WatcherError

BEAT = 1.5  # seconds between signs of life; four of them fit the lease
SEATS = ".watcher-seats"  # a hidden folder in each output


@dataclass(frozen=True, slots=True)
class Inherited:
    """Files of a dead watcher, now ours."""

    works: Sequence[Work]


@dataclass(frozen=True, slots=True)
class Lost:
    """Our own seat was taken away."""

    error: Fenced


@dataclass(frozen=True, slots=True)
class Share:
    """The engine's view of the seat. ``leads``: of all watchers, this one does what only one
    should do (answer requests, forget old history)."""

    number: int
    seats: Seats
    leads: Callable[[], bool]


def home(output: Path, number: int) -> Path:
    """The folder in an output root that holds a seat's staging."""
    return output / SEATS / f"{number:x}"


class Keeper:
    """Keeps a seat in a thread of its own. ``post`` is the engine's, ``trouble`` is told of what
    hinders it."""

    def __init__(
        self,
        seats: Seats,
        files: Files,
        post: Callable[[object], None],
        trouble: Callable[[str, WatcherError], None],
    ) -> None:
        self._seats = seats
        self._files = files
        self._post = post
        self._trouble = trouble
        self.outputs: tuple[Path, ...] = ()  # all output roots
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._leads = False
        self.watchers: tuple[Watcher, ...] = ()  # who shared the ledger at the last beat
        self.number = 0

    def sit(self) -> None:
        """Take a seat."""
        self.number = self._seats.sit()

    def start(self) -> None:
        """Begin to give signs of life; fine when it does already."""
        if self._thread is not None:
            return
        self._over.clear()
        self._thread = threading.Thread(target=self._run, name="watcher-seat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give no more signs; the seat stays until it lapses or is left."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def leave(self) -> None:
        """Give the seat back, so that others go on at once."""
        self.stop()
        with suppress(WatcherError):
            self._seats.leave()

    def share(self) -> Share:
        """For the engine."""
        return Share(self.number, self._seats, lambda: self._leads)

    def _run(self) -> None:
        while not self._over.wait(BEAT):
            try:
                self._beat()
            except Fenced as error:
                self._post(Lost(error))
                return
            except LedgerUnusable as error:
                self._trouble("ledger", error)

    def _beat(self) -> None:
        self._seats.renew()
        dead = self._seats.lapsed()
        self.watchers = tuple(self._seats.watchers())
        living = [one.seat for one in self.watchers]
        self._leads = min(living) == self.number
        if not dead or not self._adopted(living):
            return
        for seat in dead:
            works = self._seats.inherit(seat)
            if works:
                self._post(Inherited(works))

    def _adopted(self, living: Sequence[int]) -> bool:
        """Whether no dead watcher can reach its staging any more, in any output."""
        names = [f"{seat:x}" for seat in living]
        try:
            for output in dict.fromkeys(self.outputs):
                self._files.adopt(output / SEATS, f"{self.number:x}", names)
        except FileError as error:
            self._trouble("taking over", error)
            return False
        return True
