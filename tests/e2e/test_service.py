"""The daemon as an administrator has it: the unit's command under a notify socket, and reloads."""

import json
import os
import queue
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler

ROOT = Path(__file__).parents[2]
DEADLINE = 60.0
FOLDER = """\
  - name: {name}
    input: ./{name}/in
    output: ./{name}/out
    settle: 100ms
    scan_every: 500ms
    rules:
      - {{name: texts, match: "*.txt", process: {process}, deliver: "{deliver}"}}
"""


def folder(name, deliver="{name}", process="pass"):
    return FOLDER.format(name=name, deliver=deliver, process=process)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Daemon:
    def __init__(self, place, port):
        self.place, self.port = place, port
        self.config = place / "watcher.yaml"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(place / "notify"))
        self._words = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        self.log = place / "log"

    def _listen(self):
        """Take what is told at once: a full socket would hold the daemon up."""
        while word := self.notify.recv(65536):
            self._words.put(word.decode())

    def close(self):
        self.notify.shutdown(socket.SHUT_RD)  # its reader reads the end
        self._listener.join(DEADLINE)
        self.notify.close()

    def write(self, *folders):
        head = f"state: ./var\nhttp: {{listen: '127.0.0.1:{self.port}'}}\n"
        self.config.write_text(head + "folders:\n" + "".join(folders))

    def told(self, word):
        seen = ""
        while word not in seen:
            seen = self._words.get(timeout=DEADLINE)
        return seen

    def cli(self, *words):
        return subprocess.run(
            [sys.executable, "-m", "watcher", *words],
            cwd=self.place,
            capture_output=True,
            text=True,
        )

    def ask(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def until(self, condition):
        end = time.monotonic() + DEADLINE
        while not (found := condition()):
            assert time.monotonic() < end, self.log.read_text()
            threading.Event().wait(0.05)
        return found

    def events(self):
        return [json.loads(line)["event"] for line in self.log.read_text().splitlines()]


def unit_command(config):
    """The unit's own command line and environment, with this machine's paths."""
    unit = (ROOT / "systemd" / "watcher.service").read_text().splitlines()
    start = next(line for line in unit if line.startswith("ExecStart=")).partition("=")[2]
    program, *words = shlex.split(start.replace("/etc/watcher/watcher.yaml", str(config)))
    assert program == "/opt/watcher/bin/watcher"
    set_ = [line.partition("=")[2] for line in unit if line.startswith("Environment=")]
    return [sys.executable, "-m", "watcher", *words], dict(one.split("=", 1) for one in set_)


@contextmanager
def daemon(place, *folders):
    one = Daemon(place, free_port())
    one.write(*folders)
    for name in ("a", "b"):
        (place / name / "in").mkdir(parents=True, exist_ok=True)
    command, extra = unit_command(one.config)
    environ = {
        **os.environ, **extra, "NOTIFY_SOCKET": str(place / "notify"), "WATCHDOG_USEC": "60000000"
    }  # fmt: skip
    environ.pop("WATCHDOG_PID", None)
    with one.log.open("w") as log:
        running = subprocess.Popen(command, cwd=place, env=environ, stdout=log, stderr=log)
    one.pid = running.pid
    try:
        one.told("READY=1")
        yield one
        running.send_signal(signal.SIGTERM)
        one.told("STOPPING=1")
        assert running.wait(DEADLINE) == 0, one.log.read_text()
    finally:
        one.close()
        if running.poll() is None:
            running.kill()
            running.wait()


def test_folders_come_change_and_go_while_it_runs(tmp_path):
    with daemon(tmp_path, folder("a")) as run:
        (tmp_path / "a/in/one.txt").write_text("1")
        run.until((tmp_path / "a/out/one.txt").exists)

        run.write(folder("a", deliver="new/{name}"), folder("b"))
        os.kill(run.pid, signal.SIGHUP)
        assert "RELOADING=1" in run.told("RELOADING")
        run.told("READY=1")
        (tmp_path / "a/in/two.txt").write_text("2")
        (tmp_path / "b/in/three.txt").write_text("3")
        run.until((tmp_path / "a/out/new/two.txt").exists)
        run.until((tmp_path / "b/out/three.txt").exists)
        assert not (tmp_path / "a/out/new/one.txt").exists()  # nothing is done twice

        run.write(folder("b"))
        done = run.cli("reload")
        assert done.returncode == 0, done.stderr
        run.until(lambda: run.events().count("config.reloaded") == 2)
        (tmp_path / "a/in/four.txt").write_text("4")
        (tmp_path / "b/in/five.txt").write_text("5")
        run.until((tmp_path / "b/out/five.txt").exists)
        assert not (tmp_path / "a/out/new/four.txt").exists()
        run.until(lambda: run.ask("/readyz")[0] == 200)

        os.kill(run.pid, signal.SIGHUP)
        run.until(lambda: "config.unchanged" in run.events())
    assert run.cli("reload").returncode == 1  # nobody is there to reload


def test_an_invalid_configuration_is_refused_everywhere_and_the_last_good_one_stays(tmp_path):
    with daemon(tmp_path, folder("a")) as run:
        run.until(lambda: run.ask("/readyz")[0] == 200)
        run.write(folder("a", process="nonsense"))
        done = run.cli("reload")
        assert done.returncode == 2
        assert "has no process 'nonsense'" in done.stderr
        run.until(lambda: "config.refused" in run.events())
        run.told("the new configuration was refused")
        status, text = run.ask("/readyz")
        assert status == 503
        assert "nonsense" in text
        (tmp_path / "a/in/one.txt").write_text("1")
        run.until((tmp_path / "a/out/one.txt").exists)
        run.write(folder("a"))
        os.kill(run.pid, signal.SIGHUP)
        run.until(lambda: run.ask("/readyz")[0] == 200)


def test_a_scheduler_that_cannot_be_had_leaves_the_last_good_configuration(tmp_path):
    other = EmbeddedScheduler(EmbeddedOptions(state=tmp_path / "var" / "schedulers" / "farm"))
    try:
        with daemon(tmp_path, folder("a")) as run:
            run.write(folder("a", deliver="new/{name}"))
            text = run.config.read_text()
            run.config.write_text("schedulers: {farm: {url: embedded}}\n" + text)
            os.kill(run.pid, signal.SIGHUP)
            run.until(lambda: "config.refused" in run.events())
            run.until(lambda: run.ask("/readyz")[0] == 503)
            (tmp_path / "a/in/one.txt").write_text("1")
            run.until((tmp_path / "a/out/one.txt").exists)
            other.close()
            os.kill(run.pid, signal.SIGHUP)
            run.until(lambda: "config.reloaded" in run.events())
            run.until(lambda: run.ask("/readyz")[0] == 200)
            (tmp_path / "a/in/two.txt").write_text("2")
            run.until((tmp_path / "a/out/new/two.txt").exists)
    finally:
        other.close()


def test_what_cannot_change_live_is_said(tmp_path):
    with daemon(tmp_path, folder("a")) as run:
        text = run.config.read_text().replace("./var", "./other").replace(str(run.port), "1")
        run.config.write_text(text)
        os.kill(run.pid, signal.SIGHUP)
        run.until(lambda: run.events().count("config.later") == 2)
        assert run.ask("/healthz")[0] == 200
        assert not (tmp_path / "other").exists()


SLEEPY = """\
  - name: a
    input: ./a/in
    output: ./a/out
    settle: 100ms
    scan_every: 500ms
    done: ./a/done
    rules:
      - name: slow
        match: "*.txt"
        script: ./slow.py
        deliver: "{where}/{{stem}}.{{ext}}"
"""
SCRIPT = """\
import pathlib, time

def main(pc, params):
    gate = pathlib.Path({gate!r})
    while not gate.exists():
        time.sleep(0.05)
    (pathlib.Path(pc.get_output_dir()) / "made.out").write_text("made")
"""


def test_files_in_work_end_as_they_were_accepted(tmp_path):
    (tmp_path / "slow.py").write_text(SCRIPT.format(gate=str(tmp_path / "gate")))
    with daemon(tmp_path, SLEEPY.format(where="old")) as run:
        (tmp_path / "a/in/one.txt").write_text("1")
        run.until(lambda: "job.submitted" in run.events())
        run.write(SLEEPY.format(where="new"))
        os.kill(run.pid, signal.SIGHUP)
        run.until(lambda: "config.reloaded" in run.events())
        (tmp_path / "a/in/two.txt").write_text("2")
        run.until(lambda: run.events().count("file.accepted") == 2)
        run.write(folder("b"))  # and its folder is gone altogether
        os.kill(run.pid, signal.SIGHUP)
        run.until(lambda: run.events().count("config.reloaded") == 2)
        (tmp_path / "gate").touch()
        run.until((tmp_path / "a/out/old/one.out").exists)
        run.until((tmp_path / "a/done/one.txt").exists)
        run.until((tmp_path / "a/out/new/two.out").exists)
        run.until(lambda: run.events().count("file.delivered") == 2)  # told after it is there


class Receiver:
    """A webhook; keeps what it was told."""

    def __init__(self):
        told = self.told = []

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self):
                told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


WAITING = """\
  - name: a
    input: ./a/in
    output: ./a/out
    settle: 100ms
    scan_every: 500ms
    max_in_flight: 1
    rules:
      - name: {rule}
        match: "*.txt"
        jobs: [{{script: ./{script}}}]
        deliver: "{{stem}}.{{ext}}"
"""


def test_what_waits_for_a_rule_that_is_gone_is_held_told_and_goes_on(tmp_path):
    hook = Receiver()
    (tmp_path / "slow.py").write_text(SCRIPT.format(gate=str(tmp_path / "gate")))
    (tmp_path / "other.py").write_text("def main(pc, params):\n    return None\n")
    slow = WAITING.format(rule="slow", script="slow.py")
    port = hook.server.server_address[1]
    notify = f"notify: [{{url: 'http://127.0.0.1:{port}/', wait: 100ms, every: 1s}}]\n"
    try:
        with daemon(tmp_path, slow) as run:
            (tmp_path / "a/in/one.txt").write_text("1")
            run.until(lambda: "job.submitted" in run.events())
            (tmp_path / "a/in/two.txt").write_text("2")
            run.until(lambda: run.events().count("file.accepted") == 2)
            run.write(WAITING.format(rule="new", script="other.py"))
            run.config.write_text(notify + run.config.read_text())
            os.kill(run.pid, signal.SIGHUP)
            run.until(lambda: "file.held" in run.events())
            told = run.cli("explain", "a/in/two.txt").stdout
            assert "rule 'slow' of folder 'a' is no longer configured" in told
            status, text = run.ask("/readyz")
            assert status == 503
            assert "1 held" in text
            run.config.write_text("folders: nonsense")
            os.kill(run.pid, signal.SIGHUP)
            run.until(lambda: any(one["events"][0]["kind"] == "refused" for one in hook.told))
            assert "the new configuration was refused" in run.ask("/")[1]
            run.write(slow)
            os.kill(run.pid, signal.SIGHUP)
            (tmp_path / "gate").touch()
            run.until((tmp_path / "a/out/one.out").exists)
            run.until((tmp_path / "a/out/two.out").exists)
            run.until(
                lambda: run.events().count("file.delivered") == 2
            )  # recorded after it is seen
    finally:
        hook.close()


def test_a_start_with_other_jobs_holds_what_is_in_work(tmp_path):
    (tmp_path / "slow.py").write_text(SCRIPT.format(gate=str(tmp_path / "gate")))
    (tmp_path / "other.py").write_text("def main(pc, params):\n    return None\n")
    slow = WAITING.format(rule="r", script="slow.py")
    with daemon(tmp_path, slow) as run:
        (tmp_path / "a/in/one.txt").write_text("1")
        run.until(lambda: "job.submitted" in run.events())
        (tmp_path / "a/in/two.txt").write_text("2")
        run.until(lambda: run.events().count("file.accepted") == 2)
    (tmp_path / "notify").unlink()
    with daemon(tmp_path, WAITING.format(rule="r", script="other.py")) as run:
        run.until(lambda: run.events().count("file.held") == 2)
        assert "has other jobs now" in run.log.read_text()
        run.write(slow)
        os.kill(run.pid, signal.SIGHUP)
        (tmp_path / "gate").touch()
        run.until((tmp_path / "a/out/one.out").exists)
        run.until((tmp_path / "a/out/two.out").exists)
