"""The pools that perform effects: many together, each with its own answer, whatever happens."""

from __future__ import annotations

import io
import queue

from tests import build
from tests.fakes.files import FailingFiles, MemoryFiles
from watcher.core.effects import Copy, Done, Left, Outcome, PassOn, Place, Publish, Staged, Wrong
from watcher.core.model import Fingerprint
from watcher.daemon import logs
from watcher.daemon.hands import Hands
from watcher.daemon.world import World
from watcher.errors import FileError

COUNT = 20


class Bench:
    """A folder with files to pass on, and the hands that do it."""

    def __init__(self, at: int = 0, error: BaseException | None = None) -> None:
        self.folder = build.folder(build.rule("pass"))
        self.settings = build.settings(self.folder)
        self.memory = MemoryFiles()
        for path in (self.folder.input, self.folder.output, self.settings.state):
            self.memory.add_folder(path)
        files = FailingFiles(self.memory, at, error or FileError("no"))
        self.told: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.out = io.StringIO()
        log = logs.configure(form="json", stream=self.out)
        self.hands = Hands(World(self.settings, {}, files), self.told.put, log)

    def copies(self) -> list[Copy]:
        found = []
        for number in range(COUNT):
            name = f"f{number}"
            self.memory.add(self.folder.input / name, b"x", mtime_ns=7)
            file = build.file(id=100 + number, path=name, print=Fingerprint(1, 7))
            found.append(Copy(file, build.job(id=200 + number, file_id=file.id)))
        return found

    def passings(self) -> list[PassOn]:
        return [
            PassOn(
                one.file, one.job, Place(one.job.id, name, name, 1, "", replace=False, alone=True)
            )
            for one in self.copies()
            for name in (one.file.path,)
        ]

    def publications(self) -> list[Publish]:
        done = self.perform(self.copies())
        found = []
        for outcome in done:
            assert isinstance(outcome, Outcome)
            assert isinstance(outcome.result, Staged)
            one, file, job = outcome.result.outputs[0], outcome.effect.file, outcome.effect.job
            place = Place(job.id, one.name, file.path, 1, one.digest, replace=False, alone=True)
            found.append(Publish(file, (place,)))
        return found

    def perform(self, effects):
        for effect in effects:
            self.hands.perform(effect)
        return [self.told.get(timeout=60) for _ in effects]


def test_many_are_copied_and_published():
    bench = Bench()
    outcomes = bench.perform(bench.publications())
    assert [outcome.result for outcome in outcomes] == [Done()] * COUNT
    assert all(bench.memory.body(bench.folder.output / f"f{n}") == b"x" for n in range(COUNT))
    bench.hands.close()


def test_many_are_passed_on_and_a_taken_name_is_told():
    bench = Bench()
    passings = bench.passings()
    bench.memory.add(bench.folder.output / "f3", b"theirs")
    bench.memory.take_away(bench.folder.input / "f4")
    results = {one.effect.file.path: one.result for one in bench.perform(passings)}
    assert isinstance(results.pop("f4"), Wrong)
    assert {name for name, one in results.items() if not one.named} == {"f3"}
    assert not results["f3"].tried
    assert bench.memory.body(bench.folder.output / "f5") == b"x"
    assert bench.memory.body(bench.folder.output / "f3") == b"theirs"
    bench.hands.close()


def test_a_name_that_may_have_been_given_is_told_as_such():
    bench = Bench()
    passings = bench.passings()
    files = Unsure(bench.memory)
    bench.hands.close()
    bench.hands = Hands(World(bench.settings, {}, files), bench.told.put, logs.configure())
    results = [one.result for one in bench.perform(passings)]
    assert {(one.named, one.tried) for one in results} == {(False, True)}
    bench.hands.close()


class Unsure:
    """Files whose names are given, and then the disk fails."""

    def __init__(self, memory: MemoryFiles) -> None:
        self._memory = memory

    def __getattr__(self, name):
        return getattr(self._memory, name)

    def publish_each(self, *at):
        self._memory.publish_each(*at)
        raise FileError("the disk is gone")


def test_trouble_of_the_output_is_told_for_each():
    bench = Bench()
    copies = bench.copies()
    bench.memory.take_away(bench.folder.output)
    outcomes = bench.perform(copies)
    assert all(isinstance(one.result, Wrong) and one.result.ours for one in outcomes)
    bench.hands.close()


def test_a_fault_of_the_program_is_one_file_s_and_publishes_nothing_twice():
    bench = Bench()
    publications = bench.publications()
    files = FailingFiles(bench.memory, 1, RuntimeError("a fault"), after=True)
    bench.hands.close()
    bench.hands = Hands(World(bench.settings, {}, files), bench.told.put, logs.configure())
    outcomes = bench.perform(publications)
    assert sum(isinstance(one.result, Wrong) for one in outcomes) <= 1
    assert bench.memory.body(bench.folder.output / "f0") == b"x"
    assert bench.memory.body(bench.folder.output / "f0 (2)") is None
    bench.hands.close()


def test_after_a_stop_nothing_is_begun():
    bench = Bench()
    copies = bench.copies()
    bench.hands.stop()
    assert bench.perform(copies) == [Left(effect) for effect in copies]
    bench.hands.close()
