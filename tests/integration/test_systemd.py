"""The unit files as systemd reads them, and the notify protocol over a real socket."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import structlog

from watcher.core.settings import Folder, JobSpec, Match, Rule, Settings
from watcher.daemon.service import Service
from watcher.daemon.systemd import Supervisor

UNITS = Path(__file__).parents[2] / "systemd"
DEADLINE = 30.0
analyze = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(
    analyze is None and "CI" not in os.environ, reason="systemd-analyze is not here"
)


class Socket:
    """The supervisor's end."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(DEADLINE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def until(self, word):
        seen = []
        while not any(word in one for one in seen):
            seen.append(self.socket.recv(65536).decode())
        return seen

    def quiet(self, word, seconds):
        """Whether a word does not come any more for so long."""
        self.socket.settimeout(seconds)
        try:
            while word not in self.socket.recv(65536).decode():
                pass
        except TimeoutError:
            return True
        return False


@pytest.mark.parametrize("abstract", [False, True])
def test_messages_reach_named_and_abstract_sockets(tmp_path, abstract):
    name = f"@watcher-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with Socket("\0" + name[1:] if abstract else name) as end:
        conversation(end, name)


def conversation(end, name):
    environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000", "WATCHDOG_PID": str(os.getpid())}
    supervisor = Supervisor(environ)
    assert environ == {}  # no child inherits it
    assert supervisor.interval == 0.4
    supervisor.ready("watching\n2 folders")
    assert end.until("READY=1")[-1] == "READY=1\nSTATUS=watching 2 folders"
    supervisor.reloading()
    assert re.search(r"RELOADING=1\nMONOTONIC_USEC=\d+", end.until("RELOADING")[-1])
    age = [0.0]
    supervisor.watch(lambda: age[0], lambda: "3 working")
    assert "STATUS=3 working" in end.until("STATUS=3")[-1]
    end.until("WATCHDOG=1")
    age[0] = 1.0
    end.quiet("never", 0.5)  # what was on its way
    assert end.quiet("WATCHDOG=1", 0.5)
    supervisor.stopping()
    end.socket.settimeout(DEADLINE)
    end.until("STOPPING=1")
    supervisor.close()


def test_a_watchdog_of_another_process_and_a_dead_socket_are_left_alone(tmp_path):
    gone = {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    supervisor = Supervisor(gone)
    assert supervisor.interval == 0.0
    supervisor.ready("x")


def test_a_stuck_engine_starves_the_watchdog(tmp_path, monkeypatch):
    """A listener that never returns blocks the engine's thread; the others go on."""
    with Socket(str(tmp_path / "notify")) as end:
        starved(end, tmp_path, monkeypatch)


def starved(end, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    rule = Rule(name="r", match=Match(globs=("*",)), jobs=(JobSpec(label="p", process="pass"),))
    (tmp_path / "in").mkdir()
    folder = Folder(
        name="f", input=tmp_path / "in", output=tmp_path / "out", failed=tmp_path / "bad",
        settle=0.1, rules=(rule,),
    )  # fmt: skip
    settings = Settings(
        source=tmp_path / "w.yaml", state=tmp_path / "var", http=None, folders=(folder,)
    )
    gate, stuck = threading.Event(), threading.Event()

    def listener(_):
        stuck.set()
        gate.wait()

    service = Service(settings, structlog.get_logger(), listener=listener)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        end.until("READY=1")
        end.until("WATCHDOG=1")
        (tmp_path / "in" / "a.txt").write_text("x")
        assert stuck.wait(DEADLINE)
        end.quiet("never", 2.5)  # the last word of a living engine
        assert end.quiet("WATCHDOG=1", 3.0)
    finally:
        gate.set()
        service.stop()
        thread.join(DEADLINE)
    assert not thread.is_alive()


@needs_systemd
@pytest.mark.parametrize(
    "name",
    ["watcher.service", "watcher@.service", "watcher-serve.service", "watcher-worker.service"],
)
def test_units_are_valid_and_shut_tight(tmp_path, name):
    shutil.copy(UNITS / name, tmp_path / name)
    score = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", str(tmp_path / name)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert score.returncode == 0, score.stdout[-300:]
    # the command is there under another name here
    program = tmp_path / "watcher"
    program.symlink_to(sys.executable)
    text = (UNITS / name).read_text().replace("/opt/watcher/bin/watcher", str(program))
    unit = tmp_path / name.replace("@", "@one")
    unit.write_text(text)
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_sandbox_line_has_its_reason_and_both_units_are_one():
    one, many = ((UNITS / name).read_text() for name in ("watcher.service", "watcher@.service"))
    sandbox = one.split("CAP_LEASE")[0].count("\n")
    lines = one.splitlines()[sandbox - 1 :]
    assert lines[0].startswith("#")
    keys = [line for line in one.splitlines() if "=" in line and not line.startswith("#")]
    others = [line for line in many.splitlines() if "=" in line and not line.startswith("#")]
    assert [key.split("=")[0] for key in keys] == [key.split("=")[0] for key in others]
    assert sum(a != b for a, b in zip(keys, others, strict=True)) == 6
