"""One daemon a state folder: the lock that says so, and the look-out for who takes it away.

Imports errors. Invariant: the lock is the kernel's, so that it never outlives its owner.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from watcher.errors import StateTaken

LOOK_EVERY = 1.0  # seconds between two looks at the lock's name
PATIENCE, AGAIN = 2.0, 0.05  # seconds to try for the lock, and between two tries


def lock_state(state: Path) -> IO[str]:
    """Own a state folder for as long as the returned file stays open.

    Raises:
        StateTaken: another daemon owns it, or it cannot be made.
    """
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o750)
        held = (state / "lock").open("a+")
    except OSError as error:
        raise StateTaken(
            f"the state folder cannot be used: {error.strerror}", where=str(state)
        ) from error
    try:
        _own(held)
    except OSError:
        held.seek(0)
        owner = held.read().strip() or "unknown"
        held.close()
        raise StateTaken(
            f"another watcher (process {owner}) uses this state folder",
            where=str(state),
            fix="stop it, or give this one a state of its own",
        ) from None
    held.truncate(0)
    held.write(str(os.getpid()))
    held.flush()
    return held


def _own(held: IO[str]) -> None:
    """Take the lock. A command that asks for a daemon holds it for an instant, shared, and for
    longer when it is paused there: so one try proves nothing."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise
            time.sleep(AGAIN)
        else:
            return


class Watchman:
    """Looks now and then whether the state folder that we own is still the one under its name,
    and the files of the ledger in it.

    A daemon whose state was deleted would go on, with a ledger that nobody sees, beside the next
    one, and both would deliver; what it records would be gone at its end.
    """

    def __init__(self, held: IO[str], state: Path) -> None:
        self._state = state
        self._kept = {state / "lock": os.fstat(held.fileno())}
        self._next = 0.0
        self._taken: Path | None = None

    def keep(self, paths: Iterable[Path]) -> None:
        """Look at these files too, from now on; one that is not there yet does not count."""
        for path in paths:
            with suppress(OSError):
                self._kept[path] = path.stat()

    @property
    def lost(self) -> bool:
        """Whether something was found to be taken away."""
        return self._taken is not None

    def ousted(self) -> bool:
        """Whether other files, emptied ones or none stand in their place. A disk that gives no
        answer is not a reason to think so."""
        now = time.monotonic()
        if not self.lost and now >= self._next:
            self._next = now + LOOK_EVERY
            taken = (path for path, own in self._kept.items() if _taken(path, own))
            self._taken = next(taken, None)
        return self.lost

    def error(self) -> StateTaken:
        """What to say when it is."""
        if self._taken in (None, self._state / "lock"):
            return StateTaken(
                "the state folder was removed or replaced under the running daemon",
                where=str(self._state),
                fix="start it again; files that lie in the input folders are taken up anew",
            )
        return StateTaken(
            "the ledger was removed, replaced or emptied under the running daemon",
            where=str(self._taken),
            fix="restore it if you have a copy, then start it again; never touch the ledger's"
            " files while watcher runs",
        )


def _taken(path: Path, own: os.stat_result) -> bool:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)
    return not os.path.samestat(found, own) or (own.st_size > 0 and not found.st_size)
