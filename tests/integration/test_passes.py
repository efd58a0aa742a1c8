"""Full and quick passes over real files, against a real ledger."""

import os
import shutil
import time

import pytest

from tests import build
from watcher.adapters.files import LocalFiles
from watcher.adapters.files.look import PIECE
from watcher.adapters.ledger import open_ledger
from watcher.core.model import FileRecord, FileState, Fingerprint
from watcher.core.ports import Listing, NewFile, SaveFile
from watcher.daemon.compare import Comparison
from watcher.daemon.passes import Passes, Receivers
from watcher.daemon.sightings import Absent, Refusal

DEADLINE = 30.0


class Studio:
    """A root, its ledger and what the passes told."""

    def __init__(self, place):
        self.root, self.state = place / "in", place / "state"
        self.root.mkdir()
        self.state.mkdir()
        self.ledger = open_ledger(self.state, read_only=False)
        self.found, self.told = [], []
        receivers = Receivers(lambda one: self.found.extend(one.paths), self.told.extend)
        self.folder = build.folder(name="in", input=self.root, ignore=("*.bak",))
        self.passes = Passes(self.folder, LocalFiles(), self.ledger, receivers)

    def put(self, path, body=b""):
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)

    def know(self, *paths):
        """Record files as they lie there."""
        changes = []
        for path, number in zip(paths, self.ledger.new_ids(len(paths)), strict=True):
            found = (self.root / path).stat()
            mark = Fingerprint(found.st_size, found.st_mtime_ns)
            record = FileRecord(
                id=number, folder="in", path=path, arrival=1, rule="all", print=mark,
                state=FileState.DELIVERED, disposed=True,
            )  # fmt: skip
            changes.append(NewFile(record, ()))
        self.ledger.apply(changes)

    def full(self):
        return self._took(lambda: self.passes.full(silent=False), full=True)

    def quick(self):
        return self._took(lambda: self.passes.quick(silent=True), full=False)

    def _took(self, once, *, full):
        self.found.clear()
        self.told.clear()
        seen = once()
        assert seen.ended
        self.passes.conclude(seen, full=full)
        return seen

    def gone(self):
        return sorted(path for one in self.told if isinstance(one, Absent) for path in one.paths)

    def rest(self):
        """Until no folder is so young that its time may be that of a later change as well."""
        end = time.monotonic() + DEADLINE
        while not all(seen for seen in self.full().marks.values()):
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.fixture
def studio(tmp_path):
    one = Studio(tmp_path)
    yield one
    one.ledger.close()


def test_a_quick_pass_reads_only_folders_whose_names_changed(studio):
    for path in ("a/1", "a/deep/2", "b/3", "4"):
        studio.put(path)
    studio.know("a/1", "a/deep/2", "b/3", "4")
    studio.rest()
    assert studio.quick().marks == {}
    studio.put("a/deep/new")
    studio.put("a/deep/more/new")
    studio.put("a/deep/new.bak")
    seen = studio.quick()
    assert sorted(studio.found) == ["a/deep/more/new", "a/deep/new"]
    assert set(seen.marks) == {"a/deep", "a/deep/more"}


def test_what_is_not_known_yet_is_told_by_every_pass(studio):
    studio.put("a/1")
    studio.know("a/1")
    studio.put("a/2")
    studio.full()
    time.sleep(2.6)  # however old the folder's time is
    for _ in range(3):
        studio.quick()
        assert studio.found == ["a/2"]
    studio.know("a/2")
    studio.quick()
    assert studio.found == []
    assert studio.quick().marks == {}


def test_a_file_written_in_place_is_found_by_the_full_pass(studio):
    studio.put("a/1", b"one")
    studio.know("a/1")
    studio.rest()
    with (studio.root / "a/1").open("r+b") as stream:
        stream.write(b"two")
    os.utime(studio.root / "a/1", ns=(5, 5))
    studio.quick()
    assert studio.found == []
    studio.full()
    assert studio.found == ["a/1"]
    assert studio.gone() == []


def test_files_and_folders_that_are_gone_are_told_by_both_passes(studio):
    names = ("a/1", "a/2", "b/c/3", "b/4")
    for path in names:
        studio.put(path)
    studio.know(*names)
    studio.rest()
    (studio.root / "a/2").unlink()
    shutil.rmtree(studio.root / "b")
    for once in (studio.quick, studio.quick, studio.full, studio.full):
        once()
        assert studio.gone() == ["a/2", "b/4", "b/c/3"]
        assert studio.found == []


def test_a_folder_moved_over_another_of_the_same_names_is_read(studio):
    for path in ("a/1", "aside/1"):
        studio.put(path, path.encode())
    studio.know("a/1", "aside/1")
    studio.rest()
    shutil.rmtree(studio.root / "a")
    (studio.root / "aside").rename(studio.root / "a")
    studio.quick()
    assert (studio.found, studio.gone()) == (["a/1"], ["aside/1"])


def test_a_folder_that_became_a_link_is_refused_and_its_files_are_gone(studio):
    studio.put("a/1")
    studio.know("a/1")
    studio.rest()
    (studio.root / "a").rename(studio.root.parent / "elsewhere")
    (studio.root / "a").symlink_to(studio.root.parent / "elsewhere")
    seen = studio.quick()
    assert "a" in seen.failed
    assert [one.path for one in studio.told if isinstance(one, Refusal)] == ["a"]


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_large_folder_is_compared_in_pieces(studio, extra):
    names = [f"d/f{number:05}" for number in range(PIECE + extra)]
    for name in names:
        studio.put(name)
    studio.put("d/deep/x")
    studio.know(*names[2:], "d/deep/x")
    (studio.root / names[-1]).unlink()
    studio.put(names[-2], b"changed")
    seen = studio.full()
    assert sorted(studio.found) == [*names[:2], names[-2]]
    assert studio.gone() == [names[-1]]
    assert seen.files == len(names)
    assert seen.known == len(names) - 2
    assert seen.marks["d"] == 0


def pieces(*rows):
    last = len(rows) - 1
    return [Listing("d", one, more=index < last) for index, one in enumerate(rows)]


@pytest.mark.parametrize("large", [0, 100])
def test_pieces_are_compared_alike_however_many_files_are_known(studio, large):
    for name in "abcde":
        studio.put(f"d/{name}")
    studio.know(*(f"d/{name}" for name in "abcd"))
    rows = {row[0]: row for row in studio.ledger.known("in", "d")}
    new, changed = ("e", 0, 1), ("b", 9, 9)
    comparison = Comparison(studio.ledger, "in", "d", large=large)
    told = [
        [tuple(one) for one in comparison.other(listing)]
        for listing in pieces((rows["a"], changed), (rows["c"],), (new,))
    ]
    assert told == [[changed], [], [new]]
    assert (comparison.met, comparison.lacking) == (3, True)
    comparison = Comparison(studio.ledger, "in", "d", large=large)
    for listing in pieces((rows["a"], changed), (rows["c"], rows["d"])):
        comparison.other(listing)
    assert (comparison.met, comparison.lacking) == (4, False)


def test_what_is_recorded_between_two_pieces_is_no_news(studio):
    for name in "abc":
        studio.put(f"d/{name}")
    studio.know("d/a")
    rows = [(name, 0, (studio.root / "d" / name).stat().st_mtime_ns) for name in "abc"]
    comparison = Comparison(studio.ledger, "in", "d")
    first, second = pieces((rows[0],), (rows[1], rows[2]))
    assert comparison.other(first) == []
    studio.know("d/b")
    assert [one.name for one in comparison.other(second)] == ["c"]


def test_a_record_that_ends_is_no_longer_known(studio):
    studio.put("a")
    studio.know("a")
    (record,) = (work.file for work in studio.ledger.files())
    ended = record._replace(live=False, version=record.version + 1)
    studio.ledger.apply([SaveFile(record, ended)])
    studio.full()
    assert studio.found == ["a"]


def test_a_file_that_became_something_else_is_not_taken_for_gone(studio):
    studio.put("a/1")
    studio.know("a/1")
    (studio.root / "a/1").unlink()
    os.mkfifo(studio.root / "a/1")
    assert studio.full().lacking == ["a"]
    assert studio.gone() == []
    assert [one.path for one in studio.told if isinstance(one, Refusal)] == ["a/1"]


def test_a_pass_that_is_stopped_concludes_nothing_and_leaves_no_marks(studio):
    studio.put("a/1")
    studio.passes.stop()
    assert not studio.passes.full(silent=False).ended
    assert studio.passes.folders == 0


def test_ignored_folders_are_not_entered_when_they_are_asked_for(studio):
    studio.put("x.bak/1")
    assert studio.passes.full("x.bak", silent=False).ended
    assert studio.found == []
