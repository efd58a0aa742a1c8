"""The real ``watcher run`` under writers of every habit, and roots that come and go."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import threading
import time
import zipfile
from pathlib import Path

import pytest

from tests.e2e.place import Place, drop, tree

NEVER = "3600s"  # between periodic scans: what is found is found by the watch


# ---------------------------------------------------------------- writers
def slowly(path: Path, chunks: list[bytes], stall: float, *, reopen: bool = False) -> None:
    """Write in steps; ``reopen`` closes the file between them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    out = path.open("wb")
    for chunk in chunks:
        out.write(chunk)
        out.flush()
        if reopen:
            out.close()
        threading.Event().wait(stall)
        if reopen:
            out = path.open("ab")
    out.close()


def preallocated(path: Path, content: bytes) -> None:
    """As SMB and some copiers do: full length first, content later, backwards."""
    with path.open("wb") as out:
        out.truncate(len(content))
        out.flush()
        threading.Event().wait(4.0)  # longer than the quiet time, as below
        half = len(content) // 2
        out.seek(half)
        out.write(content[half:])
        out.flush()
        threading.Event().wait(4.0)
        out.seek(0)
        out.write(content[:half])


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311  (content, no secret)


def stalling(inp: Path) -> dict[str, bytes]:
    """All writers that take their time, at once; returns when the last has ended."""
    expected: dict[str, bytes] = {}
    threads = []
    for number, stall in enumerate((0.3, 1.5, 4.0, 10.0)):
        chunks = [noise(50_000, 10 * number + i) for i in range(3 if stall < 10 else 2)]
        expected[f"slow{number}.bin"] = b"".join(chunks)
        threads.append(
            threading.Thread(target=slowly, args=(inp / f"slow{number}.bin", chunks, stall))
        )
    chunks = [noise(20_000, i) for i in range(5)]
    expected["again.bin"] = b"".join(chunks)
    threads.append(
        threading.Thread(
            target=slowly, args=(inp / "again.bin", chunks, 0.3), kwargs={"reopen": True}
        )
    )
    expected["allocated.bin"] = noise(300_000, 99)
    threads.append(
        threading.Thread(
            target=preallocated, args=(inp / "allocated.bin", expected["allocated.bin"])
        )
    )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return expected


def copying(inp: Path, outside: Path) -> dict[str, bytes]:
    """Trees brought in by every usual tool."""
    source = outside / "tree"
    for number in range(30):
        drop(source / f"d{number % 7}" / f"e{number % 3}" / f"f{number}.dat", noise(2000, number))
    files = tree(source)
    expected: dict[str, bytes] = {}

    def brought(name: str) -> None:
        expected.update({f"{name}/{path}": content for path, content in files.items()})

    subprocess.run(["cp", "-r", source, inp / "copied"], check=True)
    brought("copied")
    if shutil.which("rsync"):
        subprocess.run(["rsync", "-a", f"{source}/", f"{inp}/synced/"], check=True)
        brought("synced")
    with zipfile.ZipFile(outside / "a.zip", "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    with zipfile.ZipFile(outside / "a.zip") as archive:
        archive.extractall(inp / "unzipped")
    brought("unzipped")
    shutil.copytree(source, outside / "moved")
    (outside / "moved").rename(inp / "moved")
    brought("moved")
    for number in range(300):
        folder = inp / f"burst{number}" / "deep"
        folder.mkdir(parents=True)
        (folder / "f").write_bytes(b"%d" % number)
        expected[f"burst{number}/deep/f"] = b"%d" % number
    (outside / "hard").write_bytes(b"linked")
    os.link(outside / "hard", inp / "hard.dat")
    expected["hard.dat"] = b"linked"
    (inp / "download.crdownload").write_bytes(b"downloaded")
    (inp / "download.crdownload").rename(inp / "download.zip")
    expected["download.zip"] = b"downloaded"
    return expected


def test_writers_of_every_habit_are_waited_for_and_delivered_once(tmp_path):
    place = Place(tmp_path, done="keep", settle="3s", scan_every=NEVER)
    outside = tmp_path / "outside"
    outside.mkdir()
    (place.inp / "before").write_bytes(b"here at the start")
    with place.running():
        expected = {"before": b"here at the start"}
        expected |= copying(place.inp, outside)
        expected |= stalling(place.inp)
        place.wait_out(*expected)
        assert tree(place.out) == expected
        for path in expected:  # touched without change: nothing is to happen
            (place.inp / path).touch()
        drop(place.inp / "last", b"last")
        place.wait_out("last")
        place.wait(lambda: len(place.told()) == len(expected) + 1)
    delivered = [event["file"] for event in place.events("file.delivered")]
    assert sorted(delivered) == sorted([*expected, "last"])
    assert not place.events("file.failed", "file.held")


def test_without_quiet_time_a_writer_that_opens_once_is_never_cut(tmp_path):
    place = Place(tmp_path, settle="0s", scan_every="1s")
    contents = {f"f{n}.bin": [noise(30_000, 100 + 3 * n + i) for i in range(3)] for n in range(24)}
    with place.running():
        threads = [
            threading.Thread(target=slowly, args=(place.inp / name, chunks, 0.1 + n % 6 * 0.3))
            for n, (name, chunks) in enumerate(contents.items())
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        place.wait_out(*contents)
    assert tree(place.out) == {name: b"".join(chunks) for name, chunks in contents.items()}
    delivered = [event["file"] for event in place.events("file.accepted")]
    assert sorted(delivered) == sorted(contents)


def test_files_that_go_and_change_all_the_time_harm_no_other(tmp_path):
    place = Place(tmp_path, settle="50ms", scan_every="1s")
    over = threading.Event()

    def churn(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311
        while not over.wait(0.002):
            path = place.inp / f"churn{dice.randrange(8)}.bin"
            try:
                if dice.random() < 0.4:
                    path.unlink()
                else:
                    path.write_bytes(dice.randbytes(dice.randrange(60_000)))
            except OSError:
                continue  # the daemon or the other churner was quicker

    with place.running():
        threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(2)]
        for thread in threads:
            thread.start()
        try:
            for number in range(25):
                drop(place.inp / f"calm{number}", b"%d" % number)
                place.wait_out(f"calm{number}")
        finally:
            over.set()
            for thread in threads:
                thread.join()
        place.wait(lambda: not tree(place.inp), "what is left settles")
    out = tree(place.out)
    assert all(out[f"calm{number}"] == b"%d" % number for number in range(25))
    for event in place.events("file.failed"):
        assert "removed before it could be read" in event["reason"]
    assert tree(tmp_path / "var" / "staging") == {}


# ---------------------------------------------------------------- new content, failed and back
def test_new_content_a_gone_file_and_one_moved_back_are_new_arrivals(tmp_path):
    place = Place(tmp_path, done="keep", settle="50ms", scan_every="1s")
    with place.running():
        drop(place.inp / "a", b"one")
        place.wait(lambda: tree(place.out) == {"a": b"one"})
        place.wait(lambda: len(place.events("file.delivered")) == 1)
        drop(place.inp / "a", b"another")
        place.wait(lambda: tree(place.out) == {"a": b"another"})
        place.wait(lambda: len(place.events("file.delivered")) == 2)
        (place.inp / "a").unlink()
        place.wait(lambda: "no longer in the input" in place.ask("explain", "in/a").stdout)
        drop(place.inp / "a", b"another")
        place.wait(lambda: len(place.events("file.delivered")) == 3)
        drop(place.inp / "b.stl", b"junk")
        place.wait((place.failed / "b.stl.error.txt").exists)
        (place.failed / "b.stl").rename(place.inp / "b.stl")
        place.wait(lambda: len(place.events("file.failed")) == 2)
        place.wait((place.failed / "b.stl").exists)
    assert tree(place.out) == {"a": b"another"}
    assert set(tree(place.failed)) == {"b.stl", "b.stl.error.txt"}


def test_what_happens_to_a_source_while_its_job_runs(tmp_path):
    place = Place(tmp_path, settle="50ms", scan_every="1s", done="keep")
    place.config.write_text(place.config.read_text().replace("workers: 1", "workers: 4"))
    runs = tmp_path / "runs"

    def seen() -> list[bytes]:
        return sorted(runs.read_bytes().splitlines()) if runs.exists() else []

    with place.running():
        for name in ("replaced", "deleted", "touched"):
            drop(place.inp / f"{name}.slow", name.encode())
        place.wait(lambda: len(seen()) == 3, "all three run")
        drop(place.inp / "replaced.slow", b"replaced by another")
        (place.inp / "deleted.slow").unlink()
        (place.inp / "touched.slow").touch()
        place.wait(lambda: len(seen()) == 4, "the new content runs")
        (tmp_path / "go").touch()
        place.wait_out("replaced.bin", "deleted.bin", "touched.bin")
        drop(place.inp / "last", b"last")
        place.wait_out("last")
        place.wait(lambda: len(place.events("file.delivered")) >= 4)
    assert tree(place.out) == {
        "replaced.bin": b"replaced by another",
        "deleted.bin": b"deleted",
        "touched.bin": b"touched",
        "last": b"last",
    }
    assert seen() == [b"deleted", b"replaced", b"replaced by another", b"touched"]
    assert len(place.events("file.delivered")) == 4
    assert tree(place.failed) == {}


# ---------------------------------------------------------------- roots
def test_a_root_that_is_missing_replaced_or_emptied_is_waited_for(tmp_path):
    place = Place(tmp_path, done="keep", settle="50ms", scan_every=NEVER)
    place.inp.rmdir()
    with place.running():
        assert place.events("root.offline")
        place.inp.mkdir()
        drop(place.inp / "a", b"a")
        place.wait_out("a")
        shutil.rmtree(place.inp)  # deleted and made again
        place.wait(lambda: len(place.events("root.offline")) == 2)
        place.inp.mkdir()
        drop(place.inp / "sub" / "b", b"b")
        place.wait_out("sub/b")
        place.inp.rename(tmp_path / "old")  # renamed and replaced at once
        place.inp.mkdir()
        drop(place.inp / "c", b"c")
        place.wait_out("c")
        drop(tmp_path / "old" / "stranger", b"no")
        drop(place.inp / "d", b"d")
        place.wait_out("d")
        shutil.rmtree(place.inp)  # a file stands there for a while
        place.inp.write_text("no folder")
        place.wait(lambda: "not a folder" in place.events("root.offline")[-1]["reason"])
        place.inp.unlink()
        place.inp.mkdir()
        drop(place.inp / "e", b"e")
        place.wait_out("e")
    assert tree(place.out) == {"a": b"a", "sub/b": b"b", "c": b"c", "d": b"d", "e": b"e"}


def test_once_says_that_a_root_is_missing(tmp_path):
    place = Place(tmp_path)
    assert place.once() == 0
    place.inp.rmdir()
    assert place.once() == 1
    assert "not there" in place.events("root.offline")[-1]["reason"]


# ---------------------------------------------------------------- lost events
def test_an_overflow_of_the_event_queue_loses_no_file(tmp_path):
    place = Place(tmp_path, settle="50ms", scan_every=NEVER)
    with place.running():
        drop(place.inp / "first")
        place.wait_out("first")
        os.kill(place.daemon.pid, signal.SIGSTOP)
        stat = Path("/proc", str(place.daemon.pid), "stat")
        place.wait(lambda: ") T " in stat.read_text())
        most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        paths = [place.inp / ".noise0", place.inp / ".noise1"]
        for number in range(most + 100):  # two names, since equal events in a row are one
            os.close(os.open(paths[number % 2], os.O_WRONLY | os.O_CREAT))
        late = {f"late{number // 50}/f{number}": b"%d" % number for number in range(500)}
        for name, content in late.items():
            (place.inp / name).parent.mkdir(exist_ok=True)
            (place.inp / name).write_bytes(content)
        os.kill(place.daemon.pid, signal.SIGCONT)
        place.wait_out(*late)
        # folders made while the queue was full are watched as well
        drop(place.inp / "late3" / "after", b"after")
        place.wait_out("late3/after")
    assert tree(place.out) == {"first": b"x", "late3/after": b"after", **late}


def test_with_too_few_watches_all_is_found_and_the_reason_told(tmp_path):
    script = 'echo 4 > /proc/sys/user/max_inotify_watches && exec "$@"'
    prefix = ("unshare", "-Ur", "sh", "-c", script, "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not make a user namespace")
    place = Place(tmp_path, prefix=prefix, settle="50ms", scan_every="1s")
    for number in range(20):
        drop(place.inp / f"d{number}" / "f", b"%d" % number)
    with place.running():
        told = place.events("root.online")[-1]
        assert told["watch"] == "polling"
        assert "max_user_watches" in told["note"]
        drop(place.inp / "d19" / "later", b"later")
        place.wait_out("d19/later", *(f"d{number}/f" for number in range(20)))


def test_a_tree_that_outgrows_the_watches_is_polled_from_then_on(tmp_path):
    script = 'echo 20 > /proc/sys/user/max_inotify_watches && exec "$@"'
    prefix = ("unshare", "-Ur", "sh", "-c", script, "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not make a user namespace")
    place = Place(tmp_path, prefix=prefix, settle="50ms", scan_every="2s")
    with place.running():
        assert place.events("root.online")[-1]["watch"] == "native"
        for number in range(40):
            drop(place.inp / f"d{number}" / "f", b"%d" % number)
        place.wait_out(*(f"d{number}/f" for number in range(40)))
        place.wait(lambda: place.events("root.online")[-1]["watch"] == "polling")
        assert "max_user_watches" in place.events("root.online")[-1]["note"]
        drop(place.inp / "d39" / "later", b"later")
        place.wait_out("d39/later")


def test_without_any_native_watch_only_the_latency_differs(tmp_path):
    place = Place(tmp_path, settle="50ms", watch="polling", scan_every="1s")
    with place.running():
        assert place.events("root.online")[-1]["watch"] == "polling"
        expected = copying(place.inp, tmp_path / "outside")
        place.wait_out(*expected)
    assert tree(place.out) == expected


# ---------------------------------------------------------------- mounts
def test_an_unmounted_input_is_never_all_gone(tmp_path, mounts):
    place = Place(tmp_path, prefix=mounts.prefix, done="keep", settle="50ms", scan_every="2s")
    (tmp_path / "disk").mkdir()
    inp = mounts.see(place.inp)
    mounts.run("mount", "-t", "tmpfs", "none", tmp_path / "disk")
    mounts.run("mount", "--bind", tmp_path / "disk", place.inp)
    drop(inp / "a", b"a")
    drop(inp / "sub" / "b", b"b")
    with place.running():
        place.wait_out("a", "sub/b")
        mounts.run("umount", "-l", place.inp)
        place.wait(lambda: "mounted" in str(place.events("root.trouble")[-1:]), "doubt")
        drop(inp / "stray", b"stray")  # written where the disk is missing: taken all the same
        place.wait_out("stray")
        mounts.run("mount", "--bind", tmp_path / "disk", place.inp)
        drop(inp / "c", b"c")
        place.wait_out("c")
    # and the same over a restart with the disk away
    mounts.run("umount", "-l", place.inp)
    with place.running():
        place.wait(lambda: len(place.events("root.trouble")) > 1, "doubt after a restart")
        mounts.run("mount", "--bind", tmp_path / "disk", place.inp)
        drop(inp / "d", b"d")
        place.wait_out("d")
    delivered = [event["file"] for event in place.events("file.delivered")]
    assert sorted(delivered) == ["a", "c", "d", "stray", "sub/b"]


def test_an_output_that_is_full_read_only_gone_or_a_file_holds_and_goes_on(tmp_path, mounts):
    place = Place(tmp_path, prefix=mounts.prefix, settle="50ms", scan_every="2s")
    place.out.mkdir()
    inp, out = mounts.see(place.inp), mounts.see(place.out)
    mounts.run("mount", "-t", "tmpfs", "-o", "size=2m", "none", place.out)

    def held(name: str, reason: str) -> None:
        place.wait(lambda: reason in str(place.told().get(name, {}).get("reason")), name)
        assert place.told()[name]["state"] == "held"

    with place.running():
        huge = ["huge.bin", *(f"huge{number}.bin" for number in range(6))]
        for name in huge:
            with (inp / name).open("wb") as out_of_bounds:
                out_of_bounds.truncate(5 << 30)
        held("huge.bin", "5120")
        drop(inp / "small", b"small")
        place.wait(lambda: tree(out) == {"small": b"small"}, "the small one goes past them")
        for name in huge:
            (inp / name).unlink()
        place.wait(lambda: {place.told()[name]["state"] for name in huge} == {"failed"})

        mounts.run("mount", "-o", "remount,ro", place.out)
        drop(inp / "readonly", b"ro")
        held("readonly", "read-only")
        mounts.run("mount", "-o", "remount,rw", place.out)
        place.wait(lambda: "readonly" in tree(out), "writable again")

        (out / "filler").write_bytes(bytes((2 << 20) - 64 * 1024))
        drop(inp / "full", noise(200_000, 1))
        held("full", "free")
        (out / "filler").unlink()
        place.wait(lambda: tree(out).get("full") == noise(200_000, 1), "room again")

        mounts.run("umount", "-l", place.out)
        mounts.run("rmdir", place.out)
        drop(inp / "gone", b"gone")
        held("gone", "not there")
        mounts.run("touch", place.out)
        drop(inp / "file", b"file")
        held("file", "is not a folder")
        mounts.run("rm", place.out)
        mounts.run("mkdir", place.out)
        place.wait(lambda: {"gone", "file"} <= set(tree(out)), "there again")
        assert tree(out) == {"gone": b"gone", "file": b"file"}
    assert "removed before" in place.told()["huge.bin"]["reason"]
    assert tree(tmp_path / "var" / "staging") == {}


def test_done_and_failed_on_another_disk_or_taken_away(tmp_path, mounts):
    place = Place(tmp_path, prefix=mounts.prefix, settle="50ms", scan_every="2s")
    for folder in (place.archive, place.failed):
        folder.mkdir()
        mounts.run("mount", "-t", "tmpfs", "-o", "size=4m", "none", folder)
    inp, archive, failed = (mounts.see(one) for one in (place.inp, place.archive, place.failed))
    with place.running():
        drop(inp / "a.dat", noise(100_000, 5))
        drop(inp / "bad.stl", b"junk")
        place.wait(lambda: set(tree(failed)) == {"bad.stl", "bad.stl.error.txt"})
        place.wait(lambda: tree(archive) == {"a.dat": noise(100_000, 5)})
        mounts.run("umount", "-l", place.failed)
        mounts.run("rmdir", place.failed)
        mounts.run("mount", "-o", "remount,ro", place.archive)
        drop(inp / "worse.stl", b"junk")
        drop(inp / "b.dat", b"b")
        place.wait_out("b.dat")
        place.wait(lambda: place.told().get("worse.stl", {}).get("state") == "failed")
        assert "b.dat" in tree(inp)  # delivered, not yet archived
        mounts.run("mount", "-o", "remount,rw", place.archive)
        mounts.run("mkdir", place.failed)
        place.wait(lambda: set(tree(failed)) == {"worse.stl", "worse.stl.error.txt"})
        place.wait(lambda: set(tree(archive)) == {"a.dat", "b.dat"})
        place.wait(lambda: tree(inp) == {}, "another disk: copied, then removed")
    assert len([e for e in place.events("file.delivered") if e["file"] == "b.dat"]) == 1


# ---------------------------------------------------------------- killed
def test_killed_again_and_again_under_load_nothing_is_lost_twice_or_half(tmp_path):
    place = Place(tmp_path, settle="50ms")
    expected = {f"d{n % 9}/f{n}.dat": noise(3000 + n, n) for n in range(400)}
    feeder = threading.Thread(
        target=lambda: [drop(place.inp / name, body) for name, body in expected.items()]
    )
    feeder.start()
    for number in range(6):
        place.start()
        time.sleep(0.05 * number)  # when it dies does not matter; that it does matters
        place.kill()
    feeder.join()
    assert place.once() == 0, place.tail()
    assert tree(place.out) == expected
    assert tree(place.archive) == expected
    assert tree(place.inp) == {}


def test_a_stop_in_the_middle_of_the_start_is_a_clean_end(tmp_path):
    place = Place(tmp_path)
    for wait in (0.5, 0.8, 1.1):
        daemon = subprocess.Popen(
            place.command("run"), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        handled = Path("/proc", str(daemon.pid), "status")
        place.wait(lambda h=handled: caught(h.read_text(), signal.SIGTERM))
        threading.Event().wait(wait - 0.5)
        daemon.terminate()
        assert daemon.wait(timeout=60) == 0
    assert place.once() == 0


def caught(status: str, number: int) -> bool:
    """Whether a process handles a signal: the mask of proc(5)."""
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_a_daemon_whose_state_was_taken_away_ends_and_says_so(tmp_path):
    place = Place(tmp_path)
    daemon = place.start()
    drop(place.inp / "a", b"a")
    place.wait_out("a")
    place.wait(lambda: tree(place.archive) == {"a": b"a"})
    shutil.rmtree(tmp_path / "var")
    assert daemon.wait(timeout=60) == 3
    place.daemon = None
    assert "removed or replaced" in place.log.read_text()
    drop(place.inp / "b", b"b")
    assert place.once() == 0
    assert tree(place.out) == {"a": b"a", "b": b"b"}


def test_a_second_daemon_on_the_state_is_refused_and_sigint_drains(tmp_path):
    place = Place(tmp_path)
    with place.running():
        done = place.ask("run")
        assert done.returncode == 3
        assert "another watcher" in done.stdout + done.stderr
        place.daemon.send_signal(signal.SIGINT)
        assert place.daemon.wait(timeout=60) == 0
        place.start()
