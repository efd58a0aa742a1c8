"""A whole daemon in memory, single-threaded: the real engine and effects over the fakes.

Nothing happens by itself: a test performs effects in the order it likes, drops their outcomes,
moves the clock, kills the engine and starts another on the same ledger.
"""

from __future__ import annotations

import io
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests import build
from tests.fakes.backend import FakeBackend, Plan
from tests.fakes.clock import FakeClock
from tests.fakes.files import Died, FailingFiles, MemoryFiles
from tests.fakes.ledger import MemoryLedger
from watcher import content
from watcher.core.effects import Outcome, Silent, Told
from watcher.core.model import Asset, Fetched, FileState, Work
from watcher.core.settings import Folder, Rule
from watcher.daemon.books import Outside
from watcher.daemon.effects import perform
from watcher.daemon.engine import Engine
from watcher.daemon.sightings import Absent, Arrival
from watcher.daemon.world import World
from watcher.errors import Unreachable

LONGEST = 400  # rounds in which everything must have come to its end


class Farm(FakeBackend):
    """A scheduler whose output tells its input, and which counts every run of a content."""

    def __init__(self, files: MemoryFiles, processes: tuple[str, ...]) -> None:
        super().__init__(processes=processes, put=self._into_memory)
        self._files = files
        self.runs: list[bytes] = []
        self.excused: list[bytes] = []  # runs that the plan spoiled: another one is due

    def _take(self, request: Any, plan: Plan) -> None:
        with closing(request.sources[0].open()) as stream:
            body = stream.read()
        self.runs.append(body)
        if plan.fail or plan.lose or plan.stay:
            self.excused.append(body)
        super()._take(request, replace(plan, outputs={"out.txt": made_of(body, request.process)}))

    def _into_memory(self, into: Path, name: str, made: bytes) -> Fetched:
        self._files.add(into / name, made)
        return Fetched(name, len(made), content.digest(io.BytesIO(made)))

    def knows(self, *names: str) -> None:
        """Processes that it can run from now on."""
        self._names = (*self._names, *names)

    def finish_all(self) -> None:
        """End every job that stayed."""
        for remote, job in list(self._jobs.items()):
            if job.plan.stay is not None and job.phase is job.plan.stay:
                self.finish(remote)


def made_of(body: bytes, process: str) -> bytes:
    """What a job makes of a content."""
    return body if process == "pass" else process.encode() + b" of " + body


class Rehearsal:
    """See the module."""

    def __init__(self, *rules: Rule, **keys: Any) -> None:
        self.files, self.clock, self.ledger = MemoryFiles(), FakeClock(), MemoryLedger()
        self.settings = build.settings(build.folder(*rules, **keys))
        self.folder: Folder = self.settings.folders[0]
        done = [self.folder.done] if isinstance(self.folder.done, Path) else []
        roots = [self.folder.input, self.folder.output, self.folder.failed, *done]
        for root in (*roots, self.settings.state):
            self.files.add_folder(root)
        names = {spec.process for one in self.folder.rules for spec in one.jobs} - {"pass"}
        self.farm = Farm(self.files, tuple(names))
        self.world = World(self.settings, {"default": self.farm}, self.files)
        self.troubles: list[str] = []
        self.contents = 0
        self._mounts: dict[str, Any] = {}
        self.start()

    # ------------------------------------------------------------ the daemon
    def start(self) -> None:
        """A new life of the daemon on what the last one left."""
        self.todo: list[Any] = []
        outside = Outside(
            perform=self.todo.append,
            poll=lambda name, remotes: self.todo.append((name, remotes)),
            look=lambda folder, path: self.look(path),
            may_need=lambda folder, path: False,
            changed=lambda changes: None,
            trouble=lambda where, error: self.troubles.append(f"{where}: {error}"),
        )
        self.engine = Engine(self.settings, self.ledger, self.clock, outside)
        self.engine.recover()

    def reconfigure(self, *rules: Rule, **keys: Any) -> None:
        """The daemon is started again with other rules for its folder."""
        self.settings = build.settings(build.folder(*rules, **keys))
        self.folder = self.settings.folders[0]
        names = {spec.process for one in self.folder.rules for spec in one.jobs} - {"pass"}
        self.farm.knows(*names)
        self.world = replace(self.world, settings=self.settings)
        self.start()

    def turn(self) -> None:
        """One turn of the engine, without waiting."""
        self.engine.turn(0.0)

    def do(self, index: int = 0, *, told: bool = True) -> None:
        """Perform one thing that the engine let out; ``told``: its outcome comes back."""
        what = self.todo.pop(index)
        answer = self._poll(*what) if isinstance(what, tuple) else self._outcome(what)
        if told:
            self.engine.post(answer)

    def die_in(self, index: int, step: int, *, after: bool) -> None:
        """The daemon dies in the ``step``-th thing that an effect does to the disk."""
        what = self.todo.pop(index)
        mortal = FailingFiles(self.files, at=step, after=after)
        if not isinstance(what, tuple):
            with suppress(Died):
                perform(replace(self.world, files=mortal), what)  # type: ignore[arg-type]
        self.start()

    def _outcome(self, effect: Any) -> Outcome:
        return Outcome(effect, perform(self.world, effect))

    def _poll(self, name: str, remotes: tuple[str, ...]) -> Told | Silent:
        try:
            return Told(name, remotes, self.farm.status(remotes))
        except Unreachable as error:
            return Silent(name, error)

    # ------------------------------------------------------------ the disk
    def unmount(self, root: str, *, away: bool) -> None:
        """A root goes, or is back with all that lay below it."""
        place = str(getattr(self.folder, root))
        if away:
            if root not in self._mounts:
                self._mounts[root] = self.files.nodes.pop(place)
        elif root in self._mounts:
            self.files.nodes[place] = self._mounts.pop(root)

    def drop(self, path: str, body: bytes | None = None) -> bytes:
        """A file appears in the input, with a content of its own unless given."""
        self.contents += 1
        body = b"content %d" % self.contents if body is None else body
        self.files.add(self.folder.input / path, body, mtime_ns=self.contents)
        return body

    def touch(self, path: str) -> None:
        """The same content with another time."""
        body = self.files.body(self.folder.input / path)
        if body is not None:
            self.drop(path, body)

    def look(self, path: str) -> None:
        """The intake finds a settled file, or nothing."""
        facts = None if "input" in self._mounts else self.files.look(self.folder.input, path)
        if facts is not None:
            found = Asset(self.folder.name, path, facts.fingerprint)
            self.engine.post(Arrival(found))

    def scan(self) -> None:
        """A complete scan: everything that is there, and what the ledger knows and is not."""
        if "input" in self._mounts:
            return
        (listing,) = self.files.walk(self.folder.input)
        known = {row[0]: row for row in self.ledger.known(self.folder.name, "")}
        there = {entry.name: entry for entry in listing.files}
        for name, seen in there.items():
            if known.get(name) != seen:
                self.look(name)
        gone = tuple(name for name in known if name not in there)
        if gone:
            self.engine.post(Absent(self.folder.name, gone))

    # ------------------------------------------------------------ to the end
    def finish(self) -> None:
        """Everything mended: let all come to its end, or fail saying what hangs."""
        self.farm.down, self.farm.plan = False, Plan()
        for root in ("input", "output", "failed"):
            self.unmount(root, away=False)
        for _ in range(LONGEST):
            self.farm.finish_all()
            self.scan()
            self.turn()
            while self.todo:
                self.do()
            self.turn()
            if not self.todo and self.engine.idle() and not self.ledger.requests():
                return
            self.clock.advance(30.0)
        raise AssertionError(f"hangs: {list(self.engine.books.active.works.values())}")

    def work(self, path: str = "a.step") -> Work:
        """The newest arrival of a path."""
        record = self.ledger.last_arrival(self.folder.name, path)
        assert record is not None
        found = self.ledger.work(record.id)
        assert found is not None
        return found

    def state(self, path: str = "a.step") -> FileState:
        """The state of the newest arrival of a path."""
        return self.work(path).file.state

    def below(self, root: Path) -> dict[str, bytes]:
        """All files below a root."""
        prefix = f"{root}/"
        return {
            path.removeprefix(prefix): node.body
            for path, node in self.files.nodes.items()
            if path.startswith(prefix) and node.kind == "file"
        }

    def delivered(self, body: bytes) -> bool:
        """Whether anything made of a content stands in the output folder."""
        return any(
            made_of(body, spec.process) == there
            for there in self.below(self.folder.output).values()
            for one in self.folder.rules
            for spec in one.jobs
        )

    def failed(self, body: bytes) -> bool:
        """Whether a content stands in the failed folder, beside the text that says why."""
        there = self.below(self.folder.failed)
        return any(f"{name}.error.txt" in there for name, held in there.items() if held == body)
