"""Intake on real files with a real watch; only the ledger is a small fake."""

import ctypes
import os
import posixpath
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.studio import until
from watcher.adapters.clock import SystemClock
from watcher.adapters.files import LocalFiles
from watcher.core import settle
from watcher.core.model import Fingerprint
from watcher.core.settings import Folder, JobSpec, Match, Rule
from watcher.daemon.intake import HEARD, Intake
from watcher.daemon.roots import Roots
from watcher.daemon.scan import Pace
from watcher.daemon.sightings import Absent, Arrival, Fault, Refusal, RootState, ScanDone

DEADLINE = 60.0
FAST = Pace(retry=0.1, tick=0.1, stable=0.5)


class KnownFiles:
    """What intake asks of a ledger."""

    def __init__(self):
        self.live = {}

    def known(self, folder, directory):
        return {
            (posixpath.basename(path), print_.size, print_.mtime_ns)
            for path, print_ in tuple(self.live.items())
            if posixpath.dirname(path) == directory
        }

    def known_each(self, folder, directories):
        return [self.known(folder, directory) for directory in directories]

    def known_among(self, folder, directory, names):
        return {row for row in self.known(folder, directory) if row[0] in names}

    def known_count(self, folder, directory):
        return len(self.known(folder, directory))

    def known_names(self, folder, directory, after, limit):
        return sorted(row[0] for row in self.known(folder, directory) if row[0] > after)[:limit]

    def directories(self, folder):
        return iter({posixpath.dirname(path) for path in self.live})

    def remember(self, path, root):
        found = (root / path).stat()
        self.live[path] = Fingerprint(found.st_size, found.st_mtime_ns)


class Heard:
    """Everything that intake delivered."""

    def __init__(self):
        self.all = []
        self._news = threading.Condition()

    def __call__(self, sightings):
        with self._news:
            self.all.extend(sightings)
            self._news.notify_all()

    def of(self, kind):
        return [told for told in tuple(self.all) if isinstance(told, kind)]

    def paths(self):
        return [arrival.asset.path for arrival in self.of(Arrival)]

    def wait(self, condition, within=DEADLINE):
        with self._news:
            assert self._news.wait_for(condition, within), self.all[-20:]


def make_folder(root, **changes):
    rule = Rule(
        name="r",
        match=changes.pop("match", Match(globs=("*",))),
        jobs=(JobSpec(label="j", process="p"),),
        wait_for_parts=changes.pop("wait_for_parts", 1.0),
    )
    settings = {"name": "in", "input": root, "output": root / "../out", "failed": root / "../bad"}
    return Folder(**{**settings, "settle": 0.1, "rules": (rule,), **changes})


class Box:
    def __init__(self, root, folder, intake, heard, ledger):
        self.root, self.folder, self.heard, self.ledger = root, folder, heard, ledger
        self.intake = intake

    def wait_idle(self):
        end = time.monotonic() + DEADLINE
        while not self.intake.idle() and time.monotonic() < end:
            threading.Event().wait(0.01)
        assert self.intake.idle()

    def wait_paths(self, expected):
        wanted = set(expected)
        self.heard.wait(lambda: wanted <= set(self.heard.paths()))


@contextmanager
def running(root, ledger=None, *, quiet=True, pace=None, roots=None, heard=None, **changes):
    folder, heard = make_folder(root, **changes), heard or Heard()
    ledger = ledger or KnownFiles()
    intake = Intake(
        [folder], LocalFiles(), ledger, clock=SystemClock(), deliver=heard, pace=pace, roots=roots
    )
    box = Box(root, folder, intake, heard, ledger)
    intake.start()
    try:
        if quiet:
            box.wait_idle()
        yield box
        assert intake.alive()
        assert heard.of(Fault) == []
    finally:
        intake.stop()


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "in"
    path.mkdir()
    return path


def test_files_found_at_start_arrive(root):
    (root / "a b").mkdir()
    (root / "a b" / "é.step").write_bytes(b"x")
    (root / ".hidden").write_bytes(b"x")
    with running(root) as box:
        assert box.heard.paths() == ["a b/é.step"]
        assert box.heard.of(RootState) == [RootState("in", online=True, native=True)]
        assert box.heard.of(ScanDone)[0].complete


def test_a_copy_with_stalls_arrives_once_and_whole(root):
    with running(root) as box, (root / "a.bin").open("wb") as stream:
        for _ in range(3):
            stream.write(b"x" * 1000)
            stream.flush()
            threading.Event().wait(0.3)
            assert box.heard.paths() == []
        stream.close()
        box.wait_paths(["a.bin"])
        assert box.heard.of(Arrival)[0].asset.print.size == 3000


def test_a_preallocated_file_filled_later_waits_for_its_writer(root):
    with running(root, settle=0.0) as box, (root / "a.bin").open("wb") as stream:
        os.truncate(stream.fileno(), 5000)
        threading.Event().wait(0.4)
        assert box.heard.paths() == []
        stream.write(b"y" * 5000)
        stream.close()
        box.wait_paths(["a.bin"])


def test_a_rename_into_place_arrives_without_the_quiet_time(root):
    with running(root, settle=60.0) as box:
        (root / "a.bin.part").write_bytes(b"x")
        (root / "a.bin.part").rename(root / "a.bin")
        box.wait_paths(["a.bin"])
        assert box.heard.paths() == ["a.bin"]


def test_a_burst_of_new_folders_loses_nothing(root):
    with running(root) as box:
        for number in range(300):
            deep = root / f"d{number}" / "x" / "y"
            deep.mkdir(parents=True)
            (deep / "f.bin").write_bytes(b"x")
        box.wait_paths(f"d{number}/x/y/f.bin" for number in range(300))


def test_a_tree_moved_in_and_a_tree_copied_in_arrive(root, tmp_path):
    source = tmp_path / "source"
    (source / "s").mkdir(parents=True)
    (source / "s" / "a.bin").write_bytes(b"x")
    with running(root) as box:
        shutil.copytree(source, root / "copied")
        source.rename(root / "moved")
        box.wait_paths(["copied/s/a.bin", "moved/s/a.bin"])
        (root / "moved" / "s" / "later.bin").write_bytes(b"x")
        box.wait_paths(["moved/s/later.bin"])


def test_a_root_deleted_and_made_again_is_offline_and_back(root):
    with running(root, pace=FAST) as box:
        root.rmdir()
        box.heard.wait(lambda: any(not state.online for state in box.heard.of(RootState)))
        root.mkdir()
        (root / "a.bin").write_bytes(b"x")
        box.wait_paths(["a.bin"])
        box.wait_idle()
        (root / "b.bin").write_bytes(b"x")
        box.wait_paths(["b.bin"])
        assert box.heard.of(RootState)[-1].native


def test_a_root_renamed_and_replaced_is_watched_anew(root, tmp_path):
    with running(root, pace=FAST) as box:
        other = tmp_path / "other"
        other.mkdir()
        (other / "a.bin").write_bytes(b"x")
        root.rename(tmp_path / "old")
        other.rename(root)
        box.wait_paths(["a.bin"])
        box.wait_idle()
        (root / "b.bin").write_bytes(b"x")
        box.wait_paths(["b.bin"])


def test_polling_finds_the_same_files(root):
    with running(root, watch="polling") as box:
        (root / "new").mkdir()
        (root / "new" / "a.bin").write_bytes(b"x")
        box.wait_paths(["new/a.bin"])
        assert not box.heard.of(RootState)[0].native


def test_known_unchanged_files_are_silent_and_changed_ones_arrive(root):
    ledger = KnownFiles()
    for name in ("same", "changed"):
        (root / name).write_bytes(b"x")
        ledger.remember(name, root)
    (root / "changed").write_bytes(b"xy")
    with running(root, ledger) as box:
        assert box.heard.paths() == ["changed"]


def test_files_that_went_away_are_absent_after_a_complete_scan(root):
    ledger = KnownFiles()
    print_ = Fingerprint(1, 1)
    (root / "here").write_bytes(b"x")
    ledger.remember("here", root)
    ledger.live |= {"gone": print_, "no/folder": print_}
    with running(root, ledger) as box:
        paths = [path for told in box.heard.of(Absent) for path in told.paths]
        assert sorted(paths) == ["gone", "no/folder"]


def test_an_unexpectedly_empty_root_is_doubted_then_believed(root):
    ledger = KnownFiles()
    ledger.live = {"a": Fingerprint(1, 1)}
    with running(root, ledger) as box:  # which doubts for a minute
        assert box.heard.of(Absent) == []
        assert "mounted" in box.heard.of(RootState)[-1].trouble
    with running(root, ledger, pace=FAST) as box:

        def believed():
            box.intake.rescan()
            return box.heard.of(Absent)

        until(believed)
        assert any("mounted" in state.trouble for state in box.heard.of(RootState))
        assert [told.paths for told in box.heard.of(Absent)] == [("a",)]


def test_doubt_outlives_a_restart_and_ends_when_the_files_are_back(root, tmp_path):
    roots, ledger = Roots(tmp_path / "roots.json"), KnownFiles()
    for name in ("a", "b"):
        (root / name).write_bytes(b"x")
        ledger.remember(name, root)
    with running(root, ledger, roots=roots):
        pass
    root.rename(tmp_path / "mounted")
    root.mkdir()
    (root / "stray").write_bytes(b"x")
    elsewhere = Roots(tmp_path / "roots.json")
    device, inode = elsewhere.get(root)
    elsewhere.put(root, (device + 1, inode))  # the files were seen on another disk
    patient = Pace(retry=0.1, tick=0.1, stable=60.0)
    with running(root, ledger, roots=Roots(tmp_path / "roots.json"), pace=patient) as box:
        box.wait_paths(["stray"])  # what is there is taken all the same
        assert "mounted" in box.heard.of(RootState)[-1].trouble
        assert not box.heard.of(ScanDone)[-1].complete
        shutil.rmtree(root)
        (tmp_path / "mounted").rename(root)
        box.heard.wait(lambda: box.heard.of(RootState)[-1].trouble == "")
        box.heard.wait(lambda: box.heard.of(ScanDone)[-1].complete)
        assert box.heard.of(Absent) == []


def test_the_same_folder_emptied_between_two_lives_is_believed(root, tmp_path):
    ledger = KnownFiles()
    (root / "a").write_bytes(b"x")
    ledger.remember("a", root)
    with running(root, ledger, roots=Roots(tmp_path / "roots.json")):
        (root / "a").unlink()
    with running(root, ledger, roots=Roots(tmp_path / "roots.json")) as box:
        assert [told.paths for told in box.heard.of(Absent)] == [("a",)]


def test_a_memory_of_roots_that_is_damaged_is_none(root, tmp_path):
    place = tmp_path / "roots.json"
    for text in ("", "[1]", '{"a": 1}', '{"a": ["x", "y"]}', "\0"):
        place.write_text(text)
        assert Roots(place).get(root) is None
    nowhere = Roots(tmp_path / "no" / "roots.json")
    nowhere.put(root, (1, 2))
    assert nowhere.get(root) == (1, 2)


def without_rights(test):
    """Run one test of this module as a process for which rights count; root reads everything."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give up its rights")
    command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]
    command += [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov"]
    done = subprocess.run(
        [*command, f"{__file__}::{test}"],
        env={**os.environ, INNER: "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


INNER = "WATCHER_TEST_WITHOUT_RIGHTS"


def test_a_folder_that_cannot_be_read_is_told_and_its_files_are_not_gone(root):
    if INNER not in os.environ and os.geteuid() == 0:
        without_rights(
            test_a_folder_that_cannot_be_read_is_told_and_its_files_are_not_gone.__name__
        )
        return
    ledger = KnownFiles()
    (root / "shut" / "deep").mkdir(parents=True)
    for path in ("top", "shut/a", "shut/deep/b"):
        (root / path).write_bytes(b"x")
        ledger.remember(path, root)
    (root / "shut" / "new").write_bytes(b"x")
    (root / "shut").chmod(0)
    with running(root, ledger, pace=FAST, scan_every=1.0) as box:
        state = box.heard.of(RootState)[-1]
        assert state.online
        assert "shut: no permission" in state.trouble
        assert not box.heard.of(ScanDone)[-1].complete
        (root / "other").write_bytes(b"x")
        box.wait_paths(["other"])
        (root / "shut").chmod(0o755)  # which no event tells
        box.wait_paths(["shut/new"])
        box.heard.wait(lambda: box.heard.of(RootState)[-1].trouble == "")
        assert box.heard.of(Absent) == []


def test_a_root_that_cannot_be_read_is_offline_until_it_can(root):
    if INNER not in os.environ and os.geteuid() == 0:
        without_rights(test_a_root_that_cannot_be_read_is_offline_until_it_can.__name__)
        return
    ledger = KnownFiles()
    (root / "a").write_bytes(b"x")
    ledger.remember("a", root)
    root.chmod(0)
    with running(root, ledger, pace=FAST) as box:
        assert not box.heard.of(RootState)[-1].online
        assert "no permission" in box.heard.of(RootState)[-1].reason
        root.chmod(0o755)
        box.heard.wait(lambda: box.heard.of(RootState)[-1].online)
        (root / "b").write_bytes(b"x")
        box.wait_paths(["b"])
        assert box.heard.of(Absent) == []


def test_an_unreadable_file_arrives_only_after_patience_and_a_readable_one_at_once(
    root, monkeypatch
):
    if INNER not in os.environ and os.geteuid() == 0:
        name = (
            test_an_unreadable_file_arrives_only_after_patience_and_a_readable_one_at_once.__name__
        )
        without_rights(name)
        return
    for name in ("mended", "shut.obj"):
        (root / name).write_bytes(b"x")
        (root / name).chmod(0)
    with monkeypatch.context() as patience:
        patience.setattr(settle, "UNREADABLE_QUIET", 3600.0)
        with running(root, quiet=False, wait_for_parts=60.0) as box:
            (root / "mended").chmod(0o644)
            box.wait_paths(["mended"])
            assert box.heard.paths() == ["mended"]
            assert not box.heard.of(Arrival)[0].asset.cut
    begun = time.monotonic()
    with running(root, quiet=False, wait_for_parts=60.0) as box:
        box.wait_paths(["shut.obj"])
        assert time.monotonic() - begun >= settle.UNREADABLE_QUIET
        assert {one.asset.path: one.asset.cut for one in box.heard.of(Arrival)} == {
            "mended": False, "shut.obj": True,
        }  # fmt: skip


def test_a_part_that_cannot_be_read_is_named_as_missing(root):
    if INNER not in os.environ and os.geteuid() == 0:
        without_rights(test_a_part_that_cannot_be_read_is_named_as_missing.__name__)
        return
    (root / "a.mtl").write_bytes(b"x")
    (root / "a.mtl").chmod(0)
    with running(root, wait_for_parts=1.0, match=Match(globs=("*.obj",))) as box:
        (root / "a.obj").write_bytes(b"mtllib a.mtl\n")
        box.wait_paths(["a.obj"])
        asset = box.heard.of(Arrival)[0].asset
        assert not asset.cut
        assert "a.mtl: no permission" in asset.missing[0]


def test_odd_files_are_told_once_and_never_opened(root):
    os.mkfifo(root / "pipe.step")
    (root / "link.step").symlink_to("/etc/passwd")
    (root / "unmatched").symlink_to("/etc/passwd")
    with running(root, match=Match(globs=("*.step",))) as box:
        box.intake.rescan()
        box.heard.wait(lambda: len(box.heard.of(ScanDone)) > 1)
        box.wait_idle()
        assert sorted(told.path for told in box.heard.of(Refusal)) == ["link.step", "pipe.step"]
        assert box.heard.paths() == []


def test_an_event_about_an_odd_file_is_refused_once(root):
    with running(root) as box:
        os.mkfifo(root / "pipe")
        box.heard.wait(lambda: box.heard.of(Refusal))
        box.intake.nudge("in", "pipe")
        box.wait_idle()
        assert {told.path for told in box.heard.of(Refusal)} == {"pipe"}


def test_parts_in_the_worst_order_make_one_asset(root):
    with running(root, wait_for_parts=30.0, match=Match(globs=("*.obj",))) as box:
        (root / "m").mkdir()
        (root / "m" / "a.obj").write_bytes(b"mtllib A.MTL\n")
        threading.Event().wait(0.3)
        (root / "m" / "a.mtl").write_bytes(b"map_Kd tex\\a b.png\n")
        threading.Event().wait(0.3)
        assert box.heard.paths() == []
        (root / "m" / "tex").mkdir()
        (root / "m" / "tex" / "a b.png").write_bytes(b"png")
        box.wait_paths(["m/a.obj"])
        asset = box.heard.of(Arrival)[0].asset
        assert [(part.path, part.name) for part in asset.parts] == [
            ("m/a.mtl", "A.MTL"),
            ("m/tex/a b.png", "tex/a b.png"),
        ]
        assert asset.missing == ()


def test_missing_parts_are_named_after_the_deadline(root):
    (root / "a.obj").write_bytes(b"mtllib no.mtl /abs.mtl\nf 33")
    with running(root, wait_for_parts=0.3) as box:
        asset = box.heard.of(Arrival)[0].asset
        assert asset.missing == ("no.mtl",)
        assert len(asset.warnings) == 2


def test_a_part_under_a_writer_holds_the_asset_back(root):
    with running(root, wait_for_parts=0.2, match=Match(globs=("*.obj",))) as box:
        with (root / "a.mtl").open("wb") as stream:
            stream.write(b"newmtl x\n")
            stream.flush()
            (root / "a.obj").write_bytes(b"mtllib a.mtl\n")
            threading.Event().wait(0.8)
            assert box.heard.paths() == []
        box.wait_paths(["a.obj"])


def test_parts_that_keep_coming_give_the_asset_more_time(root):
    names = [f"{number}.mtl" for number in range(6)]
    with running(root, wait_for_parts=2.5, match=Match(globs=("*.obj",))) as box:
        (root / "a.obj").write_text(f"mtllib {' '.join(names)}\n")
        for name in names:
            threading.Event().wait(0.6)  # the pace of the copy, which takes longer than that
            (root / name).write_bytes(b"newmtl x\n")
        box.wait_paths(["a.obj"])
        asset = box.heard.of(Arrival)[0].asset
        assert asset.missing == ()
        assert len(asset.parts) == len(names)


def test_a_part_that_is_written_again_and_again_gives_no_more_time(root):
    with running(root, wait_for_parts=1.0, match=Match(globs=("*.obj",))) as box:
        (root / "a.obj").write_text("mtllib a.mtl no.mtl\n")
        end = time.monotonic() + DEADLINE
        while not box.heard.paths():
            (root / "a.mtl").write_text(f"newmtl x{time.monotonic()}\n")
            threading.Event().wait(0.8)  # longer than it takes to settle, less than the patience
            assert time.monotonic() < end
        assert box.heard.of(Arrival)[0].asset.missing == ("no.mtl",)


def test_a_main_file_rewritten_while_it_waits_settles_anew(root):
    with running(root, wait_for_parts=30.0, match=Match(globs=("*.obj",))) as box:
        (root / "a.obj").write_bytes(b"mtllib no.mtl\n")
        threading.Event().wait(0.4)
        (root / "a.obj").write_bytes(b"# no parts any more\n")
        box.wait_paths(["a.obj"])
        assert box.heard.of(Arrival)[0].asset.print.size == 20


def test_a_nudge_brings_a_known_file_again(root):
    ledger = KnownFiles()
    (root / "a").write_bytes(b"x")
    ledger.remember("a", root)
    with running(root, ledger) as box:
        assert box.heard.paths() == []
        box.intake.nudge("in", "a")
        box.wait_paths(["a"])


def test_one_root_offline_from_the_start_stops_no_other(root, tmp_path):
    heard = Heard()
    gone = make_folder(tmp_path / "gone", name="gone")
    intake = Intake(
        [gone, make_folder(root)], LocalFiles(), KnownFiles(), clock=SystemClock(), deliver=heard
    )
    (root / "a").write_bytes(b"x")
    intake.start()
    try:
        heard.wait(lambda: heard.paths() == ["a"])
        heard.wait(lambda: any(not state.online for state in heard.of(RootState)))
        end = time.monotonic() + DEADLINE
        while not intake.idle() and time.monotonic() < end:
            threading.Event().wait(0.01)
        assert intake.idle()
    finally:
        intake.stop()


class Hanging(LocalFiles):
    """A disk that answers no question about a root until it is let go."""

    def __init__(self):
        super().__init__()
        self.asked, self.answer = threading.Semaphore(0), threading.Event()

    def identity(self, root):
        self.asked.release()
        self.answer.wait(DEADLINE)
        return super().identity(root)


def test_many_roots_that_hang_hold_up_a_stop_once(root):
    folders = [make_folder(root, name=f"{number}") for number in range(5)]
    files = Hanging()
    intake = Intake(folders, files, KnownFiles(), clock=SystemClock(), deliver=Heard())
    intake.start()
    for _ in folders:
        assert files.asked.acquire(timeout=DEADLINE)
    began = time.monotonic()
    intake.stop(within=1.0)
    took = time.monotonic() - began
    files.answer.set()
    assert took < 4.5  # not one second for each of the five


def test_a_receiver_that_fails_once_gets_the_file_again(root):
    heard, failures = Heard(), []

    def deliver(sightings):
        if not failures and any(isinstance(told, Arrival) for told in sightings):
            failures.append(1)
            raise RuntimeError
        heard(sightings)

    (root / "a").write_bytes(b"x")
    intake = Intake(
        [make_folder(root)], LocalFiles(), KnownFiles(), clock=SystemClock(), deliver=deliver
    )
    intake.start()
    try:
        heard.wait(lambda: heard.paths() == ["a"])
        assert failures
        assert intake.alive()
    finally:
        intake.stop()


def cut_watches(root):
    """What the kernel does when a watched disk goes: the watches end, the threads live on."""
    libc, inode, cut = ctypes.CDLL(None), f"ino:{root.stat().st_ino:x}", 0
    for descriptor in Path("/proc/self/fdinfo").iterdir():
        try:
            lines = descriptor.read_text("ascii").splitlines()
        except OSError:
            continue
        for words in [line.split() for line in lines if line.startswith("inotify wd:")]:
            if words[2] == inode:
                cut += libc.inotify_rm_watch(int(descriptor.name), int(words[1][3:], 16)) == 0
    assert cut


def test_quick_scans_between_full_ones_lose_nothing_that_no_event_told(root):
    ledger = KnownFiles()
    for name in ("a", "b", "c"):
        (root / name).write_bytes(b"x")
        ledger.remember(name, root)
    pace = Pace(retry=0.1, tick=0.1, stable=0.5, brief=0.0)
    with running(root, ledger, pace=pace, scan_every=0.2) as box:
        box.heard.wait(lambda: any(done.quick for done in box.heard.of(ScanDone)))
        cut_watches(root)
        (root / "a").write_bytes(b"written in place")
        (root / "new").write_bytes(b"x")
        (root / "b").unlink()
        box.wait_paths(["a", "new"])
        box.heard.wait(lambda: any("b" in told.paths for told in box.heard.of(Absent)))
        assert not any("c" in told.paths for told in box.heard.of(Absent))


def test_polled_folders_are_always_scanned_in_full(root):
    (root / "a").write_bytes(b"x")
    pace = Pace(retry=0.1, tick=0.1, stable=0.5, brief=0.0)
    with running(root, pace=pace, scan_every=0.1, watch="polling") as box:
        box.heard.wait(lambda: len(box.heard.of(ScanDone)) > 5)
        assert not any(done.quick for done in box.heard.of(ScanDone))


def test_a_watch_cut_alive_changes_only_how_soon_a_file_is_found(root):
    with running(root, scan_every=1.0) as box:
        cut_watches(root)
        (root / "a").write_bytes(b"x")
        box.wait_paths(["a"])


def test_ignored_folders_are_not_entered_and_what_lay_there_is_not_absent(root):
    ledger = KnownFiles()
    (root / "old").mkdir()
    (root / "here").write_bytes(b"x")
    ledger.remember("here", root)
    ledger.live["old/a"] = Fingerprint(1, 1)
    with running(root, ledger, ignore=("old",)) as box:
        assert box.heard.of(Absent) == []
        assert box.heard.of(ScanDone)[0].files == 1


def rescan_for(box, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        box.intake.rescan()
        threading.Event().wait(0.1)


def swap(link, target):
    fresh = link.with_name("fresh")
    fresh.symlink_to(target)
    fresh.rename(link)


@pytest.mark.parametrize("kind", [Arrival, Absent, RootState, Refusal, ScanDone])
def test_what_the_receiver_fails_to_take_comes_again(root, kind):
    heard, failures, ledger = Heard(), [], KnownFiles()

    def deliver(sightings):
        if len(failures) < 2 and any(isinstance(told, (kind, Fault)) for told in sightings):
            failures.append(1)
            raise RuntimeError
        heard(sightings)

    (root / "a.obj").write_bytes(b"v 1 2 3\n")
    (root / "b").write_bytes(b"x")
    (root / "here").write_bytes(b"x")
    (root / "link").symlink_to("b")
    ledger.remember("here", root)
    ledger.live["gone"] = Fingerprint(1, 1)
    intake = Intake(
        [make_folder(root)], LocalFiles(), ledger, clock=SystemClock(), deliver=deliver, pace=FAST
    )
    intake.start()
    try:
        heard.wait(lambda: {"a.obj", "b"} <= set(heard.paths()))
        for wanted in (Absent, RootState, Refusal, ScanDone):
            heard.wait(lambda wanted=wanted: heard.of(wanted))
        assert len(failures) == 2
        assert intake.alive()
    finally:
        intake.stop()


def test_a_root_that_goes_while_the_receiver_fails_is_told_offline_later(root):
    heard, failures = Heard(), []

    def deliver(sightings):
        if len(failures) < 2 and any(
            isinstance(told, Fault) or (isinstance(told, RootState) and not told.online)
            for told in sightings
        ):
            failures.append(1)
            raise RuntimeError
        heard(sightings)

    folder = make_folder(root / "none")
    intake = Intake(
        [folder], LocalFiles(), KnownFiles(), clock=SystemClock(), deliver=deliver, pace=FAST
    )
    intake.start()
    try:
        heard.wait(lambda: any(not state.online for state in heard.of(RootState)))
        assert intake.alive()
    finally:
        intake.stop()


class Held(Heard):
    """A receiver that takes its time with the first arrival."""

    def __init__(self):
        super().__init__()
        self.busy, self.go_on = threading.Event(), threading.Event()

    def __call__(self, sightings):
        super().__call__(sightings)
        if self.of(Arrival):
            self.busy.set()
            assert self.go_on.wait(DEADLINE)


def test_words_of_the_watch_that_are_too_many_to_keep_are_found_by_a_scan(root):
    held = Held()
    names = [f"f{number}" for number in range(HEARD + 2000)]
    with running(root, heard=held, settle=0.0) as box:
        (root / "first").write_bytes(b"x")
        assert held.busy.wait(DEADLINE)
        for name in names:
            (root / name).write_bytes(b"x")
        until(box.intake.behind)
        scans = len(held.of(ScanDone))
        held.go_on.set()
        box.wait_paths(names)
        held.wait(lambda: len(held.of(ScanDone)) > scans)
        box.wait_idle()
