"""What the disk would not do, in the words of our errors.

Imports the standard library and ``watcher.errors``. Invariant: a full disk is told apart, since it
is mended by hand; no path enters the text.
"""

from __future__ import annotations

import errno

from watcher.errors import NoSpace, Unreachable, WatcherError


def trouble(error: OSError, what: str) -> WatcherError:
    """Our error for one of the file system; ``what`` says what did not come about."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(f"the disk of the server is full: {what}")
    return Unreachable(f"{what} ({error.strerror or type(error).__name__})")
