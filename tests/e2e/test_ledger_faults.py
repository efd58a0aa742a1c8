"""The ledger damaged, cut, emptied, taken away, locked, on a full or read-only disk: said in words,
nothing lost or twice, and no start that ends again and again."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.e2e.place import ROOT, Place, drop, tree

MANY = {f"d{number % 5}/f{number}.dat": b"%d" % number * 40 for number in range(150)}


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """A place whose files were delivered and stay in the input, so that nothing but the ledger
    knows that they were."""
    place = Place(tmp_path_factory.mktemp("used"), settle="0s", done="keep")
    for name, content in MANY.items():
        drop(place.inp / name, content)
    assert place.once() == 0
    return place


@pytest.fixture
def copied(used, tmp_path):
    subprocess.run(["cp", "-a", f"{used.root}/.", tmp_path], check=True)
    return Place(tmp_path, settle="0s", done="keep")


def ledger(place: Place, end: str = "") -> Path:
    return place.root / "var" / f"ledger.sqlite{end}"


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    for at in range(4 * 4096, len(content), 2 * 4096):
        content[at : at + 300] = os.urandom(300)
    file.write_bytes(content)


def headless(file: Path) -> None:
    file.write_bytes(os.urandom(100) + file.read_bytes()[100:])


def halved(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 4096 - 77)


def emptied(file: Path) -> None:
    os.truncate(file, 0)


@pytest.mark.parametrize("harm", [flipped, headless, halved, cut, emptied])
def test_a_damaged_ledger_is_told_and_nothing_is_done(copied, harm):
    kept = ledger(copied).read_bytes()
    harm(ledger(copied))
    drop(copied.inp / "new.dat", b"new")
    code = copied.once()
    said = copied.log.read_text().splitlines()[-1]
    assert code == 3, said
    assert "move it away" in said
    assert "Traceback" not in copied.log.read_text()
    assert tree(copied.out) == MANY  # nothing was delivered again, with a ledger half of holes
    # restored, as it says: it goes on where it was
    for end in ("-wal", "-shm"):
        ledger(copied, end).unlink(missing_ok=True)
    ledger(copied).write_bytes(kept)
    assert copied.once() == 0
    assert tree(copied.out) == MANY | {"new.dat": b"new"}


def test_a_ledger_that_was_moved_away_begins_anew_and_says_so(copied):
    shutil.rmtree(copied.inp)
    copied.inp.mkdir()
    ledger(copied).rename(copied.root / "aside")
    drop(copied.inp / "new.dat", b"new")
    assert copied.once() == 0
    assert [one["level"] for one in copied.events("ledger.new")] == ["warning"]
    assert tree(copied.out) == MANY | {"new.dat": b"new"}


def test_a_wal_that_was_deleted_after_a_kill_loses_no_file(tmp_path):
    place = Place(tmp_path, settle="0s")
    place.start()
    for name, content in MANY.items():
        drop(place.inp / name, content)
    place.wait(lambda: len(tree(place.out)) > 20)
    place.kill()
    for end in ("-wal", "-shm"):
        ledger(place, end).unlink()
    assert place.once() == 0
    assert place.once() == 0  # it does not damage the ledger either
    assert set(tree(place.out).values()) == set(MANY.values())
    assert tree(place.archive) == MANY
    assert tree(place.inp) == {}


@pytest.mark.parametrize("end", ["", "-wal", "emptied"])
def test_a_ledger_taken_away_under_the_daemon_ends_it_and_says_so(tmp_path, end):
    place = Place(tmp_path, settle="0s")
    daemon = place.start()
    drop(place.inp / "a", b"a")
    place.wait_out("a")
    place.wait(lambda: tree(place.archive) == {"a": b"a"})
    if end == "emptied":
        emptied(ledger(place))
    else:
        ledger(place, end).unlink()
    assert daemon.wait(timeout=60) == 3
    place.daemon = None
    assert "under the running daemon" in place.log.read_text()
    drop(place.inp / "b", b"b")
    assert place.once() == 0
    assert tree(place.out) == tree(place.archive) == {"a": b"a", "b": b"b"}


def test_a_locked_ledger_is_waited_for(tmp_path):
    """Longer than SQLite's own patience of 10 s; once while it runs, once at the start."""
    place = Place(tmp_path, settle="0s")
    with place.running():
        drop(place.inp / "a", b"a")
        place.wait(lambda: tree(place.archive) == {"a": b"a"})
        with Held(ledger(place)):
            drop(place.inp / "b", b"b")
            place.wait(lambda: place.events("trouble"))
        place.wait(lambda: tree(place.archive).keys() == {"a", "b"})
        place.wait(lambda: place.events("trouble.over"))
    (told,) = place.events("trouble")
    assert "locked by another program" in told["reason"]
    drop(place.inp / "c", b"c")
    with Held(ledger(place)):
        place.daemon = unattended(place)
        place.wait(lambda: len(place.events("trouble")) == 2)
    place.wait(lambda: tree(place.archive).keys() == {"a", "b", "c"})
    assert place.stop() == 0


def unattended(place: Place) -> subprocess.Popen[bytes]:
    with place.log.open("ab") as log:
        return subprocess.Popen(
            place.command("run"),
            cwd=place.root,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )


class Held:
    """The ledger locked by another program that writes."""

    def __init__(self, file: Path) -> None:
        self.other = sqlite3.connect(file, isolation_level=None, timeout=30)

    def __enter__(self) -> None:
        self.other.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self.other.execute("ROLLBACK")
        self.other.close()


def test_a_full_disk_under_the_state_stops_all_until_there_is_room(tmp_path, mounts):
    (tmp_path / "var").mkdir()
    mounts.run("mount", "-t", "tmpfs", "-o", "size=24m", "none", tmp_path / "var")
    place = Place(tmp_path, prefix=mounts.prefix, settle="0s")
    fill = f"dd if=/dev/zero of={tmp_path}/var/fill bs=4k count=9000 2>/dev/null; true"
    with place.running():
        drop(place.inp / "first", b"first")
        place.wait(lambda: tree(place.archive) == {"first": b"first"})
        mounts.run("sh", "-c", fill)
        for name, content in MANY.items():
            drop(place.inp / name, content)
        place.wait(lambda: place.events("trouble"))
        assert "free space" in place.events("trouble")[0]["reason"]
        mounts.run("rm", tmp_path / "var" / "fill")
        place.wait(lambda: len(tree(place.archive)) == len(MANY) + 1)
        assert place.events("trouble.over")
    # and at a start: it waits, for nobody mends a disk by starting again and again
    mounts.run("sh", "-c", fill)
    drop(place.inp / "last", b"last")
    before = len(place.events("trouble"))
    place.daemon = unattended(place)
    place.wait(lambda: len(place.events("trouble")) > before)
    assert "free space" in place.events("trouble")[-1]["reason"]
    mounts.run("rm", tmp_path / "var" / "fill")
    place.wait(lambda: len(tree(place.archive)) == len(MANY) + 2)
    assert place.stop() == 0
    assert tree(place.out) == tree(place.archive) == MANY | {"first": b"first", "last": b"last"}


def test_a_read_only_state_is_told(tmp_path, mounts):
    (tmp_path / "var").mkdir()
    mounts.run("mount", "-t", "tmpfs", "none", tmp_path / "var")
    place = Place(tmp_path, prefix=mounts.prefix, settle="0s")
    drop(place.inp / "a", b"a")
    assert place.once() == 0
    mounts.run("mount", "-o", "remount,ro", tmp_path / "var")
    drop(place.inp / "b", b"b")
    assert place.once() == 3
    assert "Read-only file system" in place.log.read_text().splitlines()[-1]
    mounts.run("mount", "-o", "remount,rw", tmp_path / "var")
    assert place.once() == 0
    assert tree(place.out) == {"a": b"a", "b": b"b"}
