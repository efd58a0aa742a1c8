"""The client on a real terminal, and the embedded scheduler's folder between processes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from tests.command import watcher
from tests.replay import JOB, Answer, Replay
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler

WITHIN = 60.0


class Terminal:
    """The command on a terminal of 100 columns; ``shown`` is all that appeared so far."""

    def __init__(self, *words, stdout=None):
        self.parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "watcher", *map(str, words)],
            stdin=child,
            stdout=child if stdout is None else stdout,
            stderr=child,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "PYTHONUNBUFFERED": "1"},
        )
        os.close(child)
        self.shown = ""

    def read(self):
        """Read what there is; False at the end."""
        ready, _, _ = select.select([self.parent], [], [], 0.1)
        try:
            data = os.read(self.parent, 1 << 16) if ready else None
        except OSError:
            return False
        self.shown += (data or b"").decode()
        return data is None or bool(data)

    def until(self, word):
        deadline = time.monotonic() + WITHIN
        while word not in self.shown:
            assert self.read(), self.shown
            assert time.monotonic() < deadline, self.shown

    def end(self):
        while self.read():
            continue
        os.close(self.parent)
        return self.process.wait(WITHIN)


@pytest.fixture
def server():
    with Replay() as made:
        yield made


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "\n")


def test_people_see_progress_then_a_table(server):
    server.runs(result={"n": 3})
    terminal = Terminal("-u", server.url, "process", "-n", "x", "-w")
    assert terminal.end() == 0
    shown = plain(terminal.shown)
    assert "50 %" in shown
    assert "running  writing" in shown
    assert re.search(r"state\s+SUCCESS", shown)
    assert JOB in shown
    assert '"n": 3' in shown


def test_a_captured_id_on_a_terminal_is_the_id_alone(server):
    server.runs()
    terminal = Terminal("-u", server.url, "process", "-n", "x", "-b", "-w", stdout=subprocess.PIPE)
    out = terminal.process.stdout.read()
    terminal.process.stdout.close()
    assert terminal.end() == 0
    assert out == JOB.encode() + b"\n"
    assert "50 %" in plain(terminal.shown)


def test_ctrl_c_typed_on_a_terminal(server):
    server.runs()
    running = server.script[("GET", f"/jobs/{JOB}/details")][1]
    server.script[("GET", f"/jobs/{JOB}/details")] = [running]
    terminal = Terminal("-u", server.url, "status", "-j", JOB, "-w")
    terminal.until("50 %")
    os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 130
    shown = plain(terminal.shown)
    assert "Traceback" not in shown
    assert f"status -w -j {JOB}" in shown
    assert terminal.shown.rstrip().endswith("interrupted")
    assert "\x1b[?25h" in terminal.shown  # the cursor is shown again


def test_a_download_shows_its_bar(server, tmp_path):
    name = f"/jobs/{JOB}/outputs/big.bin"
    server.script[("GET", name)] = [Answer(200, bytes(1 << 20), pace=0.03)]
    terminal = Terminal(
        "-u", server.url, "download", "-j", JOB, "-f", "big.bin", "-o", tmp_path / "x"
    )
    assert terminal.end() == 0
    assert "of 1.0 MiB" in plain(terminal.shown)


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("WATCHER_STATE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "watcher"


def test_a_folder_that_another_process_has_is_refused(state):
    owner = EmbeddedScheduler(EmbeddedOptions(state=state))
    try:
        for words in (["jobs"], ["process", "-n", "api_test"]):
            done = watcher("-u", "embedded", *words)
            assert done.code == 3
            assert "another process" in done.err
            assert len(done.err.splitlines()) == 1
    finally:
        owner.close()
    assert watcher("-u", "embedded", "jobs").json == {"jobs": []}


def test_the_state_falls_back_to_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("WATCHER_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert watcher("-u", "embedded", "jobs").code == 0
    assert (tmp_path / ".local" / "state" / "watcher" / "jobs").is_dir()


def test_an_embedded_submission_stays_until_the_end_without_w(state):
    done = watcher("-u", "embedded", "process", "-n", "api_test", "-a", "mine")
    assert done.code == 0, done.err
    assert done.json["status"] == "SENT"
    short = watcher("-u", "embedded", "status", "-j", done.json["uuid"]).json
    assert short == done.json | {"status": "SUCCESS", "progress": 100}
    (state.parent / "bad.py").write_text("def main(pc, params):\n    raise ValueError('boom')\n")
    failed = watcher("-u", "embedded", "exec", "-s", "bad.py")
    assert failed.code == 0  # as with a server: it was sent
    assert "boom" in failed.err


def test_a_question_starts_nothing(state):
    (state.parent / "slow.py").write_text(
        "import time\ndef main(pc, params):\n    time.sleep(600)\n"
    )
    done = watcher("-u", "embedded", "exec", "-s", "slow.py", "-w", "--timeout", "0.5")
    assert done.code == 4
    begun = time.monotonic()
    jobs = watcher("-u", "embedded", "jobs").json["jobs"]
    assert [job["status"] for job in jobs] == ["PENDING"]
    early = watcher("-u", "embedded", "download_all", "-j", jobs[0]["uuid"], "--timeout", "0.3")
    assert early.code == 4
    assert time.monotonic() - begun < WITHIN


def test_a_job_that_runs_too_long_fails(state):
    (state.parent / "slow.py").write_text(
        "import time\ndef main(pc, params):\n    time.sleep(600)\n"
    )
    done = watcher("-u", "embedded", "exec", "-s", "slow.py", "-l", "0.3", "-w")
    assert done.code == 1
    assert "0.3" in done.err or "limit" in done.err


def test_an_embedded_script_gets_its_entry_point_queue_and_input(state):
    (state.parent / "s.py").write_text(
        "def other(pc, params):\n    return [pc.get_input_file()[-5:], pc['queue']]\n"
    )
    (state.parent / "a.txt").write_text("x")
    words = ["exec", "-s", "s.py", "-e", "other", "-q", "gpu", "-i", "a.txt", "-w"]
    done = watcher("-u", "embedded", *words, terminal=True)
    assert done.code == 0, done.err
    assert "upload" in done.err
    assert watcher("-u", "embedded", *words).json["result"] == ["a.txt", "gpu"]
