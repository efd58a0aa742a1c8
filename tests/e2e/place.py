"""A studio's folders with a real ``watcher run`` on them, for the end-to-end tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE = 60.0
# rights count for a process without these, root or not
POWERLESS = (
    *("setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"),
    *("--inh-caps", "-all"),
)
CONFIG = """\
state: {state}
http: {http}
log: {{level: debug}}
scheduler: {{workers: 1}}
folders:
  - name: in
    input: {input}
    output: {output}
    done: {done}
    failed: {failed}
    settle: {settle}
    watch: {watch}
    scan_every: {scan_every}
    rules:
      - {{name: slow, match: "*.slow", script: {script}, retries: 0}}
      - name: meshes
        match: "*.stl"
        process: convert_file
        params: {{extension: glb}}
        retries: 0
      - {{name: rest, match: "*", process: pass, receipt: {receipt}}}
"""
# reads its input, waits until the studio's folder says go, then gives what it read
SLOW = """\
import pathlib
import time

HERE = pathlib.Path({root!r})

def main(pc, params):
    source = pathlib.Path(pc.get_input_file())
    content = source.read_bytes()
    with (HERE / "runs").open("ab") as runs:
        runs.write(content + b"\\n")
    while not (HERE / "go").exists():
        time.sleep(0.02)
    pathlib.Path(pc.get_output_dir(), "output.bin").write_bytes(content)
"""
DEFAULTS = {
    "state": "./var",
    "http": "off",
    "input": "./in",
    "output": "./out",
    "done": "./archive",
    "failed": "./failed",
    "settle": "100ms",
    "watch": "auto",
    "scan_every": "60s",
    "receipt": "false",
    "script": "./slow.py",
}


class Place:
    """Folders, a configuration, and the daemon on it."""

    def __init__(self, root: Path, *, prefix: tuple[str, ...] = (), **changes: str) -> None:
        self.root = root
        self.prefix = prefix
        self.inp, self.out = root / "in", root / "out"
        self.failed, self.archive = root / "failed", root / "archive"
        self.config = root / "watcher.yaml"
        self.log = root / "log"
        self.daemon: subprocess.Popen[bytes] | None = None
        self.inp.mkdir(parents=True, exist_ok=True)
        (root / "slow.py").write_text(SLOW.format(root=str(root)))
        self.configure(**changes)

    def configure(self, **changes: str) -> None:
        self.config.write_text(CONFIG.format(**{**DEFAULTS, **changes}))

    def command(self, *words: str) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "watcher", *words]

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def once(self, *more: str) -> int:
        with self.log.open("ab") as log:
            done = subprocess.run(
                self.command("run", "--once", *more),
                cwd=self.root,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
                timeout=300,
                check=False,
            )
        return done.returncode

    def start(self) -> subprocess.Popen[bytes]:
        before = len(self.events("root.online")) + len(self.events("root.offline"))
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                self.command("run"),
                cwd=self.root,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )
        seen = lambda: self.events("root.online") + self.events("root.offline")  # noqa: E731
        self.wait(lambda: len(seen()) > before, "no root was looked at")
        return self.daemon

    def kill(self) -> None:
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait(timeout=DEADLINE)
        self.daemon = None

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGTERM)
        code = self.daemon.wait(timeout=DEADLINE)
        self.daemon = None
        return code

    @contextmanager
    def running(self):
        self.start()
        try:
            yield self
            assert self.daemon is not None
            assert self.daemon.poll() is None, "the daemon ended by itself"
            assert self.stop() == 0
        finally:
            if self.daemon is not None:
                self.daemon.kill()
                self.daemon.wait()
        assert not self.events("fault")

    def wait(self, met: Callable[[], object], what: str = "", within: float = DEADLINE) -> None:
        """Look until it is met. Some looks start a command: they take half of the time at most."""
        begun = time.monotonic()
        end = begun + within
        while not met():
            looked = time.monotonic()
            assert looked < end, f"{what}\n{self.tail()}"
            assert self.daemon is None or self.daemon.poll() is None, f"it ended\n{self.tail()}"
            time.sleep(max(0.05, looked - begun))
            begun = time.monotonic()

    def wait_out(self, *names: str, within: float = DEADLINE) -> None:
        self.wait(lambda: set(names) <= set(tree(self.out)), f"want {names}", within)

    def events(self, *kinds: str) -> list[dict]:
        if not self.log.exists():
            return []
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith("{"):
                try:
                    one = json.loads(line)
                except ValueError:
                    continue
                if one.get("event") in kinds:
                    found.append(one)
        return found

    def tail(self) -> str:
        text = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        folders = (self.inp, self.out, self.failed)
        return "\n".join(text[-25:] + [f"{one.name}: {list(tree(one))[:30]}" for one in folders])

    def told(self) -> dict[str, dict]:
        """What ``watcher files`` says, newest arrival of each path."""
        done = self.ask("files", "--json")
        assert done.returncode == 0, done.stderr
        rows: dict[str, dict] = {}
        for row in json.loads(done.stdout):
            rows.setdefault(row["path"], row)
        return rows


def tree(root: Path) -> dict[str, bytes]:
    """Every visible regular file below a folder with its content."""
    found = {}
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            try:
                if path.is_file() and not path.is_symlink():
                    found[str(path.relative_to(root))] = path.read_bytes()
            except OSError:
                continue  # it went while we looked
    return found


def drop(path: Path, content: bytes = b"x") -> None:
    """As a careful program writes: a temporary name, then a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name[:200]}.tmp")
    part.write_bytes(content)
    part.rename(path)


class Mounts:
    """A mount namespace of its own, kept open by a sleeper."""

    def __init__(self, root: Path) -> None:
        self.sleeper = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", "echo ready; exec sleep 900"],
            stdout=subprocess.PIPE,
        )
        if self.sleeper.stdout.readline() != b"ready\n":
            self.close()
            pytest.skip("may not make a mount namespace")
        pid = str(self.sleeper.pid)
        self.prefix = ("nsenter", "-m", "-t", pid, "env", "-C", str(root))
        self.view = Path("/proc", pid, "root")

    def run(self, *words: object) -> None:
        subprocess.run([*self.prefix, *map(str, words)], check=True, capture_output=True)

    def see(self, path: Path) -> Path:
        return self.view / path.relative_to("/")

    def close(self) -> None:
        self.sleeper.kill()
        self.sleeper.communicate()
