"""Ids that rise with time: 41 bits of milliseconds, 22 bits from a random start within each.

Imports the standard library. Invariant: within one ``Ids`` every id is greater than all before it,
whatever the wall clock does; two of them meet only by starting within reach of each other in the
same millisecond, which the ledger's primary key then refuses.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

EPOCH_MS = 1_577_836_800_000  # 2020-01-01 UTC: 41 bits of it last until 2089
_LOW = 22


class Ids:
    """A source of ids. ``now`` gives wall time in seconds; ``above`` is the highest id in use."""

    def __init__(self, now: Callable[[], float], *, above: int = 0) -> None:
        self._now = now
        self._last = above
        self._random = random.Random()  # noqa: S311  (unique, which is no secret)
        self._lock = threading.Lock()

    def take(self, count: int) -> range:
        """So many fresh ids, rising."""
        moment = max(0, int(self._now() * 1000) - EPOCH_MS) << _LOW
        # the upper half stays free, so that one draw of many does not enter the next millisecond
        with self._lock:
            first = max(self._last + 1, moment | self._random.getrandbits(_LOW - 1))
            self._last = max(self._last, first + count - 1)
        return range(first, first + count)
