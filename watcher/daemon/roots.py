"""Whether a root is the folder that its files were seen in, over scans and restarts.

Imports the standard library and the clock port. Invariant: an empty folder where a disk used to be
mounted is never taken for "all files are gone"; losing the memory costs a minute of doubt.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watcher.core.ports import Clock

Identity = tuple[int, int]  # device, inode


class Roots:
    """The identity of each root when its files were last seen. ``place`` keeps it over restarts."""

    def __init__(self, place: Path | None = None) -> None:
        self._place = place
        self._known: dict[str, Identity] = {}
        if place is not None:
            with suppress(OSError, ValueError, TypeError, AttributeError):
                kept = json.loads(place.read_text("utf-8"))
                self._known = {key: (int(one[0]), int(one[1])) for key, one in kept.items()}

    def get(self, root: Path) -> Identity | None:
        """What is remembered of a root."""
        return self._known.get(_key(root))

    def put(self, root: Path, identity: Identity) -> None:
        """Remember a root; a memory that cannot be written is only a shorter one."""
        if self._known.get(_key(root)) == identity:
            return
        self._known = {**self._known, _key(root): identity}
        if self._place is not None:
            part = self._place.with_suffix(f".{threading.get_ident()}.part")
            with suppress(OSError):
                part.write_text(json.dumps(self._known), "utf-8")
                part.replace(self._place)


def _key(root: Path) -> str:
    return os.fsencode(root).decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Walked:
    """What a whole walk came by: how many files, how many of them known; ``lost`` asks whether
    files are known that it did not come by."""

    files: int
    known: int
    lost: Callable[[], bool]


class Trust:
    """The doubt about one root.

    A folder where a mount is missing is empty (or holds what was written meanwhile) and has
    another identity than the mounted one. While its device is another than the one that the files
    were seen on in this life, it is never believed; else, after it has been so for ``stable``
    seconds.
    """

    def __init__(self, root: Path, roots: Roots, clock: Clock, stable: float) -> None:
        self._root = root
        self._roots = roots
        self._clock = clock
        self._patience = stable
        self._trusted = roots.get(root)
        self._proved = False  # in this life
        self._doubted: tuple[Identity, float] | None = None

    def believe(self, identity: Identity, walked: Walked) -> bool:
        """Whether what a walk did not find is gone, or the disk under the root."""
        same_disk = self._trusted is None or self._trusted[0] == identity[0]
        sure = walked.known or identity == self._trusted or (same_disk and walked.files)
        may_last = same_disk or not self._proved  # devices are numbered anew at a reboot
        if sure or not walked.lost() or (may_last and self._lasts(identity)):
            self._trusted, self._proved, self._doubted = identity, True, None
            self._roots.put(self._root, identity)
            return True
        return False

    def _lasts(self, identity: Identity) -> bool:
        """Whether an unexpectedly empty root has been the same one for long enough."""
        now = self._clock.monotonic()
        if self._doubted is None or self._doubted[0] != identity:
            self._doubted = (identity, now)
        return now - self._doubted[1] >= self._patience
