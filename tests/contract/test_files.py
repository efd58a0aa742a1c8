"""The conformance suite of the port ``Files``: every implementation keeps the same promises."""

from __future__ import annotations

import io
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.fakes.files import Died, FailingFiles, MemoryFiles
from watcher import content
from watcher.adapters.files import LocalFiles
from watcher.core.model import Fetched, Fingerprint, Lease
from watcher.core.ports import Files, Lone, Placement
from watcher.errors import (
    FileChanged,
    FileGone,
    FolderOffline,
    NotRegular,
    OutsideRoot,
    TargetExists,
)

ESCAPES = ["../out", "/etc/passwd", "a/../../b", "a//b", "./a", "", "a/", "a\0b"]


@dataclass
class World:
    files: Files
    base: Path

    def __post_init__(self):
        self.root, self.output = self.base / "in", self.base / "out"
        self.state, self.kept = self.base / "state", self.base / "kept"
        for folder in (self.root, self.output, self.state, self.kept):
            self.folder(folder)

    def folder(self, path: Path):
        path.mkdir(parents=True)

    def home(self, path: Path) -> Path:
        self.folder(path)
        return path

    def put(self, path: Path, body: bytes = b"x"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def odd(self, path: Path):
        os.mkfifo(path)

    def body(self, path: Path) -> bytes | None:
        return path.read_bytes() if path.is_file() else None

    def take_away(self, path: Path):
        shutil.rmtree(path)

    def fingerprint(self, path: str) -> Fingerprint:
        facts = self.files.look(self.root, path)
        assert facts
        return facts.fingerprint

    def stage(self, body: bytes, target: str, *, key: str = "t") -> Placement:
        into = self.files.staging(self.output, self.state, key)
        self.put(into / "o", body)
        return Placement(into / "o", target, len(body), content.digest(io.BytesIO(body)))


class MemoryWorld(World):
    files: MemoryFiles

    def folder(self, path):
        self.files.add_folder(path)

    def put(self, path, body=b"x"):
        self.files.add(path, body, mtime_ns=self.files.inodes)

    def odd(self, path):
        self.files.add(path, b"", kind="fifo")

    def body(self, path):
        return self.files.body(path)

    def take_away(self, path):
        self.files.take_away(path)


@pytest.fixture(params=["kernel rename", "link and unlink", "memory"])
def world(request, tmp_path):
    if request.param == "memory":
        return MemoryWorld(MemoryFiles(), tmp_path)
    return World(LocalFiles(kernel=request.param == "kernel rename"), tmp_path)


# ---------------------------------------------------------------- looking
def test_a_look_tells_length_and_that_nobody_writes(world):
    world.put(world.root / "a/b.obj", b"12345")
    facts = world.files.look(world.root, "a/b.obj")
    assert (facts.size, facts.lease) == (5, Lease.FREE)


def test_a_replaced_file_has_another_inode(world):
    world.put(world.root / "a")
    before = world.files.look(world.root, "a")
    world.put(world.root / "b")
    assert world.files.look(world.root, "b").inode != before.inode


@pytest.mark.parametrize("path", ["no", "no/no", "file/no"])
def test_a_look_at_nothing_is_none(world, path):
    world.put(world.root / "file")
    assert world.files.look(world.root, path) is None


@pytest.mark.parametrize("path", ["folder", "fifo"])
def test_only_regular_files_are_looked_at_opened_or_moved(world, path):
    world.folder(world.root / "folder")
    world.odd(world.root / "fifo")
    somewhere = Fingerprint(0, 0)
    for act in (
        lambda: world.files.look(world.root, path),
        lambda: world.files.open(world.root, path),
        lambda: world.files.digest(world.root, path),
        lambda: world.files.remove(world.root, path, somewhere),
        lambda: world.files.archive(world.root, path, somewhere, world.kept, "x"),
    ):
        with pytest.raises(NotRegular):
            act()


@pytest.mark.parametrize("path", ESCAPES)
def test_no_method_takes_a_path_out_of_its_root(world, path):
    fingerprint = Fingerprint(0, 0)
    placement = replace(world.stage(b"x", "x"), target=path)
    world.put(world.root / "a")
    for act in (
        lambda: world.files.look(world.root, path),
        lambda: world.files.open(world.root, path),
        lambda: world.files.remove(world.root, path, fingerprint),
        lambda: world.files.archive(world.root, "a", world.fingerprint("a"), world.kept, path),
        lambda: world.files.publish(world.output, [placement]),
        lambda: world.files.write(world.output, path, b""),
        lambda: world.files.free_name(world.output, path),
    ):
        with pytest.raises(OutsideRoot):
            act()
    assert world.body(world.root / "a") == b"x"


def test_an_absent_root_is_offline_for_every_method(world):
    placement = world.stage(b"x", "x")
    world.take_away(world.root)
    world.take_away(world.output)
    fingerprint = Fingerprint(1, 1)
    files = world.files
    for act in (
        lambda: files.identity(world.root),
        lambda: files.look(world.root, "a"),
        lambda: list(files.walk(world.root)),
        lambda: files.open(world.root, "a"),
        lambda: files.digest(world.root, "a"),
        lambda: files.find(world.root, "", "a"),
        lambda: files.staging(world.output, world.state, "n"),
        lambda: files.staged(world.output, world.state, "n"),
        lambda: files.discard(world.output, world.state, "n"),
        lambda: files.stage_copy(world.root, "a", world.state, "n"),
        lambda: files.publish(world.output, [placement]),
        lambda: files.archive(world.root, "a", fingerprint, world.kept, "a"),
        lambda: files.remove(world.root, "a", fingerprint),
        lambda: files.write(world.root, "a", b""),
        lambda: files.free_name(world.root, "a"),
        lambda: files.space(world.root),
    ):
        with pytest.raises(FolderOffline):
            act()


def test_identity_tells_a_new_root_from_the_old_one(world):
    before = world.files.identity(world.root)
    assert world.files.identity(world.root) == before
    assert world.files.identity(world.output) != before


# ---------------------------------------------------------------- walking and finding
def test_a_walk_lists_every_folder_parents_first(world):
    for path in ("top", "a/1", "a/b/2"):
        world.put(world.root / path)
    world.odd(world.root / "a/fifo")
    found = {listing.directory: listing for listing in world.files.walk(world.root)}
    assert list(found) == ["", "a", "a/b"]
    assert [entry.name for entry in found["a"].files] == ["1"]
    assert (found["a"].folders, found["a"].odd, found["a"].error) == (("b",), ("fifo",), "")
    assert next(found[""].files).facts.lease is Lease.UNKNOWN


def test_a_walk_may_start_below_and_stay_there(world):
    world.put(world.root / "a/b/1")
    below = world.files.walk(world.root, "a", recursive=False)
    assert [(found.directory, found.folders) for found in below] == [("a", ("b",))]


def test_a_walk_names_skipped_folders_and_never_enters_them(world):
    for path in ("a/skip/1", "a/skip/deep/1", "a/b/1", "skip/1"):
        world.put(world.root / path)
    skip = {"a/skip", "a/b/none"}
    found = {one.directory: one for one in world.files.walk(world.root, skip=skip.__contains__)}
    assert set(found) == {"", "a", "a/b", "skip"}
    assert set(found["a"].folders) == {"b", "skip"}


def marked(world):
    """The marks of all folders, once none is too young for one."""
    end = time.monotonic() + 30
    while True:
        marks = {one.directory: one.mark for one in world.files.walk(world.root)}
        if all(marks.values()):
            return marks
        assert time.monotonic() < end
        time.sleep(0.1)


def test_only_folders_that_hold_other_names_have_changed(world):
    for path in ("top", "a/1", "a/b/2", "c/3"):
        world.put(world.root / path)
    marks = marked(world)
    assert list(world.files.changed(world.root, marks)) == []
    assert list(world.files.changed(world.root, {"a": 0})) == ["a"]
    world.put(world.root / "a/b/new")
    world.take_away(world.root / "c")
    assert set(world.files.changed(world.root, marks)) == {"", "a/b", "c"}


def test_missing_names_are_told(world):
    world.put(world.root / "a/1")
    world.odd(world.root / "a/odd")
    world.put(world.root / "a/b/2")
    assert world.files.missing(world.root, "a", ["1", "2", "odd", "b"]) == ["2", "odd", "b"]
    assert world.files.missing(world.root, "gone", ["1"]) == ["1"]


def test_a_folder_that_is_gone_is_walked_as_empty(world):
    (listing,) = world.files.walk(world.root, "gone")
    assert (listing.rows, listing.folders, listing.error) == ((), (), "")


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("tex/a.png", "m/tex/a.png"),
        ("TEX\\A.PNG", "m/tex/a.png"),
        ("./tex/../tex//a.png", "m/tex/a.png"),
        ("../shared/b.bin", "shared/b.bin"),
        ("caf\u00e9.mtl", "m/cafe\u0301.mtl"),
        ("STRASSE.mtl", "m/stra\u00dfe.mtl"),
        ("tex", None),
        ("no.png", None),
        ("tex/a.png/more", None),
        ("a\0b", None),
        ("x" * 300, None),
        (".", None),
    ],
)
def test_a_reference_is_found_as_it_is_really_spelled(world, reference, found):
    for path in ("m/tex/a.png", "shared/b.bin", "m/cafe\u0301.mtl", "m/stra\u00dfe.mtl"):
        world.put(world.root / path)
    assert world.files.find(world.root, "m", reference) == found


def test_the_exact_spelling_wins(world):
    for path in ("a.png", "A.png", "A.PNG"):
        world.put(world.root / path)
    assert world.files.find(world.root, "", "A.png") == "A.png"
    assert world.files.find(world.root, "", "a.PNG") == "A.PNG"


def test_folders_that_differ_in_case_are_all_searched(world):
    world.put(world.root / "tex/other.png")
    world.put(world.root / "Tex/a.png")
    assert world.files.find(world.root, "", "tex/a.png") == "Tex/a.png"


@pytest.mark.parametrize("name", ["../a", "/a", "\\a", "C:\\a", "m/../../a"])
def test_a_reference_out_of_the_root_is_refused(world, name):
    with pytest.raises(OutsideRoot):
        world.files.find(world.root, "", name)


# ---------------------------------------------------------------- staging
def test_staging_is_empty_even_after_a_crash(world):
    placement = world.stage(b"left", "x")
    assert world.files.staging(world.output, world.state, "t") == placement.staged.parent
    assert world.body(placement.staged) is None


def test_a_staging_folder_is_found_again_as_it_was_left(world):
    placement = world.stage(b"left", "x")
    place = world.files.staged(world.output, world.state, "t")
    assert place == placement.staged.parent
    assert world.body(placement.staged) == b"left"


def test_discard_removes_one_token_and_never_complains(world):
    mine, other = world.stage(b"1", "a", key="a"), world.stage(b"2", "b", key="b")
    world.files.discard(world.output, world.state, "a")
    world.files.discard(world.output, world.state, "a")
    assert (world.body(mine.staged), world.body(other.staged)) == (None, b"2")


def test_leftovers_are_the_tokens_that_are_there(world):
    assert world.files.leftovers(world.output, world.state) == ()
    world.stage(b"1", "a", key="a")
    world.stage(b"2", "b", key="b")
    world.files.discard(world.output, world.state, "a")
    assert world.files.leftovers(world.output, world.state) == ("b",)


@pytest.mark.parametrize("token", ["..", "a/b", ""])
def test_a_token_is_one_name(world, token):
    for act in (world.files.staging, world.files.staged, world.files.discard):
        with pytest.raises(OutsideRoot):
            act(world.output, world.state, token)


def test_a_copy_is_hashed_on_the_way(world):
    world.put(world.root / "m/a", b"hello")
    into = world.files.staging(world.output, world.state, "t")
    fetched = world.files.stage_copy(world.root, "m/a", into, "sub/b")
    digest = world.files.digest(world.root, "m/a")
    assert fetched == Fetched("sub/b", 5, digest)
    assert world.body(into / "sub/b") == b"hello"
    with world.files.open(world.root, "m/a") as stream:
        assert stream.read() == b"hello"


def test_a_copy_replaces_nothing_and_needs_a_source(world):
    world.put(world.root / "a")
    into = world.files.staging(world.output, world.state, "t")
    world.files.stage_copy(world.root, "a", into, "b")
    with pytest.raises(TargetExists):
        world.files.stage_copy(world.root, "a", into, "b")
    with pytest.raises(FileGone):
        world.files.stage_copy(world.root, "no", into, "c")
    assert world.body(into / "b") == b"x"


def lone(world, path, key="t"):
    return Lone(key, world.root, path, world.fingerprint(path))


def test_lone_files_are_staged_under_their_tokens(world):
    for name in ("m/a", "m/b", "c"):
        world.put(world.root / name, name.encode())
    copies = [lone(world, name, f"t{number}") for number, name in enumerate(("m/a", "m/b", "c"))]
    answers = world.files.stage_lone(world.output, world.state, copies)
    digests = [world.files.digest(world.root, name) for name in ("m/a", "m/b", "c")]
    assert answers == [
        Fetched("a", 3, digests[0]), Fetched("b", 3, digests[1]), Fetched("c", 1, digests[2])
    ]  # fmt: skip
    places = [world.files.staged(world.output, world.state, f"t{n}") for n in range(3)]
    assert [world.body(place) for place in places] == [b"m/a", b"m/b", b"c"]
    assert set(world.files.leftovers(world.output, world.state)) == {"t0", "t1", "t2"}
    world.files.discard(world.output, world.state, "t0")
    assert world.body(places[0]) is None


def test_a_lone_file_replaces_what_an_earlier_try_left(world):
    world.put(world.root / "a", b"new")
    world.stage(b"old", "x", key="t")
    for _ in range(2):
        (answer,) = world.files.stage_lone(world.output, world.state, [lone(world, "a")])
        assert isinstance(answer, Fetched)
    assert world.body(world.files.staged(world.output, world.state, "t")) == b"new"


def test_a_lone_file_that_cannot_be_staged_stops_no_other(world):
    world.put(world.root / "a")
    good = lone(world, "a", "good")
    world.odd(world.root / "fifo")
    bad = [
        replace(good, expect=Fingerprint(1, 12345)),
        *(replace(good, path=path) for path in ("no", "no/no", "../a", "fifo")),
    ]
    answers = world.files.stage_lone(world.output, world.state, [*bad, good])
    kinds = [FileChanged, FileGone, FileGone, OutsideRoot, NotRegular, Fetched]
    assert [type(answer) for answer in answers] == kinds


def test_a_lone_file_of_a_root_that_is_gone_is_offline(world):
    world.put(world.root / "a")
    copy = lone(world, "a")
    world.take_away(world.root)
    (answer,) = world.files.stage_lone(world.output, world.state, [copy])
    assert isinstance(answer, FolderOffline)
    world.take_away(world.output)
    with pytest.raises(FolderOffline):
        world.files.stage_lone(world.output, world.state, [copy])


# ---------------------------------------------------------------- publishing
def test_each_unit_is_published_or_told_why_not(world):
    world.put(world.output / "taken", b"theirs")
    units = [
        [world.stage(b"1", "d/1", key="1")],
        [world.stage(b"2", "taken", key="2")],
        [replace(world.stage(b"3", "3", key="3"), size=7)],
        [replace(world.stage(b"4", "4", key="4"), staged=world.state / "no")],
        [],
        [world.stage(b"6", "d/6", key="6"), world.stage(b"7", "e/7", key="7")],
    ]
    answers = world.files.publish_each(world.output, units)
    kinds = [type(None), TargetExists, FileChanged, FileGone, type(None), type(None)]
    assert [type(answer) for answer in answers] == kinds
    bodies = [world.body(world.output / path) for path in ("d/1", "taken", "d/6", "e/7")]
    assert bodies == [b"1", b"theirs", b"6", b"7"]


def test_publishing_gives_final_names_and_makes_folders(world):
    placement = world.stage(b"glb", "a/b/c.glb")
    world.files.publish(world.output, [placement])
    assert world.body(world.output / "a/b/c.glb") == b"glb"
    assert world.body(placement.staged) is None


def test_a_taken_name_is_told_and_kept(world):
    world.put(world.output / "c", b"theirs")
    with pytest.raises(TargetExists) as told:
        world.files.publish(world.output, [world.stage(b"ours", "c")])
    assert told.value.where == "c"
    assert world.body(world.output / "c") == b"theirs"


def test_our_own_earlier_output_is_replaced(world):
    world.put(world.output / "c", b"old")
    world.files.publish(world.output, [replace(world.stage(b"new", "c"), replace=True)])
    assert world.body(world.output / "c") == b"new"


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_nothing_but_a_file_is_ever_replaced(world, kind):
    (world.folder if kind == "folder" else world.odd)(world.output / "c")
    with pytest.raises(TargetExists):
        world.files.publish(world.output, [replace(world.stage(b"new", "c"), replace=True)])


def test_a_file_where_a_folder_is_needed_is_a_taken_name(world):
    world.put(world.output / "a")
    with pytest.raises(TargetExists) as told:
        world.files.publish(world.output, [world.stage(b"x", "a/b")])
    assert told.value.where == "a/b"


@pytest.mark.parametrize("size", [0, 2])
def test_a_truncated_staged_file_is_never_published(world, size):
    placement = replace(world.stage(b"x", "c"), size=size)
    with pytest.raises(FileChanged):
        world.files.publish(world.output, [placement])
    assert world.body(world.output / "c") is None


def test_a_staged_file_that_is_gone_is_told(world):
    placement = replace(world.stage(b"x", "c"), staged=world.state / "no")
    for each in (placement, replace(placement, resumed=True)):
        with pytest.raises(FileGone):
            world.files.publish(world.output, [each])


def test_publishing_again_after_a_crash_counts_as_done(world):
    placement = replace(world.stage(b"x", "c"), resumed=True)
    world.files.publish(world.output, [placement])
    world.files.publish(world.output, [placement])
    again = replace(world.stage(b"x", "c"), resumed=True)
    world.files.publish(world.output, [again])
    assert (world.body(world.output / "c"), world.body(again.staged)) == (b"x", None)


def test_another_content_under_the_name_is_not_taken_for_ours(world):
    world.put(world.output / "c", b"y")
    with pytest.raises(TargetExists):
        world.files.publish(world.output, [replace(world.stage(b"x", "c"), resumed=True)])


@pytest.mark.parametrize("after", [False, True])
def test_a_batch_that_died_is_published_by_repeating_it(world, after):
    into = world.files.staging(world.output, world.state, "t")
    placements = []
    for number in range(3):
        body = b"%d" % number
        world.put(into / str(number), body)
        digest = content.digest(io.BytesIO(body))
        placements.append(Placement(into / str(number), f"d/{number}", 1, digest))
    dying = FailingFiles(world.files, at=1, after=after)
    with pytest.raises(Died):
        dying.publish(world.output, placements)
    world.files.publish(world.output, [replace(each, resumed=True) for each in placements])
    assert [world.body(world.output / f"d/{n}") for n in range(3)] == [b"0", b"1", b"2"]


# ---------------------------------------------------------------- sources
def test_an_archived_source_is_moved_and_moving_again_is_done(world):
    world.put(world.root / "a/b", b"src")
    fingerprint = world.fingerprint("a/b")
    for _ in range(2):
        world.files.archive(world.root, "a/b", fingerprint, world.kept, "x/b")
    assert world.body(world.root / "a/b") is None
    assert world.body(world.kept / "x/b") == b"src"


def test_a_source_that_is_nowhere_is_told(world):
    for path in ("a", "gone/a"):
        with pytest.raises(FileGone):
            world.files.archive(world.root, path, Fingerprint(1, 1), world.kept, "a")


def test_a_changed_source_is_neither_moved_nor_deleted(world):
    world.put(world.root / "a", b"new")
    with pytest.raises(FileChanged):
        world.files.archive(world.root, "a", Fingerprint(1, 1), world.kept, "a")
    with pytest.raises(FileChanged):
        world.files.remove(world.root, "a", Fingerprint(1, 1))
    assert world.body(world.root / "a") == b"new"


def test_archiving_replaces_nothing(world):
    world.put(world.root / "a", b"src")
    world.put(world.kept / "a", b"old")
    with pytest.raises(TargetExists):
        world.files.archive(world.root, "a", world.fingerprint("a"), world.kept, "a")
    assert world.body(world.kept / "a") == b"old"
    assert world.body(world.root / "a") == b"src"


def test_a_removed_source_is_gone_and_removing_again_is_fine(world):
    world.put(world.root / "d/a")
    fingerprint = world.fingerprint("d/a")
    for _ in range(2):
        world.files.remove(world.root, "d/a", fingerprint)
    world.files.remove(world.root, "gone/a", fingerprint)
    assert world.body(world.root / "d/a") is None


# ---------------------------------------------------------------- taking over
def test_the_dead_cannot_reach_what_they_staged_and_the_living_can(world):
    seats = world.output / ".watcher-seats"
    homes = {name: world.home(seats / name) for name in ("dead", "mine", "alive")}
    for name, home in homes.items():
        place = world.files.staging(world.output, home, f"token-{name}")
        world.put(place / "a", name.encode())
    lost = world.files.staged(world.output, homes["dead"], "token-dead")
    world.files.adopt(seats, "mine", ["mine", "alive"])
    assert world.body(lost / "a") is None
    assert world.body(homes["mine"] / "staging/token-dead/a") == b"dead"
    assert world.body(homes["mine"] / "staging/token-mine/a") == b"mine"
    assert world.body(homes["alive"] / "staging/token-alive/a") == b"alive"
    world.files.adopt(seats, "mine", ["mine", "alive"])
    world.files.adopt(world.output / "nothing", "mine", [])


def test_what_a_crash_left_of_taking_over_is_taken_over(world):
    seats = world.output / ".watcher-seats"
    world.put(world.home(seats / "gone.dead") / "staging/t/a", b"1")
    world.home(seats / "mine")
    world.files.adopt(seats, "mine", [])
    assert world.body(seats / "mine/staging/t/a") == b"1"
    assert world.body(seats / "gone.dead/staging/t/a") is None


# ---------------------------------------------------------------- small files, names, space
def test_a_receipt_is_written_and_replaced(world):
    for body in (b"1", b"22"):
        world.files.write(world.output, "r/x.json", body)
    assert world.body(world.output / "r/x.json") == b"22"
    with pytest.raises(TargetExists):
        world.files.write(world.output, "r/x.json", b"3", replace=False)
    world.files.write(world.output, "new", b"", replace=False)
    assert world.body(world.output / "new") == b""


def test_a_taken_name_gets_a_number(world):
    assert world.files.free_name(world.output, "d/a.tar.gz") == "d/a.tar.gz"
    world.put(world.output / "d/a.glb")
    assert world.files.free_name(world.output, "d/a.glb") == "d/a (2).glb"
    world.put(world.output / "d/a (2).glb")
    assert world.files.free_name(world.output, "d/a.glb") == "d/a (3).glb"
    world.put(world.output / ".env")
    assert world.files.free_name(world.output, ".env") == ".env (2)"


def test_there_is_some_space(world):
    assert world.files.space(world.output) > 0
