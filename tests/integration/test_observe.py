"""The native watch on a real inotify: what it tells, and that it knows when it has gone deaf."""

import logging
import os
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest

from watcher.adapters.observe import Look, Observe, Watching
from watcher.adapters.observe.mounts import (
    file_system,
    is_remote,
    kind_in,
    watch_limit,
)
from watcher.adapters.observe.tree import count_folders, folders
from watcher.adapters.observe.watch import _why
from watcher.core.settings import Folder
from watcher.core.settle import Hint

DEADLINE = 20.0
MOUNTINFO = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/share rw - nfs4 server:/export rw
31 22 0:41 / /mnt/my\040share\134x rw shared:2 master:1 - cifs //server/x rw
32 22 0:42 / /mnt/over rw - ext4 /dev/sdb1 rw
33 22 0:43 / /mnt/over rw - fuse.sshfs me@host: rw
34 short line
"""


class Told:
    def __init__(self):
        self.looks = []
        self._news = threading.Condition()

    def __call__(self, look):
        with self._news:
            self.looks.append(look)
            self._news.notify_all()

    def wait(self, condition):
        with self._news:
            assert self._news.wait_for(lambda: condition(self.looks), DEADLINE), self.looks[-20:]


def make_folder(root, **changes):
    settings = {"name": "in", "input": root, "output": root / "../o", "failed": root / "../f"}
    return Folder(**{**settings, **changes})


@contextmanager
def observing(tell, **changes):
    observe = Observe(tell, **changes)
    with warnings.catch_warnings():
        observe.start()
        try:
            yield observe
        finally:
            observe.stop()


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "in"
    path.mkdir()
    return path


def wait_until(condition):
    end = threading.Event()
    for _ in range(int(DEADLINE / 0.02)):
        if condition():
            return
        end.wait(0.02)
    assert condition()


def inotify_descriptors():
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            kind = link.readlink()
        except OSError:
            continue
        if str(kind) == "anon_inode:inotify":
            found.append(int(link.name))
    return found


# ---------------------------------------------------------------- what it tells
def test_each_change_is_told_with_its_hint(root):
    told = Told()
    with observing(told) as observe:
        assert observe.add(make_folder(root)) == Watching(native=True)
        (root / "a.part").write_bytes(b"x")
        (root / "a.part").rename(root / "a")
        (root / "sub").mkdir()
        told.wait(lambda looks: Look("in", "sub") in looks)
        told.wait(lambda looks: Look("in", "a", Hint.MOVED) in looks)
        assert Look("in", "a.part", Hint.CREATED) in told.looks
        assert Look("in", "a.part", Hint.CLOSED) in told.looks
        assert observe.hears("in")


def test_a_root_without_a_watch_is_never_deaf(root):
    with observing(Told()) as observe:
        assert observe.add(make_folder(root, watch="polling")) == Watching(native=False)
        assert observe.hears("in")
        observe.remove("never added")


def test_a_root_that_is_not_there_is_not_watched(root):
    with observing(Told()) as observe:
        watching = observe.add(make_folder(root / "gone"))
        assert not watching.native
        assert watching.reason


# ---------------------------------------------------------------- limits
def test_more_folders_than_watches_are_polled_and_the_reason_names_the_sysctl(root):
    for number in range(9):
        (root / f"d{number}").mkdir()
    with observing(Told(), limit=10) as observe:
        watching = observe.add(make_folder(root))
        assert not watching.native
        assert "sysctl fs.inotify.max_user_watches=" in watching.reason
        assert "limit 10" in watching.reason
        assert observe.add(make_folder(root, recursive=False)).native


def test_roots_share_the_watches_and_give_them_back(root):
    (root / "one").mkdir()
    with observing(Told(), limit=4) as observe:
        assert observe.add(make_folder(root, name="a")).native
        assert not observe.add(make_folder(root, name="b")).native
        observe.remove("a")
        assert observe.add(make_folder(root, name="b")).native


def test_other_errors_are_told_in_their_own_words():
    assert _why(OSError(13, "Permission denied")) == "Permission denied"
    assert "max_user_instances" in _why(OSError(24, "inotify instance limit reached"))
    assert "max_user_watches" in _why(OSError(28, "inotify watch limit reached"))


def test_the_watch_limit_is_read_or_unknown(tmp_path):
    (tmp_path / "limit").write_text("123\n")
    (tmp_path / "odd").write_text("many")
    assert watch_limit([tmp_path / "limit", tmp_path / "odd"]) == 123
    assert watch_limit([tmp_path / "odd"]) is None
    assert watch_limit([tmp_path / "none"]) is None


def test_counting_folders_stops_at_enough(root):
    (root / "a" / "b").mkdir(parents=True)
    assert count_folders(root, enough=100) == 3
    assert count_folders(root, enough=2) == 2


@pytest.mark.parametrize("counted", [True, False])
def test_folders_are_found_whether_the_file_system_counts_them_or_not(root, counted):
    for path in ("a/b/c", "a/d", "e"):
        (root / path).mkdir(parents=True)
        (root / path / "file").write_bytes(b"x")
    (root / "link").symlink_to(root / "a")
    found = [os.fsdecode(one) for one in folders(os.fsencode(root), counted=counted)]
    assert found[0] == str(root)
    below = {"a", "a/b", "a/b/c", "a/d", "e"}
    assert {os.path.relpath(one, root) for one in found} == {".", *below}
    assert len(found) == 6
    gone = os.fsencode(root / "none")
    assert list(folders(gone, counted=counted)) == [gone]


def test_a_folder_made_while_its_parent_is_watched_is_given(root):
    (root / "a").mkdir()
    found = []
    for one in folders(os.fsencode(root), counted=True):
        found.append(os.fsdecode(one))
        if one.endswith(b"/a"):
            (root / "a" / "late").mkdir()
    assert str(root / "a" / "late") in found


# ---------------------------------------------------------------- mounts
@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/home/x", "ext4"),
        ("/mnt/share/cad", "nfs4"),
        ("/mnt/share2", "ext4"),
        (r"/mnt/my share\x/a", "cifs"),
        ("/mnt/over/a", "fuse.sshfs"),
    ],
)
def test_the_deepest_and_last_mount_tells_the_type(place, kind):
    assert kind_in(MOUNTINFO, Path(place)) == kind


def test_an_unknown_type_is_empty(tmp_path):
    assert kind_in("", Path("/a")) == ""
    assert file_system(tmp_path, tmp_path / "none") == ""
    assert file_system(Path("/proc")) == "proc"


@pytest.mark.parametrize(
    ("kind", "remote"),
    [("nfs4", True), ("fuse.sshfs", True), ("fuseblk", False), ("ext4", False), ("overlay", False)],
)
def test_shares_of_other_machines_are_remote(kind, remote):
    assert is_remote(kind) is remote


# ---------------------------------------------------------------- deafness
def test_a_root_replaced_by_another_folder_is_not_heard(root, tmp_path):
    with observing(Told()) as observe:
        observe.add(make_folder(root))
        root.rename(tmp_path / "old")
        assert not observe.hears("in")
        root.mkdir()
        assert not observe.hears("in")
        assert observe.add(make_folder(root)).native
        assert observe.hears("in")


def test_a_deleted_root_ends_its_emitter_and_can_be_removed(root):
    with observing(Told()) as observe:
        observe.add(make_folder(root))
        root.rmdir()
        wait_until(lambda: not observe.hears("in"))
        observe.remove("in")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dispatcher_that_died_is_noticed_and_replaced(root):
    told, failures = Told(), []

    def tell(look):
        if not failures:
            failures.append(look)
            raise RuntimeError
        told(look)

    with observing(tell) as observe:
        observe.add(make_folder(root))
        (root / "a").write_bytes(b"x")
        wait_until(lambda: not observe.hears("in"))
        assert observe.add(make_folder(root)).native
        assert observe.hears("in")
        (root / "b").write_bytes(b"x")
        told.wait(lambda looks: Look("in", "b", Hint.CLOSED) in looks)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_that_died_is_noticed_and_replaced(root):
    told, before = Told(), inotify_descriptors()
    with observing(told) as observe:
        observe.add(make_folder(root))
        (ours,) = set(inotify_descriptors()) - set(before)
        spoiled = os.open(root, os.O_RDONLY)
        os.dup2(spoiled, ours)  # reading a folder raises, which ends the reader
        os.close(spoiled)
        (root / "a").write_bytes(b"x")
        wait_until(lambda: not observe.hears("in"))
        assert observe.add(make_folder(root)).native
        (root / "b").write_bytes(b"x")
        told.wait(lambda looks: Look("in", "b", Hint.CLOSED) in looks)


OVERFLOW = """
import os, signal, sys, threading
from pathlib import Path
from watcher.adapters.observe import Observe
from watcher.core.settings import Folder
root, lost = Path(sys.argv[1]), threading.Event()
def tell(look):
    if look.path == "":
        lost.set()
observe = Observe(tell)
observe.start()
assert observe.add(Folder(name="in", input=root, output=root, failed=root)).native
print("ready", flush=True)
print("lost" if lost.wait(60) else "unheard", flush=True)
os._exit(0)
"""


def test_an_overflow_of_the_event_queue_asks_for_a_whole_scan(root):
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text("ascii"))
    if queue > 50_000:
        pytest.skip("the event queue of this machine is too long to fill in a test")
    command = [sys.executable, "-c", OVERFLOW, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(19)  # SIGSTOP
        wait_until(lambda: ") T " in Path(f"/proc/{child.pid}/stat").read_text("ascii"))
        for number in range(queue // 2 + 100):  # two events a file: created and closed
            os.close(os.open(root / str(number), os.O_CREAT | os.O_WRONLY))
        child.send_signal(18)  # SIGCONT
        assert child.stdout.readline() == "lost\n"


def test_other_warnings_of_the_library_are_no_overflow(root):
    told = Told()
    with observing(told) as observe:
        observe.add(make_folder(root))
        logging.getLogger("watchdog.observers.inotify_c").warning("something else")
        assert told.looks == []


def test_a_flood_of_new_folders_warns_of_nothing(root):
    told = Told()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with observing(told) as observe:
            observe.add(make_folder(root))
            for number in range(200):
                (root / f"d{number}" / "x").mkdir(parents=True)
                (root / f"d{number}").rename(root / f"e{number}")
            told.wait(lambda looks: Look("in", "e199") in looks)
    assert [str(one.message)[:200] for one in caught] == []
