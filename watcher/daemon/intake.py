"""From "something happened" to a settled asset, for all folders.

Imports ``core``, the observe adapter and its neighbours. Invariant: hints, scans and the files
found at start take one road, through ``judge``; nothing is remembered here that a scan would not
find again.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from watcher.adapters.observe import Look, Observe
from watcher.core import bundles, companions, rules
from watcher.core.bundles import Unit
from watcher.core.model import Asset, Facts
from watcher.core.ports import Clock, Files, Ledger
from watcher.core.settings import Folder
from watcher.core.settle import Again, Gone, Hint, judge
from watcher.daemon.assembly import Assembly, may_call_for, wants_more
from watcher.daemon.candidates import Candidates, Key, Pending
from watcher.daemon.collect import Collector
from watcher.daemon.members import Members
from watcher.daemon.passes import Found, Receivers
from watcher.daemon.roots import Roots
from watcher.daemon.scan import Pace, Scan, Sources
from watcher.daemon.sightings import Arrival, Fault, Refusal, Sighting
from watcher.errors import FileError, FolderOffline

BATCH = 512  # candidates looked at, or hints taken, in one go
ROOM = 10_000  # candidates at which scans wait
# Words of the watch that wait, at which more are not kept: a scan finds again what they told, and
# 100,000 files that are dropped at once take no memory before their turn.
HEARD = 8192
TICK = 0.5
IDLE = 5.0
STOP_WITHIN = 10.0  # seconds

Deliver = Callable[[Sequence[Sighting]], None]


class Load:
    """A number that several threads change."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """So many more, or fewer."""
        with self._lock:
            self.total += count


class Intake:
    """Watches, scans and settles.

    Args:
        folders: what to watch.
        files: the file system.
        ledger: asked what is known.
        clock: its monotonic side decides.
        deliver: gets every sighting, in batches, from any thread but one call at a time; what it
            raises on comes again.
        pace: how patient the scans are.
        roots: what earlier lives knew of the roots.
    """

    def __init__(
        self,
        folders: Sequence[Folder],
        files: Files,
        ledger: Ledger,
        *,
        clock: Clock,
        deliver: Deliver,
        pace: Pace | None = None,
        roots: Roots | None = None,
    ) -> None:
        self._folders = {folder.name: folder for folder in folders}
        self._files = files
        self._clock = clock
        self._receiver = deliver
        self._delivering = threading.Lock()
        self._inbox: queue.Queue[Look | Found | None] = queue.Queue()
        self._candidates = Candidates()
        self._arriving = Load()  # paths that scans found, on their way to the candidates
        self._silent: Counter[str] = Counter()
        self._told: set[Key] = set()
        self._stopping = threading.Event()
        self._busy = False
        self._owed: list[Sighting] = []  # what the receiver failed to take
        self._behind = dict.fromkeys(self._folders, False)  # a scan is due: words were not kept
        self._observe = Observe(self._heard)
        self._collector = Collector(files, clock)
        self._assembly = Assembly(files, clock, self._deliver, self._unsettled)
        self._members = Members(ledger, clock, self._assembly.mains)
        sources = Sources(files, ledger, clock, self._observe, pace or Pace(), roots or Roots())
        receivers = Receivers(self._found, self._deliver)
        self._scans = {
            folder.name: Scan(folder, sources, receivers, self._unannounced) for folder in folders
        }
        self._thread = threading.Thread(target=self._run, name="watcher-intake", daemon=True)

    def start(self) -> None:
        """Watch first, then scan."""
        self._observe.start()
        self._assembly.start()
        self._thread.start()
        for scan in self._scans.values():
            scan.start()

    def stop(self, within: float = STOP_WITHIN) -> None:
        """End all threads; nothing is lost, the next start scans. However many roots hang, what
        has not ended within so many seconds is left behind."""
        until = time.monotonic() + within
        self._stopping.set()
        for scan in self._scans.values():
            scan.stop()
        self._assembly.stop()
        self._inbox.put(None)
        self._observe.stop()
        scanning = (scan.thread for scan in self._scans.values())
        for thread in (*scanning, self._assembly.thread, self._thread):
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))

    def alive(self) -> bool:
        """Whether every thread of intake runs; False is a fault that only a restart mends."""
        threads = [self._assembly.alive(), *(scan.alive() for scan in self._scans.values())]
        return self._thread.is_alive() and all(threads)

    def nudge(self, folder: str, path: str) -> None:
        """Look at one path now, known or not."""
        self._inbox.put(Look(folder, path, Hint.CLOSED))

    def rescan(self, folder: str = "") -> None:
        """Scan a root now; all of them without a name."""
        for name, scan in self._scans.items():
            if folder in ("", name):
                scan.ask()

    def may_need(self, folder: str, path: str) -> bool:
        """Whether a main file that is not accepted yet may call for this path."""
        if self._assembly.above(folder, path):
            return True
        return any(may_call_for(one, path) for one in self._candidates.mains(folder))

    def idle(self, folder: str = "") -> bool:
        """Whether nothing is in the air: no hint, candidate, waiting asset or scan, and every
        online root (or this one) was scanned completely once. Offline roots do not count."""
        return self._quiet(folder) and self._quiet(folder)

    def parked(self) -> int:
        """How many units wait for a marker that somebody must write."""
        return self._assembly.parked()

    def behind(self) -> bool:
        """Whether the watch told more than could be kept, and a scan for it is due."""
        return any(self._behind.values())

    def __len__(self) -> int:
        """How many files are settling."""
        return len(self._candidates)

    def _quiet(self, folder: str) -> bool:
        if not all(scan.idle() for name, scan in self._scans.items() if folder in ("", name)):
            return False
        if self._inbox.unfinished_tasks or self._busy or self.behind():
            return False
        settling = folder in self._candidates.folders() if folder else len(self._candidates) > 0
        return not settling and not self._assembly.busy(folder)

    # ------------------------------------------------------------ what others hand in
    def _deliver(self, sightings: Sequence[Sighting]) -> None:
        with self._delivering:
            self._receiver(sightings)

    def _heard(self, news: Look) -> None:
        """A word of the watch."""
        if news.hint is not None and self._inbox.qsize() >= HEARD:
            self._behind[news.folder] = True
        else:
            self._inbox.put(news)

    def _catch_up(self) -> None:
        """Scan for what was not kept, as soon as there is room for what is told meanwhile."""
        if self._inbox.qsize() < HEARD // 2:
            for name, behind in self._behind.items():
                if behind:
                    self._behind[name] = False  # before the scan begins: it may come true again
                    self._scans[name].ask()

    def _unsettled(self, key: Key) -> None:
        self._inbox.put(Look(*key, Hint.SCAN))

    def _unannounced(self, folder: str) -> int:
        return self._silent.pop(folder, 0)

    def _found(self, found: Found) -> None:
        """Take what a scan found; the scan waits while there is no room."""
        while self._crowded() and not self._stopping.wait(TICK / 10):
            pass
        self._arriving.add(len(found.paths))
        self._inbox.put(found)

    def _crowded(self) -> bool:
        return len(self._candidates) + self._arriving.total > ROOM

    # ------------------------------------------------------------ loop
    def _run(self) -> None:
        while not self._stopping.is_set():
            self._receive()
            self._busy = True
            self._catch_up()
            if not self._owed:
                due = self._candidates.due(self._clock.monotonic(), BATCH)
                self._owed += [told for one in due if (told := self._guarded(*one))]
            self._busy = not self._handed_over()

    def _handed_over(self) -> bool:
        """Whether the receiver has taken all; if not, it gets the same once more after a while.

        A scan would not do instead: it never tells of a known file that somebody nudged.
        """
        try:
            if self._owed:
                self._deliver(self._owed)
        except Exception:  # noqa: BLE001  (the receiver's fault)
            self._stopping.wait(TICK)
            return False
        self._owed = []
        return True

    def _receive(self) -> None:
        """Take hints, or wait for one until the next look is due."""
        at = self._candidates.next_at()
        # whatever is to be done comes through the inbox, or is due at a known time
        idle = TICK if self._owed else IDLE
        wait = idle if at is None else max(0.0, min(TICK, at - self._clock.monotonic()))
        for _ in range(BATCH):
            try:
                news = self._inbox.get(timeout=wait) if wait else self._inbox.get_nowait()
            except queue.Empty:
                return
            wait = 0.0
            self._note(news)
            self._inbox.task_done()

    def _note(self, news: Look | Found | None) -> None:
        now = self._clock.monotonic()
        if isinstance(news, Found):
            self._arriving.add(-len(news.paths))
            for path in news.paths:
                key = (news.folder, path)
                if not self._assembly.holds(key):
                    self._candidates.hinted(key, Hint.SCAN, now=now, silent=news.silent)
        elif news is not None and news.folder in self._folders:
            self._looked_for(news, now)

    def _looked_for(self, news: Look, now: float) -> None:
        if news.path and rules.ignored(self._folders[news.folder], news.path) is not None:
            return
        key = (news.folder, news.path)
        if news.hint is None:
            self._scans[news.folder].ask(news.path, twice=bool(news.path))
        else:
            self._candidates.hinted(key, news.hint, now=now)
        self._assembly.hinted(key)

    # ------------------------------------------------------------ one candidate
    def _guarded(self, key: Key, pending: Pending) -> Sighting | None:
        try:
            return self._look(key, pending)
        except FolderOffline:
            self._candidates.drop(key)
            self._scans[key[0]].ask()
        except FileError as error:
            self._candidates.drop(key)
            return self._refuse(key, str(error))
        except Exception as error:  # noqa: BLE001  (one bad file must not end the thread)
            self._candidates.drop(key)
            return Fault(*key, f"{type(error).__name__}: {error}")
        return None

    def _look(self, key: Key, pending: Pending) -> Sighting | None:
        folder = self._folders[key[0]]
        verdict = judge(
            pending.memory,
            self._files.look(folder.input, key[1]),
            now=self._clock.monotonic(),
            settle=folder.settle,
            hint=pending.hint,
        )
        if isinstance(verdict, Again):
            self._candidates.again(key, verdict.candidate, verdict.at)
            return None
        self._candidates.drop(key)
        if isinstance(verdict, Gone):
            return None
        return self._settled(folder, key, verdict.facts, silent=pending.silent)

    def _settled(self, folder: Folder, key: Key, facts: Facts, *, silent: bool) -> Sighting | None:
        """A file is complete: an arrival, or news of the unit that it belongs to."""
        if companions.of(folder, key[1]):
            self._point(folder, key[1])
            return None
        unit = bundles.taker(folder, key[1], self._collector.seen(folder, key[1], facts))
        if not isinstance(unit, Unit):
            return None
        own = unit.anchor == key[1]
        if not own and self._members.known((folder.name, unit.anchor), key[1], facts.fingerprint):
            return None
        self._silent[folder.name] += silent and not unit.lone
        if wants_more(unit):
            self._assembly.take(folder, unit, facts if own else None)
            return None
        return Arrival(Asset(folder.name, key[1], facts.fingerprint, rule=unit.rule.name))

    def _point(self, folder: Folder, path: str) -> None:
        """A sidecar came: what it speaks of is looked at once more."""
        main = companions.sidecar_of(folder, path)
        try:
            there = bool(main) and self._files.look(folder.input, main) is not None
        except FileError:  # it speaks of a folder, whose files wait and have heard of it
            there = False
        if there:
            self._candidates.hinted((folder.name, main), Hint.SCAN, now=self._clock.monotonic())

    def _refuse(self, key: Key, reason: str) -> Refusal | None:
        if key in self._told or not bundles.wanted(self._folders[key[0]], key[1], 0):
            return None
        self._told.add(key)
        return Refusal(*key, reason)
