"""Real SIGKILL of the real daemon: at every step of one scenario, and at random moments under load.

After each death an ordinary start must bring every file to its one end: delivered whole and once,
or in the failed folder beside its reason.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.zygote import Zygote
from tests.serving import TOKEN, start_server

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("KILLS", "20"))  # by name: thousands
SEED = int(os.environ.get("SEED", "20261124"))
GIVEN_UP = b"given up: the scheduler ended 25 times"
AT_ONCE = 4  # studios: they wait more than they work
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
schedulers: {farm: {url: "FARM", token: TOKEN, poll_every: 100ms}}
folders:
  - name: in
    input: ./in
    output: ./out
    done: ./archive
    failed: ./failed
    settle: 50ms
    rules:
      - {name: jobs, match: "*.job", script: ./job.py, retries: 0, deliver: "{stem}/{output}"}
      - name: sent
        match: "*.web"
        script: ./job.py
        scheduler: farm
        retries: 0
        deliver: "{stem}/{output}"
      - {name: rest, match: "*", process: pass}
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    yield made
    made.close()


@pytest.fixture
def studio(tmp_path, zygote):
    return Studio(tmp_path, zygote)


class Studio:
    def __init__(self, root: Path, zygote: Zygote, farm: str = "http://127.0.0.1:9") -> None:
        self.root, self.zygote = root, zygote
        self.dropped: dict[str, bytes] = {}
        (root / "in").mkdir(parents=True)
        (root / "job.py").write_text(SCRIPT.format(runs=str(root / "runs.log")))
        words = CONFIG.replace("FARM", farm).replace("TOKEN", TOKEN)
        (root / "watcher.yaml").write_text(words)

    def drop(self, name: str, content: bytes) -> None:
        self.dropped[name] = content
        (self.root / f".{name}").write_bytes(content)
        (self.root / f".{name}").rename(self.root / "in" / name)

    def start(self, *words: object) -> int:
        """The command, in a process of its own; its pid."""
        return self.zygote.begin("run", self.root, ["run", *words])

    def mortal(self, at: int, when: str) -> int:
        words = [self.root / "watcher.yaml", at, when]
        return self.zygote.wait(self.zygote.begin("mortal", self.root, words))

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        assert self.zygote.wait(pid) == -signal.SIGKILL, (self.root / "log").read_text()

    def finish(self) -> None:
        code = self.zygote.wait(self.start("--once"))
        assert code in (0, 1), (self.root / "log").read_text()

    def files(self, folder: str) -> dict[str, bytes]:
        base = self.root / folder
        found = (path for path in base.rglob("*") if path.is_file())
        return {str(path.relative_to(base)): path.read_bytes() for path in found}

    def account(self) -> None:
        """Every file at its one end, nothing more, nothing left behind."""
        out, failed, kept = {}, {}, {}
        given_up = self.given_up()
        for name, content in self.dropped.items():
            if content.startswith(b"bad") or name in given_up:
                failed[name] = content
                continue
            kept[name] = content
            if name.endswith((".job", ".web")):
                stem = name.rpartition(".")[0]
                out |= {f"{stem}/one.bin": content, f"{stem}/two.bin": content[::-1]}
            else:
                out[name] = content
        assert self.files("out") == out
        assert self.files("archive") == kept
        found = self.files("failed")
        notes = {name: found.pop(name) for name in list(found) if name.endswith(".error.txt")}
        assert found == failed
        assert set(notes) == {f"{name}.error.txt" for name in failed}
        assert all(b"refused: it is bad" in note or GIVEN_UP in note for note in notes.values())
        assert self.files("in") == {}
        assert self.files("var/staging") == {}

    def given_up(self) -> set[str]:
        """Jobs that were running each time that the daemon died, 25 times: they may be the cause,
        and fail with that reason. Only a storm of kills comes so far."""
        notes = (self.root / "failed").glob("*.error.txt")
        return {
            one.name.removesuffix(".error.txt") for one in notes if GIVEN_UP in one.read_bytes()
        }

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


@pytest.mark.timeout(600)
def test_killed_at_any_step_every_file_comes_to_its_one_end(tmp_path, zygote):
    """Dead before step n+1 is dead after step n: so each gap between two steps comes once."""
    whole = Studio(tmp_path / "whole", zygote)
    scenario(whole)
    assert whole.mortal(0, "never") == 0
    whole.account()
    steps = int((whole.root / "log").read_text().splitlines()[-1])
    assert steps > 15

    def die(at: int) -> None:
        studio = Studio(tmp_path / f"{at}", zygote)
        scenario(studio)
        code = studio.mortal(*((at, "after") if at else (1, "before")))
        studio.finish()
        studio.account()
        assert code in (-9, 0)  # grouping varies: the last steps may not come every time
        assert all(len(keys) == 1 for keys in studio.keys().values()), (at, studio.keys())

    with ThreadPoolExecutor(AT_ONCE) as several:
        list(several.map(die, range(steps + 1)))


@pytest.mark.timeout(600 + 10 * KILLS)
def test_random_kills_under_load(tmp_path, zygote):
    """Files that pass, jobs of the embedded scheduler and of one over HTTP, all by content."""
    chance = random.Random(SEED)  # noqa: S311 - no secret
    kinds = [".job", ".web", ".txt", ".bin"]
    with start_server(tmp_path / "farm") as farm:
        studio = Studio(tmp_path / "studio", zygote, farm.url)
        for round_ in range(KILLS):
            daemon = studio.start()
            for number in range(6):
                name = f"{round_}-{number}{chance.choice(kinds)}"
                bad = name.endswith((".job", ".web")) and chance.random() < 0.2
                body = b"bad " if bad else b"good "
                studio.drop(name, body + chance.randbytes(3000))
            time.sleep(chance.uniform(0.05, 1.2))  # the moment of death is the test's matter
            studio.kill(daemon)
        studio.finish()
        studio.account()
        ids = {name: keys for name, keys in studio.keys().items() if name.endswith(".web")}
        assert ids
        given_up = studio.given_up()
        assert len(given_up) <= KILLS // 25
        files = f"{KILLS} kills, {len(studio.dropped)} files, {len(given_up)} given up"
        print(f"{files}; lost, twice, half: 0")  # noqa: T201  (for the table of the docs)
        assert all(len(keys) == 1 for keys in ids.values()), ids


def test_workers_end_with_a_killed_daemon(studio):
    (studio.root / "job.py").write_text(
        "import os, pathlib, time\n"
        "def main(pc, params):\n"
        f"    pathlib.Path({str(studio.root / 'pid')!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
    )
    studio.drop("long.job", b"x")
    daemon = studio.start()
    until(lambda: (studio.root / "pid").exists() and (studio.root / "pid").read_text())
    worker = int((studio.root / "pid").read_text())
    studio.kill(daemon)
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


def until(condition, seconds=60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
