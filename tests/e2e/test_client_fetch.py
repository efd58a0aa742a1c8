"""download and download_all: whole files under their names, or none.

A letter and a number in a name (``d4``) is the defect of the old client that the test is about.
"""

from __future__ import annotations

import io
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import zipfile

import pytest

from tests.command import watcher
from tests.replay import JOB, Answer, Replay, capture
from watcher.cli import fetch

ARCHIVE = f"/jobs/{JOB}/outputs/archive"
STATUS = f"/jobs/{JOB}"


def early(text="TaskProcessingStarted: Archive Task created"):
    return Answer(425, {"detail": {"code": 425, "message": "Too early", "details": text}})


def packed(**files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return made.getvalue()


def short(status):
    return Answer(200, {"uuid": JOB, "name": None, "status": status, "progress": None})


@pytest.fixture
def server():
    with Replay() as made:
        yield made


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def get(server, name, *more, **options):
    return watcher("-u", server.url, "download", "-j", JOB, "-f", name, *more, **options)


def test_the_guides_download(server, here):
    server.runs(outputs={"a.txt": b"alpha\n"})
    done = get(server, "a.txt", "-o", "myoutput.txt")
    assert done.code == 0, done.err
    assert (here / "myoutput.txt").read_bytes() == b"alpha\n"
    found = {"uuid": JOB, "name": "a.txt", "files": ["myoutput.txt"], "size": 6}
    assert done.json == found
    shown = get(server, "a.txt", "-o", "myoutput.txt", terminal=True)
    assert "myoutput.txt  6 B" in shown.out
    assert "a.txt" in shown.err


def test_d6_d7_output_is_optional_a_folder_or_a_path_that_is_made(server, here):
    server.runs(outputs={"a.txt": b"alpha\n", "sub/b.txt": b"beta"})
    (here / "folder").mkdir()
    assert get(server, "a.txt").code == 0
    assert get(server, "sub/b.txt").code == 0
    assert get(server, "a.txt", "-o", "folder").code == 0
    assert get(server, "a.txt", "-o", "new/").code == 0
    assert get(server, "a.txt", "-o", "deep/er/x.bin").code == 0
    found = sorted(str(path.relative_to(here)) for path in here.rglob("*") if path.is_file())
    assert found == ["a.txt", "b.txt", "deep/er/x.bin", "folder/a.txt", "new/a.txt"]


def test_d6_a_name_is_needed(server):
    assert watcher("-u", server.url, "download", "-j", JOB).code == 2
    for name in ("", "..", ".", "a/..", "../x", "/x", "/", "a\0"):
        assert get(server, name).code == 2
    assert not server.asked


def test_d5_every_name_reaches_the_server(server, here):
    names = [
        "部" * 85,
        "pct%20plus+hash#q?.txt",
        "my part (1).stp",
        "größe 部品.stp",
        "back\\slash",
        "a&b;c",
    ]
    server.runs(outputs={name: name.encode() for name in names})
    for name in names:
        assert get(server, name).code == 0, name
        assert (here / name).read_text() == name


def test_an_output_called_archive_is_not_the_archive(server, here):
    server.answer("GET", f"/jobs/{JOB}/outputs/.%2Farchive", body=b"mine")
    assert get(server, "archive").code == 0
    assert (here / "archive").read_bytes() == b"mine"


def test_d8_a_cut_download_leaves_what_was_there(server, here):
    (here / "a.txt").write_text("old")
    server.answer("GET", f"/jobs/{JOB}/outputs/a.txt", body=b"alp", length=6)
    server.answer("GET", f"/jobs/{JOB}/outputs", body={"outputs": ["a.txt"]})
    server.answer("GET", STATUS, drop=True)
    done = get(server, "a.txt")
    assert done.code == 3
    assert (here / "a.txt").read_text() == "old"
    assert [path.name for path in here.iterdir()] == ["a.txt"]


def test_d9_a_folder_is_downloaded_with_all_that_is_in_it(server, here):
    server.runs(outputs={"sub": None, "a.txt": b"a"})
    server.answer("GET", ARCHIVE, body=packed(sub__deep__x="x", sub__y="y", a="a"))
    done = get(server, "sub")
    assert done.code == 0, done.err
    found = sorted(str(path.relative_to(here)) for path in here.rglob("*") if path.is_file())
    assert found == ["sub/deep/x", "sub/y"]
    assert done.json["files"] == ["sub/deep/x", "sub/y"]


def test_a_missing_output_is_one_line_with_the_servers_words(server, here):
    server.capture("output_missing")
    name = capture("output_missing")["request"]["path"].rpartition("/")[2]
    uuid = capture("output_missing")["request"]["path"].split("/")[2]
    server.answer("GET", f"/jobs/{uuid}/outputs", body={"outputs": []})
    done = watcher("-u", server.url, "download", "-j", uuid, "-f", name)
    assert done.code == 3
    assert "SharePathNotFoundError" in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(here.iterdir())


def test_d14_an_answer_without_a_length_is_taken(server, here):
    server.answer(
        "GET", f"/jobs/{JOB}/outputs/a.txt", body=b"alpha", headers={"Connection": "close"}
    )
    assert get(server, "a.txt", terminal=True).code == 0
    server.runs(outputs={"empty": b""})
    assert get(server, "empty", terminal=True).code == 0
    assert (here / "empty").read_bytes() == b""


def test_an_output_path_that_cannot_be_written_is_found_before(server, here):
    (here / "file").write_text("x")
    (here / "folder" / "a.txt").mkdir(parents=True)
    for output in ("file/x", "file/deep/x", "/proc/nope/x"):
        done = get(server, "a.txt", "-o", output)
        assert done.code == 2, output
        assert len(done.err.splitlines()) == 1
    assert not server.asked


def test_d4_a_big_download_needs_little_memory(server, here):
    server.runs(outputs={"big.bin": bytes(1 << 20) * 150})
    code = (
        "import sys; from watcher.cli.app import run; assert run(sys.argv[1:]) == 0;"
        "print(open('/proc/self/status').read(), file=sys.stderr)"
    )
    words = ["-u", server.url, "download", "-j", JOB, "-f", "big.bin"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (here / "big.bin").stat().st_size == 150 << 20
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", done.stderr)[1])
    assert peak < 100 << 10


def test_a_full_disk_while_downloading_leaves_nothing(server, here):
    server.runs(outputs={"big.bin": bytes(9 << 20)})
    words = [sys.executable, "-m", "watcher", "-u", server.url, "download", "-j", JOB]
    done = subprocess.run(
        [*words, "-f", "big.bin"],
        capture_output=True,
        text=True,
        # the limit of a file's size stands for a full disk; its signal is ignored, as Python does
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20)),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert not list(here.iterdir())


def test_ctrl_c_while_downloading_leaves_nothing(server, here):
    asked, release = threading.Event(), threading.Event()
    server.answer("GET", f"/jobs/{JOB}/outputs/a.bin", body=bytes(1 << 20), pace=0.5)
    server.script[("GET", f"/jobs/{JOB}/outputs/a.bin")].insert(
        0, lambda _: (asked.set(), Answer(200, bytes(8 << 20), pace=0.2))[1]
    )
    words = ["-u", server.url, "download", "-j", JOB, "-f", "a.bin"]
    process = subprocess.Popen(
        [sys.executable, "-m", "watcher", *words], stderr=subprocess.PIPE, text=True
    )
    assert asked.wait(60)
    while not list(here.iterdir()):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    release.set()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not list(here.iterdir())


def take(server, *more, **options):
    return watcher("-u", server.url, "download_all", "-j", JOB, *more, **options)


def test_d10_d11_the_archive_is_waited_for_and_taken_once(server, here):
    server.runs()
    good = packed(a="alpha", sub__b="beta")
    server.script[("GET", ARCHIVE)] = [early(), early("already running"), Answer(200, good)]
    done = take(server)
    assert done.code == 0, done.err
    assert (here / f"{JOB}.zip").read_bytes() == good
    assert server.paths().count(ARCHIVE) == 3
    assert done.json == {"uuid": JOB, "files": [f"{JOB}.zip"], "size": len(good)}


def test_the_alias_and_the_path(server, here):
    server.runs()
    server.answer("GET", ARCHIVE, body=packed(a="a"))
    words = ["-u", server.url, "download-all", "-j", JOB, "-o"]
    assert watcher(*words, "new/all.zip").code == 0
    (here / "folder").mkdir()
    assert watcher(*words, "folder", terminal=True).code == 0
    assert zipfile.is_zipfile(here / "new" / "all.zip")
    assert zipfile.is_zipfile(here / "folder" / f"{JOB}.zip")


def test_d11_a_running_job_is_waited_for(server, here):
    server.script[("GET", STATUS)] = [short("RUNNING"), short("STARTED"), short("SUCCESS")]
    server.answer("GET", ARCHIVE, body=packed(a="a"))
    assert take(server).code == 0
    assert server.paths().count(ARCHIVE) == 1


def test_a_dropped_connection_while_waiting_ends_nothing(server, here):
    dropped = Answer(drop=True)
    states = [short("RUNNING"), dropped, dropped, dropped, short("SUCCESS")]
    server.script[("GET", STATUS)] = states
    server.answer("GET", ARCHIVE, body=packed(a="a"))
    assert take(server).code == 0
    server.script[("GET", STATUS)] = [Answer(401, {"detail": "Invalid token"})]
    assert take(server).code == 3
    server.script[("GET", STATUS)] = [dropped]
    assert take(server).code == 3


def test_one_look_that_outlasts_patience_does_not_end_the_wait_for_an_archive(
    server, here, monkeypatch
):
    monkeypatch.setattr(fetch, "PATIENCE", 0.3)
    slow = Answer(502, wait=lambda: threading.Event().wait(0.4))
    server.script[("GET", STATUS)] = [short("RUNNING"), slow, short("SUCCESS")]
    server.answer("GET", ARCHIVE, body=packed(a="a"))
    done = take(server)
    assert done.code == 0, done.err
    server.script[("GET", STATUS)] = [short("RUNNING"), Answer(502)]  # the pauses outlast it
    assert take(server).code == 3


def test_d12_a_broken_zip_is_never_kept(server, here):
    server.runs()
    good = packed(a="alpha" * 1000)
    broken = bytearray(good)
    broken[60] ^= 0xFF
    answers = [Answer(200, good[:50]), Answer(200, bytes(broken)), Answer(200, good)]
    server.script[("GET", ARCHIVE)] = answers
    assert take(server).code == 0
    assert (here / f"{JOB}.zip").read_bytes() == good
    server.script[("GET", ARCHIVE)] = [Answer(200, good[:50])]
    done = take(server, "-o", "x.zip", "--timeout", "0.2")
    assert done.code == 4
    assert not (here / "x.zip").exists()


def test_d13_a_revoked_job_has_no_archive(server, here):
    server.capture("revoked_status")
    server.capture("revoked_archive")
    uuid = capture("revoked_status")["response"]["body"]["uuid"]
    done = watcher("-u", server.url, "download_all", "-j", uuid)
    assert done.code == 3
    assert "revoked" in done.err
    assert not list(here.iterdir())


def test_d13_an_unknown_job_is_told_at_once(server):
    server.capture("unknown_uuid_archive_fresh")
    uuid = capture("unknown_uuid_archive_fresh")["request"]["path"].split("/")[2]
    pending = capture("unknown_uuid")["response"]["body"] | {"uuid": uuid}
    server.answer("GET", f"/jobs/{uuid}", body=pending)
    done = watcher("-u", server.url, "download_all", "-j", uuid)
    assert done.code == 3
    assert "does not know this job" in done.err


def test_d13_a_job_that_stays_pending_is_not_waited_for_without_end(server):
    server.script[("GET", STATUS)] = [short("PENDING")]
    server.script[("GET", ARCHIVE)] = [early("is not finished yet")]
    done = take(server, "--timeout", "0.2")
    assert done.code == 4
    assert "PENDING" in done.err
    assert "one that it does not know" in done.err


def test_packing_that_never_ends_is_told(server):
    server.runs()
    server.script[("GET", ARCHIVE)] = [early()]
    done = take(server, "--timeout", "0.1")
    assert done.code == 4
    assert "not packed" in done.err


def test_a_failed_job_still_has_its_partial_outputs(server, here):
    server.runs("FAILURE")
    server.answer("GET", ARCHIVE, body=packed(a="a"))
    assert take(server).code == 0


def test_a_folder_in_the_place_of_the_archive_is_bad_input(server, here):
    os.mkdir(here / f"{JOB}.zip")  # noqa: PTH102 - as short as the rest
    assert take(server).code == 2
    assert not server.asked
