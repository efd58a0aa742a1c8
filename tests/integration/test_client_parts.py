"""The client's parts where a command line does not easily reach: files that change, bad disks."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import redirect_stderr

import click
import pytest

from tests.command import watcher
from tests.replay import JOB, Answer, Replay
from watcher.adapters.http import Details, Job, State, Submission
from watcher.cli import show
from watcher.cli.connection import chosen
from watcher.cli.inputs import source, with_parts
from watcher.cli.local import LocalRemote
from watcher.cli.place import check_folder, settle, staging, whole
from watcher.cli.progress import Bars, size
from watcher.cli.remote import reached
from watcher.cli.submit import Queue
from watcher.errors import (
    Denied,
    FileChanged,
    NameTooLong,
    TargetExists,
    TooEarly,
    UsageError,
)


def test_a_source_that_goes_away_before_it_is_sent(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    given = source(path)
    assert given.size == 3
    with given.open() as stream:
        assert stream.read() == b"abc"
    path.unlink()
    with pytest.raises(FileChanged):
        given.open()
    with pytest.raises(UsageError):
        source(path)


def test_a_part_behind_a_link_that_leads_out_is_not_sent(tmp_path):
    (tmp_path / "secret.png").write_text("secret")
    model = tmp_path / "in"
    model.mkdir()
    (model / "a.obj").write_text("mtllib a.mtl\nv 0 0 0\n")
    (model / "a.mtl").write_text("map_Kd out.png\nmap_Kd ../secret.png\n")
    (model / "out.png").symlink_to(tmp_path / "secret.png")
    sources, notes = with_parts(model / "a.obj")
    assert [each.name for each in sources] == ["a.obj", "a.mtl"]
    assert any("out.png" in note for note in notes)
    assert any("secret.png" in note for note in notes)


def test_final_names_are_given_together_or_not_at_all(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder").mkdir()
    moves = {tmp_path / "a": tmp_path / "new" / "a", tmp_path / "b": tmp_path / "folder"}
    with pytest.raises(TargetExists):
        settle(moves, over=frozenset(moves.values()))
    assert not (tmp_path / "new").exists()
    long = {tmp_path / "a": tmp_path / ("x" * 300)}
    with pytest.raises(NameTooLong):
        settle(long, over=frozenset())
    assert (tmp_path / "a").exists()


def _fail(part):
    part.write_text("half")
    (part.parent / "absent" / "x").read_text()


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    target = tmp_path / "new" / "x"
    with pytest.raises(Denied), whole(target) as part:
        _fail(part)
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(Denied), whole(tmp_path / "file" / "x"):
        pytest.fail("it cannot be made")
    with pytest.raises(Denied), staging(tmp_path / "file"):
        pytest.fail("it cannot be made")
    with pytest.raises(UsageError):
        check_folder(tmp_path / "file" / "x")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (44249907, "42.2 MiB"), (2**52, "4096.0 TiB")]
)
def test_sizes(count, text):
    assert size(count) == text


def test_results_and_times_of_any_kind_are_shown(capsys):
    for value, text in (("a\x1bb", "a\\x1bb\n"), ([1], "[\n    1\n]\n"), (True, "true\n")):
        show.result(value)
        assert capsys.readouterr().out == text
    with Replay() as server:
        server.runs(
            time_info={"started": "soon", "stopped": "2026-11-24T02:43:33+00:00"}, steps=None
        )
        done = watcher("-u", server.url, "process", "-n", "x", "-w", terminal=True)
    assert done.code == 0
    assert "took" not in done.out


def test_the_embedded_scheduler_hands_out_only_files_of_ended_jobs(tmp_path):
    remote = LocalRemote(tmp_path)
    try:
        waiting = remote.submit(Submission(process="api_test")).uuid
        with pytest.raises(TooEarly):
            remote.archive(waiting, tmp_path / "x.zip")
        assert not (tmp_path / "x.zip").exists()
    finally:
        remote.close()


def test_a_job_that_a_command_left_holds_no_other_up_and_goes_on_when_followed(tmp_path):
    def ended(remote, uuid):
        deadline = time.monotonic() + 60
        while (status := remote.status(uuid).state) != "SUCCESS":
            assert time.monotonic() < deadline, status
            time.sleep(0.02)

    remote = LocalRemote(tmp_path)
    left = remote.submit(Submission(process="sleep", params={"duration": 3600})).uuid
    remote.close()
    remote = LocalRemote(tmp_path)
    try:
        ended(remote, remote.submit(Submission(process="api_test")).uuid)
        assert remote.status(left).state == "PENDING"
    finally:
        remote.close()
    remote = LocalRemote(tmp_path, follows=left)
    try:
        deadline = time.monotonic() + 60
        while remote.status(left).state != "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        remote.close()


def test_a_token_that_is_no_longer_taken_is_no_folder_in_disguise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Replay() as server:
        server.runs(result={"output": "a.glb"}, outputs={"a.glb": b"x"})
        path = f"/jobs/{JOB}/outputs/a.glb"
        server.script[("GET", path)] = [Answer(401, {"detail": "Invalid token"})]
        words = ["-u", server.url, "download", "-j", JOB, "-f", "a.glb"]
        assert watcher(*words).code == 3
        (tmp_path / "a.obj").write_text("v 0 0 0\n")
        done = watcher("-u", server.url, "convert", "-i", "a.obj", "-o", "b.glb")
        assert done.code == 3
        assert "Invalid token" in done.err
        assert not [each for each in server.paths() if each.endswith("archive")]


def test_stop_signals_are_given_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with click.Context(click.Command("x"), obj={"url": "http://127.0.0.1:9"}), reached():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    seen = []

    def elsewhere():
        with click.Context(click.Command("x"), obj={"url": "http://127.0.0.1:9"}), reached():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_token_file_that_is_no_text(tmp_path):
    (tmp_path / "token").write_bytes(b"\xff\xfe\x00")
    with click.Context(click.Command("x"), obj={}), pytest.raises(UsageError, match="text"):
        chosen({"PIXYZ_SCHEDULER_TOKEN_FILE": str(tmp_path / "token")})


def test_a_job_that_stays_in_the_queue_is_told_once(capsys):
    seen = Queue(Bars(), quiet=0.0)
    for state in (State.RUNNING, State.PENDING, State.PENDING):
        seen(Details(Job(JOB, state)))
    assert capsys.readouterr().err.count("still queued") == 1


def test_every_look_at_a_job_is_drawn_however_soon_the_next_one_comes():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    with redirect_stderr(Terminal()) as shown, Bars() as bars:
        for percent in range(10, 100, 10):
            bars.job(Details(Job(JOB, State.RUNNING, progress=percent)))
        bars.job(Details(Job(JOB, State.SUCCESS)))
    drawn = shown.getvalue()
    assert all(f"{percent} %" in drawn for percent in range(10, 100, 10))


def test_details_that_are_broken_while_the_job_runs_are_asked_again():
    with Replay() as server:
        server.runs(result=1)
        running = server.script[("GET", f"/jobs/{JOB}")][0].body | {"status": "RUNNING"}
        server.script[("GET", f"/jobs/{JOB}")] = [Answer(200, running)]
        server.script[("GET", f"/jobs/{JOB}/details")].insert(
            0, Answer(500, "Internal Server Error")
        )
        done = watcher("-u", server.url, "status", "-w", "-j", JOB)
    assert done.code == 0


def test_a_reader_that_went_away_is_no_traceback():
    with Replay("jobs_many") as server:
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "watcher", "-u", server.url, "jobs"]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
        os.close(writing)
    assert done.returncode == 1
    assert not done.stderr


def test_a_source_that_may_not_be_read_is_named_before_anything_is_sent(tmp_path):
    model = tmp_path / "a.obj"
    model.write_text("mtllib a.mtl\n")
    (tmp_path / "a.mtl").mkdir()
    sources, notes = with_parts(model)
    assert len(sources) == 1
    assert any("a.mtl" in note for note in notes)


def test_an_output_that_is_not_in_the_archive_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Replay() as server:
        server.runs(outputs={"odd": None, "gone": None})
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("odd", "a file all the same")
        server.answer("GET", f"/jobs/{JOB}/outputs/archive", body=made.getvalue())
        for name in ("odd", "gone"):
            done = watcher("-u", server.url, "download", "-j", JOB, "-f", name)
            assert done.code == 3
            assert "HTTP 500" in done.err
    assert not list(tmp_path.iterdir())


HEAVY = {"rich", "pydantic", "sqlalchemy", "yaml", "structlog", "watchdog", "starlette", "numpy"}


@pytest.mark.parametrize(("words", "more"), [(["--help"], {"requests"}), (["jobs"], set())])
def test_a_quick_command_imports_little(words, more):
    code = (
        "import sys; from watcher.cli.app import run; run(sys.argv[1:]);"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    with Replay("jobs_many") as server:
        command = [sys.executable, "-c", code, "-u", server.url, *words]
        done = subprocess.run(command, capture_output=True, text=True)
    used = set(done.stderr.split())
    assert "click" in used
    assert not used & (HEAVY | more)
