"""The truth about one root: when it is passed over, in full or quickly, and whether it is there.

Imports ``core``, the observe adapter, the passes and the sightings. Invariant: absence is concluded
only from a complete pass over a root that was the same folder before and after it, and each absent
path was looked for once more by name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from watcher.adapters.observe import Observe
from watcher.core.ports import Clock, Files, Ledger
from watcher.core.settings import Folder
from watcher.daemon.passes import Passes, Receivers, Seen
from watcher.daemon.roots import Roots, Trust, Walked
from watcher.daemon.sightings import Fault, RootState, ScanDone
from watcher.errors import FileError, LedgerAway

ASKED = 1000  # more asked directories than this are one full scan
SELDOM = 500  # full passes take at most one part of so many of the time, where quick ones will do
MOST = 10  # but at least one of so many passes is full


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a scan is, in seconds.

    ``retry``: between two looks for a root that is offline; ``tick``: between two proofs that the
    watch still hears; ``stable``: until an unexpectedly empty root is believed; ``second``: at
    least before a directory is scanned the second time; ``brief``: a full pass that takes less is
    not worth sparing.
    """

    retry: float = 2.0
    tick: float = 1.0
    stable: float = 60.0
    second: float = 0.5
    brief: float = 0.1


@dataclass(frozen=True, slots=True)
class Sources:
    """What intake reads, and how often."""

    files: Files
    ledger: Ledger
    clock: Clock
    observe: Observe
    pace: Pace = field(default_factory=Pace)
    roots: Roots = field(default_factory=Roots)


class Scan:
    """One thread for one root, so that a root that hangs stops no other.

    Args:
        folder: the root and its rules.
        sources: where to look.
        receivers: who hears of what it finds.
        unannounced: gives and clears the count of files that no event had told of.
    """

    def __init__(
        self,
        folder: Folder,
        sources: Sources,
        receivers: Receivers,
        unannounced: Callable[[str], int],
    ) -> None:
        self.folder = folder
        self._sources = sources
        self._deliver = receivers.deliver
        self._passes = Passes(folder, sources.files, sources.ledger, receivers)
        self._unannounced = unannounced
        self._asked: dict[str, float] = {"": 0.0}
        self._wake = threading.Condition()
        self._stopping = False
        self._scanning = False
        self._state: RootState | None = None
        self._scanned = False  # completely, since it came online
        self._next_pass = 0.0
        self._next_full = 0.0  # until then a quick pass will do
        self._whole: tuple[int, int] | None = None  # the root that the last full pass believed
        self._trust = Trust(folder.input, sources.roots, sources.clock, sources.pace.stable)
        self.thread = threading.Thread(
            target=self._run, name=f"watcher-scan-{folder.name}", daemon=True
        )

    def start(self) -> None:
        """Begin with a full scan."""
        self.thread.start()

    def stop(self) -> None:
        """End soon, also in the middle of a walk; who waits for it joins ``thread``."""
        with self._wake:
            self._stopping = True
            self._passes.stop()
            self._wake.notify_all()

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self.thread.is_alive()

    def ask(self, directory: str = "", *, twice: bool = False) -> None:
        """Scan a directory and all below it now; ``twice``: once more after it settles."""
        now = self._sources.clock.monotonic()
        with self._wake:
            if len(self._asked) > ASKED:
                directory = ""
                self._asked.clear()
            self._asked[directory] = now
            if twice:
                self._asked[f"{directory}/"] = now + max(
                    self.folder.settle, self._sources.pace.second
                )
            self._wake.notify_all()

    def idle(self) -> bool:
        """Whether nothing is asked for and an online root was scanned completely."""
        with self._wake:
            state = self._state
            settled = state is not None and (self._scanned or not state.online)
            return settled and not self._scanning and not self._asked

    # ------------------------------------------------------------ loop
    def _run(self) -> None:
        while not self._stopping:
            failed = not self._guarded()
            with self._wake:
                self._scanning = False
                if not self._stopping:
                    self._wake.wait(self._sources.pace.retry if failed else self._pause())

    def _guarded(self) -> bool:
        """One turn; False when it failed, and then all is scanned anew: nothing may be lost."""
        try:
            return self._turned()
        except LedgerAway:  # the engine waits for it too, and tells
            self.ask()
            return False
        except Exception as error:  # noqa: BLE001  (the thread must outlive any surprise)
            self.ask()
            self._fault(error)
            return False

    def _turned(self) -> bool:
        try:
            self._turn()
        except FileError as error:
            self._offline(str(error))
            return False
        return True

    def _fault(self, error: Exception) -> None:
        with suppress(Exception):  # when the receiver itself is what fails
            self._deliver([Fault(self.folder.name, "", f"{type(error).__name__}: {error}")])

    def _pause(self) -> float:
        now = self._sources.clock.monotonic()
        times = [now + self._sources.pace.tick, self._next_pass, *self._asked.values()]
        return max(0.0, min(times) - now)

    def _turn(self) -> None:
        """Prove the root and its watch, then scan what is due."""
        identity = self._sources.files.identity(self.folder.input)
        known = self._state
        name = self.folder.name
        if known is None or not known.online or not self._sources.observe.hears(name):
            self._online()
        directories, whole = self._due()
        quick = whole is True and self._quick_will_do(identity)
        if whole is not None and not quick:
            self._full(identity, periodic=whole)
            return
        for directory in directories:
            if self._passes.full(directory, silent=False).failed:
                self._soon()  # which tells of it, and soon tries again
        if quick:
            self._quick(identity)

    def _due(self) -> tuple[list[str], bool | None]:
        """The directories to scan, and whether a pass over all is due and nobody asked for it."""
        now = self._sources.clock.monotonic()
        with self._wake:
            due = [directory for directory, at in self._asked.items() if at <= now]
            for directory in due:
                del self._asked[directory]
            periodic = now >= self._next_pass
            self._scanning = bool(due) or periodic
        asked = {directory.removesuffix("/") for directory in due}
        if "" in asked:
            return [], False
        return sorted(asked), True if periodic else None

    # ------------------------------------------------------------ the root
    def _online(self) -> None:
        """Watch first; the scan after it finds what came before."""
        watching = self._sources.observe.add(self.folder)
        self._scanned = False
        self._soon()
        self._tell(RootState(self.folder.name, True, watching.native, watching.reason))  # noqa: FBT003
        self.ask()

    def _offline(self, reason: str) -> None:
        with self._wake:
            self._asked.clear()
            self._scanned = False
        self._sources.observe.remove(self.folder.name)
        self._tell(RootState(self.folder.name, online=False, reason=reason))

    def _tell(self, state: RootState) -> None:
        if state != self._state:
            self._deliver([state])
            self._state = state

    # ------------------------------------------------------------ walks
    def _full(self, identity: tuple[int, int], *, periodic: bool) -> None:
        clock, began = self._sources.clock, self._sources.clock.monotonic()
        silent = periodic and self._scanned and self._native()
        seen = self._passes.full(silent=silent)
        same = seen.ended and self._sources.files.identity(self.folder.input) == identity
        walked = Walked(seen.files, seen.known, lambda: self._passes.lost(seen))
        believed = same and self._trust.believe(identity, walked)
        if believed:
            self._passes.conclude(seen, full=True)
        self._trouble(seen, doubted=same and not believed)
        if same and not self._sources.observe.covers(self.folder.name, len(seen.marks)):
            self._online()
        complete = believed and not seen.failed
        seconds = clock.monotonic() - began
        missed = self._unannounced(self.folder.name)
        unsure = missed > 0 or not complete
        if not self._native():
            self._passes.forget()  # all passes will be full
        self._next_pass = clock.monotonic() + self._interval(seconds, unsure=unsure)
        self._next_full = clock.monotonic() + self._patience(seconds, unsure=unsure)
        self._whole = identity if complete else None
        self._scanned = self._scanned or same
        self._deliver([ScanDone(self.folder.name, complete, seconds, seen.files, missed)])

    def _quick_will_do(self, identity: tuple[int, int]) -> bool:
        """Whether the last full pass was complete, of this root, and not too long ago."""
        early = self._sources.clock.monotonic() < self._next_full
        return early and self._native() and self._scanned and identity == self._whole

    def _native(self) -> bool:
        return self._state is not None and self._state.native

    def _quick(self, identity: tuple[int, int]) -> None:
        """What the watch should have told of, without a look at every file."""
        clock, began = self._sources.clock, self._sources.clock.monotonic()
        seen = self._passes.quick(silent=True)
        same = seen.ended and self._sources.files.identity(self.folder.input) == identity
        if same:
            self._passes.conclude(seen, full=False)
        if same and not self._sources.observe.covers(self.folder.name, self._passes.folders):
            self._online()
        complete = same and not seen.failed
        missed = self._unannounced(self.folder.name)
        self._next_pass = clock.monotonic() + self.folder.scan_every
        if missed or not complete:
            self._soon()
        seconds = clock.monotonic() - began
        name = self.folder.name
        self._deliver([ScanDone(name, complete, seconds, seen.files, missed, quick=True)])

    def _soon(self) -> None:
        """Let a full pass be next, and now."""
        self._next_pass = self._next_full = 0.0

    def _trouble(self, seen: Seen, *, doubted: bool) -> None:
        """Tell what this walk could not see, or that it could see all again."""
        told = []
        if doubted:
            told.append("none of the files known to lie in it are there: is its disk mounted?")
        if seen.failed:
            worst = min(seen.failed)
            more = f" (and {len(seen.failed) - 1} more)" if len(seen.failed) > 1 else ""
            told.append(f"a sub-folder cannot be read: {seen.failed[worst]}{more}")
        if self._state is not None:
            self._tell(replace(self._state, trouble="; ".join(told)))

    def _interval(self, seconds: float, *, unsure: bool) -> float:
        """Seconds to the next full scan: seldom under a native watch that tells all."""
        if self._native() and not unsure:
            return self.folder.scan_every
        # soon, but at most a third of the time, however large the tree is
        return min(self.folder.scan_every, max(1.0, min(5.0, 10 * seconds), 2 * seconds))

    def _patience(self, seconds: float, *, unsure: bool) -> float:
        """Seconds to the next full pass where quick ones may come between.

        Only the watch tells of a file that is written in place; so without one, or where it has
        missed something, every pass is full. So it is where a full one takes next to nothing.
        """
        if unsure or not self._native() or seconds < self._sources.pace.brief:
            return 0.0
        return min(seconds * SELDOM, self.folder.scan_every * MOST)
