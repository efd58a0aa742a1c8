"""The truth about one root: walks it, compares it with the ledger, and knows if it is there.

Imports ``core``, the observe adapter and the sightings. Invariant: absence is concluded only from
a complete walk of a root that was the same folder before and after it, and each absent path was
looked for once more by name.
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from watcher.adapters.observe import Observe
from watcher.core import bundles, companions, rules
from watcher.core.ports import Clock, Entry, Files, Ledger, Listing
from watcher.core.settings import Folder
from watcher.daemon.roots import Roots, Trust, Walked
from watcher.daemon.sightings import Absent, Fault, Refusal, RootState, ScanDone, Sighting
from watcher.errors import FileError, FolderOffline, LedgerAway

ASKED = 1000  # more asked directories than this are one full scan
GROUP = 500


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a scan is, in seconds.

    ``retry``: between two looks for a root that is offline; ``tick``: between two proofs that the
    watch still hears; ``stable``: until an unexpectedly empty root is believed; ``second``: at
    least before a directory is scanned the second time.
    """

    retry: float = 2.0
    tick: float = 1.0
    stable: float = 60.0
    second: float = 0.5


@dataclass(frozen=True, slots=True)
class Sources:
    """What intake reads, and how often."""

    files: Files
    ledger: Ledger
    clock: Clock
    observe: Observe
    pace: Pace = field(default_factory=Pace)
    roots: Roots = field(default_factory=Roots)


@dataclass(frozen=True, slots=True)
class Found:
    """New or changed files of one directory; ``silent`` when a periodic scan found them."""

    folder: str
    paths: tuple[str, ...]
    silent: bool


class Scan:
    """One thread for one root, so that a root that hangs stops no other.

    Args:
        folder: the root and its rules.
        sources: where to look.
        found: gets new or changed files; may block to slow the walk down.
        deliver: gets what the engine should know.
        unannounced: gives and clears the count of files that no event had told of.
    """

    def __init__(
        self,
        folder: Folder,
        sources: Sources,
        found: Callable[[Found], None],
        deliver: Callable[[list[Sighting]], None],
        unannounced: Callable[[str], int],
    ) -> None:
        self.folder = folder
        self._sources = sources
        self._found = found
        self._deliver = deliver
        self._unannounced = unannounced
        self._asked: dict[str, float] = {"": 0.0}
        self._wake = threading.Condition()
        self._stopping = False
        self._scanning = False
        self._state: RootState | None = None
        self._scanned = False  # completely, since it came online
        self._next_full = 0.0
        self._trust = Trust(folder.input, sources.roots, sources.clock, sources.pace.stable)
        self._told: set[str] = set()
        self._thread = threading.Thread(
            target=self._run, name=f"watcher-scan-{folder.name}", daemon=True
        )

    def start(self) -> None:
        """Begin with a full scan."""
        self._thread.start()

    def stop(self) -> None:
        """End soon, also in the middle of a walk."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

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
        times = [now + self._sources.pace.tick, self._next_full, *self._asked.values()]
        return max(0.0, min(times) - now)

    def _turn(self) -> None:
        """Prove the root and its watch, then scan what is due."""
        identity = self._sources.files.identity(self.folder.input)
        known = self._state
        name = self.folder.name
        if known is None or not known.online or not self._sources.observe.hears(name):
            self._online()
        directories, full = self._due()
        if full is not None:
            self._full(identity, periodic=full)
            return
        for directory in directories:
            if self._walk(directory, silent=False).failed:
                self._next_full = 0.0  # which tells of it, and soon tries again

    def _due(self) -> tuple[list[str], bool | None]:
        """The directories to scan, and whether a full scan is due and nobody asked for it."""
        now = self._sources.clock.monotonic()
        with self._wake:
            due = [directory for directory, at in self._asked.items() if at <= now]
            for directory in due:
                del self._asked[directory]
            periodic = now >= self._next_full
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
        self._next_full = 0.0
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
        silent = periodic and self._scanned and self._state is not None and self._state.native
        seen = self._walk("", silent=silent)
        same = seen.ended and self._sources.files.identity(self.folder.input) == identity
        walked = Walked(seen.files, seen.known, lambda: self._lost_all(seen))
        believed = same and self._trust.believe(identity, walked)
        if believed:
            self._conclude(seen)
        self._trouble(seen, doubted=same and not believed)
        if same and not self._sources.observe.covers(self.folder.name, len(seen.directories)):
            self._online()
        complete = believed and not seen.failed
        seconds = clock.monotonic() - began
        missed = self._unannounced(self.folder.name)
        unsure = missed > 0 or not complete
        self._next_full = clock.monotonic() + self._interval(seconds, unsure=unsure)
        self._scanned = self._scanned or same
        self._deliver([ScanDone(self.folder.name, complete, seconds, seen.files, missed)])

    def _trouble(self, seen: _Seen, *, doubted: bool) -> None:
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
        if self._state is not None and self._state.native and not unsure:
            return self.folder.scan_every
        # soon, but at most a third of the time, however large the tree is
        return min(self.folder.scan_every, max(1.0, min(5.0, 10 * seconds), 2 * seconds))

    def _walk(self, below: str, *, silent: bool) -> _Seen:
        seen = _Seen()
        files = self._sources.files
        if self._skipped(below):
            seen.ended = True
            return seen
        walk = files.walk(
            self.folder.input, below, recursive=self.folder.recursive, skip=self._skipped
        )
        for listing in walk:
            if self._stopping:
                return seen
            seen.directories.add(listing.directory)
            if listing.error:
                seen.failed[listing.directory] = listing.error
            else:
                self._compare(listing, seen, silent=silent)
        seen.ended = True
        return seen

    def _compare(self, listing: Listing, seen: _Seen, *, silent: bool) -> None:
        """Hand over what the ledger does not know, and note what it knows and is not there."""
        known = self._sources.ledger.known(self.folder.name, listing.directory)
        prefix = f"{listing.directory}/" if listing.directory else ""
        other = [Entry._make(row) for row in listing.rows if row not in known]
        names = {entry.name for entry in other}
        changed = known.difference(listing.rows)  # or gone
        absent = [name for name, _, _ in changed if name not in names]
        seen.files += len(listing.rows)
        seen.known += len(known) - len(absent)
        seen.absent.extend(prefix + name for name in absent)
        new = [prefix + one.name for one in other if self._wanted(prefix + one.name, one.size)]
        for start in range(0, len(new), GROUP):
            self._found(Found(self.folder.name, tuple(new[start : start + GROUP]), silent))
        for name in listing.odd:
            if self._wanted(prefix + name, 0):
                self._refuse(prefix + name, "is a link, FIFO, socket or device: never read")

    def _skipped(self, directory: str) -> bool:
        """Whether nothing below a directory is ever looked at."""
        return bool(directory) and rules.ignored(self.folder, directory) is not None

    def _wanted(self, path: str, size: int) -> bool:
        if rules.ignored(self.folder, path) is not None:
            return False
        return bool(companions.of(self.folder, path)) or bundles.wanted(self.folder, path, size)

    def _refuse(self, path: str, reason: str) -> None:
        if path not in self._told:
            self._deliver([Refusal(self.folder.name, path, reason)])
            self._told.add(path)

    # ------------------------------------------------------------ absence
    def _lost_all(self, seen: _Seen) -> bool:
        """Whether files are known, and a walk that found none of them shows that."""
        return bool(seen.absent) or any(True for _ in self._unseen(seen))

    def _unseen(self, seen: _Seen) -> Iterator[str]:
        """Directories with live records that the walk proved to be gone."""
        every = self._sources.ledger.directories(self.folder.name)
        return (one for one in every if not self._skipped(one) and not seen.knows(one))

    def _conclude(self, seen: _Seen) -> None:
        self._absent(seen.absent)
        for directory in self._unseen(seen):
            prefix = f"{directory}/" if directory else ""
            known = self._sources.ledger.known(self.folder.name, directory)
            self._absent([prefix + name for name, _, _ in known])

    def _absent(self, paths: list[str]) -> None:
        gone = tuple(path for path in paths if self._is_gone(path))
        for start in range(0, len(gone), GROUP):
            self._deliver([Absent(self.folder.name, gone[start : start + GROUP])])

    def _is_gone(self, path: str) -> bool:
        """The ledger was asked after the walk, so the file may have come in between."""
        try:
            return self._sources.files.look(self.folder.input, path) is None
        except FolderOffline:
            raise
        except FileError:
            return False


class _Seen:
    """What one walk came by."""

    def __init__(self) -> None:
        self.ended = False  # came to the end of the tree
        self.failed: dict[str, str] = {}  # directories that could not be read, and why
        self.files = 0
        self.known = 0
        self.directories: set[str] = set()
        self.absent: list[str] = []

    def knows(self, directory: str) -> bool:
        """Whether the walk came by a directory, or could not see whether it is there."""
        if directory in self.directories:
            return True
        while directory:
            directory = posixpath.dirname(directory)
            if directory in self.failed:
                return True
        return False
