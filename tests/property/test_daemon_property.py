"""The real daemon in every order: files come, change and go, it is killed, stopped and given other
settings; in the end each content was delivered or failed, never both, never twice.

Few examples in CI, ``EXAMPLES=300`` in the environment for more. Time that steps is the matter of
``test_lifecycle_property``, whose clock is a fake.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.crash.zygote import Zygote

EXAMPLES = int(os.environ.get("EXAMPLES", "5"))
PATHS = st.sampled_from(["a.job", "b.job", "sub/c.job", "d.dat", "sub/e.dat"])
SCRIPT = """
import pathlib

def main(pc, params):
    body = pathlib.Path(pc.get_input_file()).read_bytes()
    if body.startswith(b"bad"):
        raise ValueError("refused")
    pathlib.Path(pc.get_output_dir(), "output.bin").write_bytes(body)
"""
CONFIG = """\
state: ./var
http: off
scheduler: {{workers: {workers}}}
folders:
  - name: in
    input: ./in
    output: ./out
    done: {done}
    failed: ./failed
    settle: {settle}
    scan_every: 1s
    rules:
      - name: jobs
        match: "*.job"
        script: ./job.py
        retries: 0
        priority: {priority}
        deliver: "{{relpath}}/{{hash}}.bin"
      - {{name: rest, match: "*", process: pass, deliver: "{{relpath}}/{{hash}}.bin"}}
"""
ZYGOTES: list[Zygote] = []


def teardown_module() -> None:
    for zygote in ZYGOTES:
        zygote.close()


def zygote() -> Zygote:
    if not ZYGOTES:
        ZYGOTES.append(Zygote())
    return ZYGOTES[0]


class Life(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="life-"))
        self.daemon = 0
        self.count = 0
        self.dropped: list[bytes] = []
        self.newest: dict[str, bytes] = {}  # what a path stands for, unless it was deleted
        self.keys = {"done": "./archive", "settle": "0s", "workers": 1, "priority": 0}

    @initialize(done=st.sampled_from(["keep", "delete", "./archive"]), settle=st.booleans())
    def begin(self, done: str, settle: bool) -> None:
        self.keys |= {"done": done, "settle": "200ms" if settle else "0s"}
        (self.root / "in/sub").mkdir(parents=True)
        (self.root / "job.py").write_text(SCRIPT)
        self.configure()
        self.start()

    def configure(self) -> None:
        (self.root / "watcher.yaml").write_text(CONFIG.format(**self.keys))

    # ------------------------------------------------------------ files
    @rule(path=PATHS, bad=st.booleans(), slowly=st.booleans())
    def arrive_or_replace(self, path: str, bad: bool, slowly: bool) -> None:
        self.count += 1
        body = (b"bad" if bad and path.endswith("job") else b"good") + b"%d " % self.count * 500
        target = self.root / "in" / path
        if slowly:  # as a program that writes where the file is to be
            with target.open("wb") as out:
                out.write(body[:700])
                out.flush()
                time.sleep(0.05)
                out.write(body[700:])
        else:
            part = target.with_name(f".{target.name}.tmp")
            part.write_bytes(body)
            part.rename(target)
        self.dropped.append(body)
        self.newest[path] = body

    @rule(path=PATHS)
    def delete(self, path: str) -> None:
        target = self.root / "in" / path
        if target.exists():
            target.unlink(missing_ok=True)
            self.newest.pop(path, None)

    @rule(path=PATHS)
    def touch(self, path: str) -> None:
        target = self.root / "in" / path
        if target.exists():
            try:
                os.utime(target)
            except FileNotFoundError:
                return  # it was just archived

    # ------------------------------------------------------------ the daemon
    def start(self) -> None:
        self.daemon = zygote().begin("run", self.root, ["run"])
        deadline = time.monotonic() + 60
        while not self.listens():
            assert time.monotonic() < deadline, self.tail()
            time.sleep(0.005)

    def listens(self) -> bool:
        """Whether it handles SIGTERM yet: the mask of proc(5)."""
        status = Path("/proc", str(self.daemon), "status").read_text()
        mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)

    def end(self, number: int) -> int:
        os.kill(self.daemon, number)
        code = zygote().wait(self.daemon)
        self.daemon = 0
        return code

    @rule(after=st.sampled_from([0.0, 0.05, 0.2, 0.6]))
    def kill(self, after: float) -> None:
        time.sleep(after)
        assert self.end(signal.SIGKILL) == -signal.SIGKILL, self.tail()
        self.start()

    @rule()
    def stop(self) -> None:
        assert self.end(signal.SIGTERM) == 0, self.tail()
        self.start()

    @rule(workers=st.integers(1, 2), priority=st.integers(0, 2))
    def change_the_configuration(self, workers: int, priority: int) -> None:
        self.keys |= {"workers": workers, "priority": priority}
        self.configure()
        os.kill(self.daemon, signal.SIGHUP)

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.5]))
    def time_passes(self, seconds: float) -> None:
        time.sleep(seconds)

    # ------------------------------------------------------------ the account
    def log(self) -> bytes:
        log = self.root / "log"
        return log.read_bytes() if log.exists() else b""

    def tail(self) -> str:
        return self.log()[-3000:].decode(errors="replace")

    def bodies(self, name: str) -> Counter[bytes]:
        found = (path for path in (self.root / name).rglob("*") if path.is_file())
        return Counter(p.read_bytes() for p in found if not p.name.endswith(".error.txt"))

    def teardown(self) -> None:
        try:
            if self.daemon:
                assert self.end(signal.SIGTERM) == 0, self.tail()
                code = zygote().wait(zygote().begin("run", self.root, ["run", "--once"]))
                assert code in (0, 1), self.tail()
                self.account()
        finally:
            if self.daemon:
                os.kill(self.daemon, signal.SIGKILL)
            shutil.rmtree(self.root)

    def account(self) -> None:
        delivered, failed = self.bodies("out"), self.bodies("failed")
        for body in self.dropped:
            assert delivered[body] + failed[body] <= 1, (body[:20], self.tail())
        for path, body in self.newest.items():
            assert delivered[body] + failed[body] == 1, (path, body[:20], self.tail())
            assert bool(failed[body]) == body.startswith(b"bad"), (path, body[:20])
        for name, found in (("out", delivered), ("failed", failed)):
            assert not set(found) - set(self.dropped), (name, "holds what nobody dropped")
        for path in (self.root / "failed").rglob("*"):
            if path.is_file() and not path.name.endswith(".error.txt"):
                assert path.with_name(f"{path.name}.error.txt").exists(), path
        assert not [path for path in (self.root / "var/staging").rglob("*") if path.is_file()]
        assert b'"fault"' not in self.log(), self.tail()


TestLife = pytest.mark.timeout(120 + 30 * EXAMPLES)(Life.TestCase)
TestLife.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=14,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # what depends on time does not shrink
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
