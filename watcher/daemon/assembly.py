"""Main files and their parts: waits until all that a file calls for is there and settled.

Imports ``core`` and the sightings. Invariant: an asset leaves once, complete or with the names it
lacks; a main file that changes while it waits goes back to settle anew.
"""

from __future__ import annotations

import posixpath
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from watcher.core import assets
from watcher.core.model import Asset, Facts, Lease, Part
from watcher.core.ports import Clock, Files
from watcher.core.settings import Folder, Rule
from watcher.core.settle import Again, Candidate, Hint, Settled, judge, same
from watcher.daemon.candidates import Key
from watcher.daemon.sightings import Arrival, Fault, Sighting
from watcher.errors import FileError, OutsideRoot

SHORTEST = 0.2  # seconds between two tries without an event
LONGEST = 10.0
RETRY = 1.0  # seconds after a file could not be read


@dataclass(slots=True)
class Waiting:
    """One main file that waits. Times are monotonic; ``gates`` remembers looks at its parts."""

    folder: Folder
    path: str
    facts: Facts
    rule: Rule
    since: float
    at: float
    gates: dict[str, Candidate] = field(default_factory=dict)
    settled: dict[str, Facts] = field(default_factory=dict)
    findings: dict[str, tuple[Facts, assets.Findings]] = field(default_factory=dict)


class Assembly:
    """A thread of its own, since a main file of many GB is read through for its references."""

    def __init__(
        self,
        files: Files,
        clock: Clock,
        deliver: Callable[[list[Sighting]], None],
        unsettled: Callable[[Key], None],
    ) -> None:
        self._files = files
        self._clock = clock
        self._deliver = deliver
        self._unsettled = unsettled
        self._inbox: queue.Queue[Waiting | Key | None] = queue.Queue()
        self._waiting: dict[Key, Waiting] = {}
        self._thread = threading.Thread(target=self._run, name="watcher-assembly", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; what waits is found again by the scan after the next start."""
        self._inbox.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def take(self, folder: Folder, path: str, facts: Facts, rule: Rule) -> None:
        """A main file has settled."""
        now = self._clock.monotonic()
        self._inbox.put(Waiting(folder, path, facts, rule, now, now))

    def hinted(self, key: Key) -> None:
        """Something happened at a path: those that wait beside or above it look again."""
        if self._waiting or self._inbox.qsize():
            self._inbox.put(key)

    def holds(self, key: Key) -> bool:
        """Whether this main file waits for its parts."""
        return key in self._waiting

    def above(self, folder: str, path: str) -> bool:
        """Whether a main file waits that may yet call for this path."""
        if self._inbox.unfinished_tasks:
            return True
        waiting = tuple(self._waiting)
        return any(name == folder and may_call_for(main, path) for name, main in waiting)

    def busy(self, folder: str = "") -> bool:
        """Whether anything waits (in a folder)."""
        waiting = tuple(self._waiting)
        return self._inbox.unfinished_tasks > 0 or any(
            not folder or name == folder for name, _ in waiting
        )

    # ------------------------------------------------------------ loop
    def _run(self) -> None:
        while self._receive():
            now = self._clock.monotonic()
            for key, waiting in [(k, w) for k, w in self._waiting.items() if w.at <= now]:
                self._guarded(key, waiting)

    def _receive(self) -> bool:
        """Wait for news or the next try; False at the end."""
        times = [waiting.at for waiting in self._waiting.values()]
        wait = max(0.0, min(times) - self._clock.monotonic()) if times else None
        try:
            news = self._inbox.get(timeout=wait)
        except queue.Empty:
            return True
        while True:
            if news is None:
                return False
            self._note(news)
            self._inbox.task_done()
            try:
                news = self._inbox.get_nowait()
            except queue.Empty:
                return True

    def _note(self, news: Waiting | Key) -> None:
        if isinstance(news, Waiting):
            key = (news.folder.name, news.path)
            old = self._waiting.get(key)
            if old is None or not same(old.facts, news.facts):
                self._waiting[key] = news
            return
        folder, path = news
        for waiting in self._waiting.values():
            beside = posixpath.dirname(waiting.path)
            if waiting.folder.name == folder and (not beside or path.startswith(f"{beside}/")):
                waiting.at = 0.0

    def _guarded(self, key: Key, waiting: Waiting) -> None:
        try:
            done = self._try(waiting)
        except FileError:
            done = self._hindered(waiting)
        except Exception as error:  # noqa: BLE001  (one bad file must not end the thread)
            done = self._hand(waiting, Fault(*key, f"{type(error).__name__}: {error}"))
        if done:
            self._waiting.pop(key, None)

    def _hindered(self, waiting: Waiting) -> bool:
        """A file cannot be read: patience until the deadline, unless it had that already."""
        now = self._clock.monotonic()
        spent = waiting.facts.lease is Lease.UNREADABLE
        if spent or now >= waiting.since + waiting.rule.wait_for_parts:
            # it arrives all the same, and fails with the reason that reading it gives
            facts = waiting.facts.fingerprint
            asset = Asset(
                waiting.folder.name, waiting.path, facts, cut=True, rule=waiting.rule.name
            )
            return self._hand(waiting, Arrival(asset))
        waiting.at = now + RETRY
        return False

    # ------------------------------------------------------------ one try
    def _try(self, waiting: Waiting) -> bool:
        now = self._clock.monotonic()
        found = self._look(waiting, waiting.path)
        if found is None or found.lease is Lease.REFUSED or not same(found, waiting.facts):
            self._unsettled((waiting.folder.name, waiting.path))
            return True
        closed = assets.closure(
            waiting.path,
            lambda path: self._read(waiting, path),
            lambda directory, name: self._find(waiting, directory, name),
        )
        times = [at for path in closed.found.values() if (at := self._gate(waiting, path, now))]
        deadline = waiting.since + waiting.rule.wait_for_parts
        if times or (closed.missing and now < deadline):
            patience = min(LONGEST, max(SHORTEST, (now - waiting.since) / 2))
            waiting.at = min([*times, now + patience, max(deadline, now + SHORTEST)])
            return False
        return self._hand(waiting, Arrival(_asset(waiting, closed)))

    def _hand(self, waiting: Waiting, sighting: Sighting) -> bool:
        """Whether the receiver took it; if not, the file waits and is tried once more."""
        try:
            self._deliver([sighting])
        except Exception:  # noqa: BLE001  (the receiver's fault: it must end neither file nor thread)
            waiting.at = self._clock.monotonic() + RETRY
            return False
        return True

    def _look(self, waiting: Waiting, path: str) -> Facts | None:
        return self._files.look(waiting.folder.input, path)

    def _gate(self, waiting: Waiting, path: str, now: float) -> float | None:
        """When to look at a part again; None when it has settled."""
        look = self._look(waiting, path)
        before = waiting.settled.get(path)
        if look is not None and before is not None and same(look, before):
            return None
        verdict = judge(
            waiting.gates.get(path), look, now=now, settle=waiting.folder.settle, hint=Hint.SCAN
        )
        waiting.settled.pop(path, None)
        if isinstance(verdict, Settled):
            waiting.settled[path] = verdict.facts
            return None
        if isinstance(verdict, Again):
            waiting.gates[path] = verdict.candidate
            return verdict.at
        return now + SHORTEST

    def _read(self, waiting: Waiting, path: str) -> assets.Findings:
        """The findings of a path, read again only when the file has changed."""
        if not assets.has_references(path):
            return assets.Findings()
        facts = self._look(waiting, path)
        known = waiting.findings.get(path)
        if facts is None:
            return assets.Findings()
        if known is not None and same(facts, known[0]):
            return known[1]
        with self._files.open(waiting.folder.input, path) as stream:
            findings = assets.references(path, stream)
        waiting.findings[path] = (facts, findings)
        return findings

    def _find(self, waiting: Waiting, directory: str, name: str) -> str | None:
        try:
            return self._files.find(waiting.folder.input, directory, name)
        except OutsideRoot:
            return None


def may_call_for(main: str, path: str) -> bool:
    """Whether ``path`` is beside or below a main file that refers to others."""
    beside = posixpath.dirname(main)
    return main != path and (not beside or path.startswith(f"{beside}/"))


def _asset(waiting: Waiting, closed: assets.Closure) -> Asset:
    parts = tuple(
        Part(path, name, waiting.settled[path].fingerprint)
        for name, path in sorted(closed.found.items())
    )
    return Asset(
        waiting.folder.name,
        waiting.path,
        waiting.facts.fingerprint,
        parts,
        closed.missing,
        closed.warnings,
        closed.cut,
        waiting.rule.name,
    )
