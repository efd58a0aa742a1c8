"""The one core that the threads of a daemon share.

Imports the standard library (Linux: sched_setaffinity(2), and ``/proc/stat`` of proc(5)).
Invariants: what the daemon starts may use every core that the daemon was given; a core that others
need is left within seconds.

CPython runs one thread at a time, and the daemon's threads hand its lock to one another at every
system call. Where the next one sleeps on another core, each time wakes that core up, which costs
more than most of what is done in between: with all cores free, a small job took more CPU than with
all of them busy. On one core it is a switch, and nothing is lost, since no two would run.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

EVERY = 2.0  # seconds between two looks at who uses the core
NEEDED = 0.4  # the share of its time that others take, at which it is left
FREE = 0.25  # the share of another core's time that is taken at most, for it to be moved to
LITTLE = 0.05  # the share of a core that this process must use to care
_TICK = os.sysconf("SC_CLK_TCK")
_given: frozenset[int] = frozenset()


def share_one() -> None:
    """Keep all threads of this process on one core from now on, of those that it was given."""
    global _given  # noqa: PLW0603  (a process has one set of cores)
    allowed, now = frozenset(os.sched_getaffinity(0)), busy()
    # nothing to choose, or nobody would ever tell that others need it
    if _given or len(allowed) < 2 or not allowed <= now.keys():  # noqa: PLR2004
        return
    _given = allowed
    home = Home(allowed)
    home.move(home.idlest(now, {}))
    threading.Thread(target=home.stay, name="cores", daemon=True).start()


def release(pid: int) -> None:
    """Let a process that was just started use all cores that this one was given."""
    if _given:
        with suppress(OSError):  # it ended, or the cores were taken away from all of us
            os.sched_setaffinity(pid, _given)


def busy(told: Path = Path("/proc/stat")) -> dict[int, float]:
    """Seconds that each core has worked since the machine began; none where that is hidden."""
    found: dict[int, float] = {}
    try:
        lines = told.read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _, _, *rest = map(int, fields[:8])
            found[int(name[3:])] = (user + nice + system + sum(rest)) / _TICK
    return found


class Home:
    """The core of this process, and when to leave it."""

    def __init__(self, allowed: frozenset[int]) -> None:
        self._allowed = allowed
        self.core = -1

    def idlest(self, now: Mapping[int, float], before: Mapping[int, float]) -> int:
        """The allowed core that worked least between two looks."""
        return min(self._allowed, key=lambda core: now.get(core, 0.0) - before.get(core, 0.0))

    def better(
        self, now: Mapping[int, float], before: Mapping[int, float], own: float, passed: float
    ) -> int:
        """The core to move to, the present one where it may stay. ``own``: CPU seconds of this
        process between two looks that are ``passed`` seconds apart."""
        others = now.get(self.core, 0.0) - before.get(self.core, 0.0) - own
        best = self.idlest(now, before)
        taken = now.get(best, 0.0) - before.get(best, 0.0)
        return best if others > NEEDED * passed and taken < FREE * passed else self.core

    def move(self, core: int) -> None:
        """Take every thread there; those that are started later follow the one that does."""
        self.core = core
        for name in os.listdir("/proc/self/task"):  # noqa: PTH208  (names of threads)
            with suppress(OSError):  # it ended, or that core is taken away
                os.sched_setaffinity(int(name), {core})

    def stay(self) -> None:
        """Look now and then whether others need the core, as long as this process needs it too:
        the kernel takes a while to say how busy its cores are."""
        before: dict[int, float] = {}
        own, at = time.process_time(), time.monotonic()
        while True:
            time.sleep(EVERY)
            used, when = time.process_time(), time.monotonic()
            now = busy() if used - own > LITTLE * (when - at) else {}
            if now and before:
                best = self.better(now, before, used - own, when - at)
                if best != self.core:
                    self.move(best)
            before, own, at = now, used, when
