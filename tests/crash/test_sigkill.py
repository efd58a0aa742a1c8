"""Real SIGKILL of the real daemon: at every step of one scenario, and at random moments under load.

After each death an ordinary start must bring every file to its one end: delivered whole and once,
or in the failed folder beside its reason.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MORTAL = Path(__file__).with_name("mortal.py")
# a job that notes each of its runs, makes two outputs, and refuses what begins with "bad"
SCRIPT = """
import pathlib

def main(pc, params):
    source = pathlib.Path(pc.get_input_file())
    with open({runs!r}, "a") as out:
        out.write(pc["task_id"] + " " + source.name + "\\n")
    content = source.read_bytes()
    if content.startswith(b"bad"):
        raise ValueError("refused: it is bad")
    pathlib.Path(pc.get_output_dir(), "one.bin").write_bytes(content)
    pathlib.Path(pc.get_output_dir(), "two.bin").write_bytes(content[::-1])
"""
CONFIG = """
state: ./var
http: off
scheduler: {workers: 1}
folders:
  - name: in
    input: ./in
    output: ./out
    done: ./archive
    failed: ./failed
    settle: 50ms
    rules:
      - {name: jobs, match: "*.job", script: ./job.py, retries: 0, deliver: "{stem}/{output}"}
      - {name: rest, match: "*", process: pass}
"""


@pytest.fixture
def studio(tmp_path):
    return Studio(tmp_path)


class Studio:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.dropped: dict[str, bytes] = {}
        (root / "in").mkdir(parents=True)
        (root / "job.py").write_text(SCRIPT.format(runs=str(root / "runs.log")))
        (root / "watcher.yaml").write_text(CONFIG)

    def drop(self, name: str, content: bytes) -> None:
        self.dropped[name] = content
        (self.root / f".{name}").write_bytes(content)
        (self.root / f".{name}").rename(self.root / "in" / name)

    def start(self, *command) -> subprocess.Popen:
        with (self.root / "log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, *map(str, command)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def mortal(self, at: int, when: str) -> int:
        return self.start(MORTAL, self.root / "watcher.yaml", at, when).wait(timeout=60)

    def finish(self) -> None:
        done = self.start("-m", "watcher", "run", "--once", "-c", self.root / "watcher.yaml")
        assert done.wait(timeout=60) in (0, 1), (self.root / "log").read_text()

    def files(self, folder: str) -> dict[str, bytes]:
        base = self.root / folder
        found = (path for path in base.rglob("*") if path.is_file())
        return {str(path.relative_to(base)): path.read_bytes() for path in found}

    def account(self) -> None:
        """Every file at its one end, nothing more, nothing left behind."""
        out, failed, kept = {}, {}, {}
        for name, content in self.dropped.items():
            if content.startswith(b"bad"):
                failed[name] = content
                continue
            kept[name] = content
            if name.endswith(".job"):
                stem = name.removesuffix(".job")
                out |= {f"{stem}/one.bin": content, f"{stem}/two.bin": content[::-1]}
            else:
                out[name] = content
        assert self.files("out") == out
        assert self.files("archive") == kept
        found = self.files("failed")
        notes = {name: found.pop(name) for name in list(found) if name.endswith(".error.txt")}
        assert found == failed
        assert set(notes) == {f"{name}.error.txt" for name in failed}
        assert all(b"refused: it is bad" in note for note in notes.values())
        assert self.files("in") == {}
        assert self.files("var/staging") == {}

    def keys(self) -> dict[str, set[str]]:
        """The ids under which each file's job ran."""
        found: dict[str, set[str]] = {}
        log = self.root / "runs.log"
        for line in log.read_text().splitlines() if log.exists() else ():
            key, name = line.split(" ", 1)
            found.setdefault(name, set()).add(key)
        return found


def scenario(studio: Studio) -> None:
    studio.drop("part.job", b"part" * 100)
    studio.drop("plain.txt", b"plain")
    studio.drop("bad.job", b"bad thing")


def how_many(root: Path) -> int:
    """The steps of a run that survives."""
    studio = Studio(root)
    scenario(studio)
    assert studio.mortal(0, "never") == 0
    studio.account()
    return int((root / "log").read_text().splitlines()[-1])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_step_every_file_comes_to_its_one_end(tmp_path, when):
    steps = how_many(tmp_path / "whole")
    assert steps > 15
    for at in range(1, steps + 1):
        studio = Studio(tmp_path / f"{at}")
        scenario(studio)
        code = studio.mortal(at, when)
        studio.finish()
        studio.account()
        assert code in (-9, 0)  # grouping varies: the last steps may not come every time
        assert all(len(keys) == 1 for keys in studio.keys().values()), (at, studio.keys())


@pytest.mark.timeout(300)
def test_twenty_random_kills_under_load(studio):
    chance = random.Random(20261124)  # noqa: S311 - no secret
    for round_ in range(20):
        daemon = studio.start("-m", "watcher", "run", "-c", studio.root / "watcher.yaml")
        for number in range(3):
            name = f"{round_}-{number}{chance.choice(['.job', '.txt', '.bin'])}"
            body = b"bad " if name.endswith(".job") and chance.random() < 0.2 else b"good "
            studio.drop(name, body + chance.randbytes(3000))
        time.sleep(chance.uniform(0.2, 1.6))  # the moment of death is the test's matter
        daemon.kill()
        daemon.wait()
    studio.finish()
    studio.account()


def test_workers_end_with_a_killed_daemon(studio):
    (studio.root / "job.py").write_text(
        "import os, pathlib, time\n"
        "def main(pc, params):\n"
        f"    pathlib.Path({str(studio.root / 'pid')!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
    )
    studio.drop("long.job", b"x")
    daemon = studio.start("-m", "watcher", "run", "-c", studio.root / "watcher.yaml")
    until(lambda: (studio.root / "pid").exists() and (studio.root / "pid").read_text())
    worker = int((studio.root / "pid").read_text())
    daemon.kill()
    daemon.wait()
    until(lambda: not Path(f"/proc/{worker}").exists())


def test_the_ledger_tells_the_whole_story_after_a_kill(studio):
    studio.drop("plain.txt", b"plain")
    studio.mortal(3, "after")
    studio.finish()
    done = subprocess.run(
        [sys.executable, "-m", "watcher", "explain", "--json", "in/plain.txt"],
        capture_output=True,
        text=True,
        cwd=studio.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    (arrival,) = json.loads(done.stdout)
    assert arrival["state"] == "archived"
    assert arrival["history"][0]["event"] == "accepted"


def until(condition, seconds=20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
