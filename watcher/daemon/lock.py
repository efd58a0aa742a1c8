"""One daemon a state folder: the lock that says so.

Imports errors. Invariant: the lock is the kernel's, so that it never outlives its owner.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import IO

from watcher.errors import StateTaken

LOOK_EVERY = 1.0  # seconds between two looks at the lock's name


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
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


class Watchman:
    """Looks now and then whether the state folder that we own is still the one under its name.

    A daemon whose state was deleted would go on, with a ledger that nobody sees, beside the next
    one, and both would deliver.
    """

    def __init__(self, held: IO[str], state: Path) -> None:
        self._own = os.fstat(held.fileno())
        self._state = state
        self._next = 0.0
        self.lost = False

    def ousted(self) -> bool:
        """Whether another lock, or none, stands in its place. A disk that gives no answer is not
        a reason to think so."""
        now = time.monotonic()
        if not self.lost and now >= self._next:
            self._next = now + LOOK_EVERY
            try:
                found = (self._state / "lock").stat()
            except OSError as error:
                self.lost = error.errno in (errno.ENOENT, errno.ENOTDIR)
            else:
                self.lost = not os.path.samestat(found, self._own)
        return self.lost

    def error(self) -> StateTaken:
        """What to say when it is."""
        return StateTaken(
            "the state folder was removed or replaced under the running daemon",
            where=str(self._state),
            fix="start it again; files that lie in the input folders are taken up anew",
        )
