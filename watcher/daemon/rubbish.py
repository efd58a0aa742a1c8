"""When Python looks for cycles of objects that nobody needs any more.

Imports the standard library. Invariant: memory that cycles hold is still found; only seldom, since
nothing here that lives by the file makes any.
"""

from __future__ import annotations

import gc

YOUNG = 20_000  # new objects before a look at them: a directory of a scan, a batch of changes


def look_seldom() -> None:
    """From now on; to be called once all is loaded, which is never looked through again.

    Otherwise every 700 new objects are looked through, and now and then all there are, during
    which no thread runs: a twentieth of the CPU of a scan, and 40 ms that a new file may wait.
    """
    gc.freeze()
    gc.set_threshold(YOUNG)
