"""Units of work that wait: until all that belongs to them is there, settled, and at rest.

Imports ``core``, ``collect`` and the sightings. Invariant: an asset leaves once, complete or with
the names it lacks; a main file that changes while it waits goes back to settle anew.
"""

from __future__ import annotations

import posixpath
import queue
import threading
from collections.abc import Callable

from watcher.core import assets, bundles
from watcher.core.bundles import Unit
from watcher.core.model import Asset, Facts, Lease, Part, printable
from watcher.core.ports import Clock, Files
from watcher.core.rules import refusal
from watcher.core.settings import Folder, Rule
from watcher.core.settle import Again, Hint, Settled, judge, same
from watcher.daemon import sidecars
from watcher.daemon.candidates import Key
from watcher.daemon.collect import Collected, Collector
from watcher.daemon.sightings import Arrival, Fault, Sighting
from watcher.daemon.waiting import Waiting, alike, unchanged
from watcher.errors import Denied, FileError

SHORTEST = 0.2  # seconds between two tries without an event
LONGEST = 10.0
RETRY = 1.0  # seconds after a file could not be read
PAUSE = 0.25  # seconds between two tries of a folder or sequence, whatever happens in it
REST = 3.0  # seconds, at least, without any change after which a folder or sequence is whole


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
        self._collector = Collector(files, clock)
        self.mains: dict[Key, str] = {}  # of the units that were handed over
        self._inbox: queue.Queue[Waiting | Key | None] = queue.Queue()
        self._waiting: dict[Key, Waiting] = {}
        self.thread = threading.Thread(target=self._run, name="watcher-assembly", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def stop(self) -> None:
        """End soon, as a scan; what waits is found again by the scan after the next start."""
        self._inbox.put(None)

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self.thread.is_alive()

    def take(self, folder: Folder, unit: Unit, facts: Facts | None = None) -> None:
        """A file of a unit has settled; ``facts`` where it is the main file that names it."""
        now = self._clock.monotonic()
        self._inbox.put(Waiting(folder, unit, facts, now, now, now))

    def hinted(self, key: Key) -> None:
        """Something happened at a path: those that wait beside or above it look again."""
        if self._waiting or self._inbox.qsize():
            self._inbox.put(key)

    def holds(self, key: Key) -> bool:
        """Whether this main file waits for its parts."""
        return key in self._waiting

    def above(self, folder: str, path: str) -> bool:
        """Whether a unit waits that may yet call for this path."""
        if self._inbox.unfinished_tasks:
            return True
        waiting = tuple(self._waiting.items())
        return any(
            name == folder and not one.parked and may_call_for(main, path)
            for (name, main), one in waiting
        )

    def busy(self, folder: str = "") -> bool:
        """Whether anything waits (in a folder) that time alone brings to its end."""
        waiting = tuple(self._waiting.items())
        return self._inbox.unfinished_tasks > 0 or any(
            not one.parked for (name, _), one in waiting if folder in ("", name)
        )

    def parked(self) -> int:
        """How many units wait for a marker that somebody must write."""
        return sum(one.parked for one in tuple(self._waiting.values()))

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
            key = (news.folder.name, news.unit.anchor)
            old = self._waiting.get(key)
            if old is None or not unchanged(old, news):
                self._waiting[key] = news
            else:
                old.at = min(old.at, max(news.at, old.tried + PAUSE))
            return
        folder, path = news
        for waiting in self._waiting.values():
            if waiting.folder.name == folder and may_call_for(waiting.unit.anchor, path):
                waiting.at = waiting.tried + PAUSE if waiting.grows else 0.0

    def _guarded(self, key: Key, waiting: Waiting) -> None:
        try:
            done = self._try(waiting)
        except FileError as error:
            done = self._hindered(waiting, error)
        except Exception as error:  # noqa: BLE001  (one bad file must not end the thread)
            done = self._hand(waiting, Fault(*key, f"{type(error).__name__}: {error}"))
        if done and self._waiting.get(key) is waiting:
            self._waiting.pop(key)

    def _hindered(self, waiting: Waiting, error: FileError) -> bool:
        """A file cannot be read: patience until the deadline, unless it had that already."""
        now = self._clock.monotonic()
        facts = waiting.facts
        spent = facts is not None and facts.lease is Lease.UNREADABLE
        if facts is None or not (spent or now >= waiting.since + waiting.rule.wait_for_parts):
            waiting.at = now + RETRY
            return False
        name, path, rule = waiting.folder.name, waiting.unit.anchor, waiting.rule.name
        if isinstance(error, Denied) and error.where != printable(path):
            # a part that we may not read lacks as one that is not there
            asset = Asset(name, path, facts.fingerprint, missing=(str(error),), rule=rule)
        else:
            # it arrives all the same, and fails with the reason that reading it gives
            asset = Asset(name, path, facts.fingerprint, cut=True, rule=rule)
        return self._hand(waiting, Arrival(asset))

    # ------------------------------------------------------------ one try
    def _try(self, waiting: Waiting) -> bool:
        waiting.tried = self._clock.monotonic()
        if waiting.facts is not None:
            found = self._look(waiting, waiting.unit.anchor)
            if found is None or found.lease is Lease.REFUSED or not same(found, waiting.facts):
                self._unsettled((waiting.folder.name, waiting.unit.anchor))
                return True
        if waiting.unit.lone:
            return self._try_lone(waiting)
        found_now = self._collector.collect(
            waiting.folder, waiting.unit, lambda path: self._read(waiting, path)
        )
        if found_now is None:
            return self._released(waiting)
        return self._assembled(waiting, found_now)

    def _assembled(self, waiting: Waiting, found: Collected) -> bool:
        """Hand it over when it is whole; else know when to look again."""
        now = self._clock.monotonic()
        paths = (found.main, *found.paths()) if waiting.facts is None else found.paths()
        times = [at for path in paths if (at := self._gate(waiting, path, now))]
        waiting.settled = {path: waiting.settled[path] for path in paths if path in waiting.settled}
        waiting.progress(now)
        rest = self._rest(waiting, found, now) if not times else None
        times += [rest] if rest is not None else []
        waiting.parked = bool(found.awaited) and not times
        lacking = found.missing and now < waiting.deadline
        if times or lacking or found.awaited:
            patience = min(LONGEST, max(SHORTEST, (now - waiting.since) / 2))
            due = max(waiting.deadline, now + SHORTEST) if lacking else now + patience
            waiting.at = min([*times, now + patience, due])
            return False
        if waiting.unit.anchor != found.main:
            self.mains[waiting.folder.name, waiting.unit.anchor] = found.main
        return self._hand(waiting, Arrival(self._asset(waiting, found)))

    def _rest(self, waiting: Waiting, found: Collected, now: float) -> float | None:
        """When a unit that may still grow has been at rest for long enough; None when it has, or
        nothing more can come: a marker says so, or the sidecar is there."""
        if not waiting.grows or (waiting.unit.kind == "file" and found.sidecar):
            return None
        if waiting.whole is None or not alike(waiting.whole, waiting.settled):
            waiting.whole, waiting.rested = dict(waiting.settled), now
        if waiting.rule.done_file:
            return None
        rest = max(REST, 2 * waiting.folder.settle)
        stirred = self._clock.now() - found.stirred
        quiet = min(now - waiting.rested, stirred if abs(stirred) < rest else rest)
        return now + rest - quiet if quiet < rest else None

    def _hand(self, waiting: Waiting, sighting: Sighting) -> bool:
        """Whether the receiver took it; if not, the file waits and is tried once more."""
        try:
            self._deliver([sighting])
        except Exception:  # noqa: BLE001  (the receiver's fault: it must end neither file nor thread)
            waiting.at = self._clock.monotonic() + RETRY
            return False
        return True

    # ------------------------------------------------------------ what turns out otherwise
    def _try_lone(self, waiting: Waiting) -> bool:
        """A member without its main file: that file takes it along, now or until the deadline."""
        main = self._collector.main_above(waiting.folder, waiting.rule, waiting.unit.anchor)
        if main:
            self._unsettled((waiting.folder.name, main))
            return True
        now = self._clock.monotonic()
        if now < waiting.deadline:
            waiting.at = min(waiting.deadline, now + LONGEST)
            return False
        return self._go_alone(waiting, waiting.unit.anchor)

    def _released(self, waiting: Waiting) -> bool:
        """A folder that the rule does not take: its files go to the other rules."""
        if waiting.unit.kind != "folder":
            return True
        shares = self._collector.sharing(waiting.folder, waiting.unit.anchor)
        taken = [(path, rule) for path, rule in shares.items() if isinstance(rule, Rule)]
        left = [path for path, rule in taken if not self._one(waiting, path, rule)]
        return not left

    def _go_alone(self, waiting: Waiting, path: str) -> bool:
        folder, rule = waiting.folder, waiting.rule
        facts = self._look(waiting, path)
        if facts is None:
            return True
        seen = self._collector.seen(folder, path, facts)
        other = bundles.after(folder, rule, path, seen)
        if isinstance(other, Rule):
            return self._one(waiting, path, other)
        if refusal(rule.match, path, seen) is not None:
            return True  # nobody asked for it
        lacking = rule.bundle.main if rule.bundle is not None else ()
        asset = Asset(folder.name, path, facts.fingerprint, missing=lacking, rule=rule.name)
        return self._hand(waiting, Arrival(asset))

    def _one(self, waiting: Waiting, path: str, rule: Rule) -> bool:
        """One file by itself, for a rule that is known."""
        facts = self._look(waiting, path)
        if facts is None:
            return True
        if self._gate(waiting, path, self._clock.monotonic()) is not None:
            waiting.at = self._clock.monotonic() + SHORTEST
            return False
        unit = Unit(rule, bundles.anchor(rule, path), lone=bundles.lone(rule, path))
        if unit.lone and self._collector.main_above(waiting.folder, rule, path):
            return True  # its main file is one of these as well, and takes it along
        if wants_more(unit):
            self.take(waiting.folder, unit, facts if unit.anchor == path else None)
            return True
        asset = Asset(waiting.folder.name, path, facts.fingerprint, rule=rule.name)
        return self._hand(waiting, Arrival(asset))

    # ------------------------------------------------------------ looking
    def _look(self, waiting: Waiting, path: str) -> Facts | None:
        return self._files.look(waiting.folder.input, path)

    def _gate(self, waiting: Waiting, path: str, now: float) -> float | None:
        """When to look at a file of the unit again; None when it has settled."""
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

    def _asset(self, waiting: Waiting, found: Collected) -> Asset:
        named = [*sorted(found.parts.items()), *(("", path) for path in found.companions)]
        parts = tuple(Part(path, name, waiting.settled[path].fingerprint) for name, path in named)
        main = waiting.facts or waiting.settled[found.main]
        params, fault = sidecars.read(self._files, waiting.folder, waiting.rule, found.sidecar)
        return Asset(
            waiting.folder.name,
            found.main,
            main.fingerprint,
            parts,
            found.missing,
            found.warnings,
            found.cut,
            waiting.rule.name,
            whole=waiting.grows,
            params=params,
            fault=fault,
        )


def wants_more(unit: Unit) -> bool:
    """Whether more than a settled main file may belong to a unit."""
    rule = unit.rule
    if rule.bundle is not None or rule.done_file or rule.allow:
        return True
    return assets.has_references(unit.anchor) and any(job.process != "pass" for job in rule.jobs)


def may_call_for(main: str, path: str) -> bool:
    """Whether ``path`` is beside or below a main file (or a folder) that may need it."""
    beside = posixpath.dirname(main)
    return main != path and (not beside or path.startswith(f"{beside}/"))
