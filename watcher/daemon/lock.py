"""One daemon a state folder: the lock that says so.

Imports errors. Invariant: the lock is the kernel's, so that it never outlives its owner.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from watcher.errors import StateTaken


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
