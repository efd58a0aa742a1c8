"""Many small jobs through HTTP, from the drop to the delivery, against a bare requests loop.

    python -m benchmarks http [--jobs 1000] [--rounds 5] [--seconds 20]

Once with all jobs in flight at a time, once with as many as the defaults allow. All talk to the
same small server, in a process of its own, whose jobs end at once. The loop does what a job needs
and no more: submit, ask once, list the outputs, fetch, write. CPU is the client's.
A second table is of as many jobs that run on and on: what a second of asking for them costs, and
the memory of each, against a loop that reads the list of jobs once a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import requests

from benchmarks.machine import Program, count, until
from benchmarks.rounds import Sample, show, take_turns

USUAL = 32  # max_in_flight where the configuration does not say
WIRE = Path(__file__).parent / "peers" / "wire.py"
CONFIG = """
state: ./var
http: off
log: {level: warning}
scheduler: {url: "http://127.0.0.1:%s", max_in_flight: %s}
folders:
  - name: in
    input: ./in
    output: ./out
    settle: 0s
    rules:
      - {name: all, match: "*", process: copy, deliver: "{name}"}
"""


def drop(folder: Path, jobs: int, first: int = 0) -> None:
    for number in range(first, jobs):
        (folder / f"j{number}.bin").write_bytes(b"x" * 1024)


def served(options: argparse.Namespace, side: Callable[[Path, str], Sample], *words: str) -> Sample:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        for each in ("server", "client", "client/in", "client/out"):
            (root / each).mkdir()
        with Program([sys.executable, str(WIRE), *words], root / "server") as server:
            until(lambda: server.log.read_text().endswith("\n"), 30)
            url = f"http://127.0.0.1:{server.log.read_text().strip()}"
            found = dict(side(root / "client", url))
            if "--hold" in words:
                return found
            return {**found, "calls/job": calls(url) / options.jobs}


def calls(url: str, kind: str = "count") -> int:
    return int(requests.get(f"{url}/calls", timeout=30).json()[kind])


def ours(options: argparse.Namespace, in_flight: int) -> Sample:
    def run(root: Path, url: str) -> Sample:
        (root / "watcher.yaml").write_text(CONFIG % (url.rpartition(":")[2], in_flight))
        with Program([sys.executable, "-m", "watcher", "run"], root) as program:
            (root / "in" / "first").write_bytes(b"x")
            if not until(lambda: count(root / "out") == 1, 60):
                raise RuntimeError(program.log.read_text()[-2000:])
            before, began = program.cpu(), time.monotonic()
            drop(root / "in", options.jobs)
            until(lambda: count(root / "out") > options.jobs, 600, 0.05)
            wall = time.monotonic() - began
            return {
                "jobs/s": options.jobs / wall,
                "CPU ms/job": (program.cpu() - before) / options.jobs * 1e3,
            }

    return served(options, run)


def loop(options: argparse.Namespace) -> Sample:
    def run(root: Path, url: str) -> Sample:
        drop(root / "in", options.jobs)
        cpu, began = time.process_time(), time.monotonic()
        with requests.Session() as session:
            for path in (root / "in").iterdir():
                key = str(uuid.uuid4())
                with path.open("rb") as stream:
                    data = {"process": "copy", "config": f'{{"task_id": "{key}"}}'}
                    session.post(f"{url}/jobs", data=data, files={"file": stream}, timeout=30)
                session.get(f"{url}/jobs/{key}", timeout=30).json()
                names = session.get(f"{url}/jobs/{key}/outputs", timeout=30).json()["outputs"]
                body = session.get(f"{url}/jobs/{key}/outputs/{names[0]}", timeout=30).content
                (root / "out" / path.name).write_bytes(body)
        return {
            "jobs/s": options.jobs / (time.monotonic() - began),
            "CPU ms/job": (time.process_time() - cpu) / options.jobs * 1e3,
        }

    return served(options, run)


def ours_in_flight(options: argparse.Namespace) -> Sample:
    def run(root: Path, url: str) -> Sample:
        (root / "watcher.yaml").write_text(CONFIG % (url.rpartition(":")[2], options.jobs))
        with Program([sys.executable, "-m", "watcher", "run"], root) as program:
            drop(root / "in", 1)
            if not until(lambda: calls(url, "posts") == 1, 60):
                raise RuntimeError(program.log.read_text()[-2000:])
            held = program.memory()
            drop(root / "in", options.jobs, first=1)
            if not until(lambda: calls(url, "posts") >= options.jobs, 120, 0.1):
                raise RuntimeError("not all jobs were sent")
            asked, cpu, began = calls(url), program.cpu(), time.monotonic()
            time.sleep(options.seconds)
            wall = time.monotonic() - began
            found = {
                "CPU %": (program.cpu() - cpu) / wall * 100,
                "calls/s": (calls(url) - asked) / wall,
                "KB/job": (program.memory() - held) / options.jobs / 1e3,
            }
            requests.get(f"{url}/release", timeout=30)
            if not until(lambda: count(root / "out") >= options.jobs, 120, 0.1):
                raise RuntimeError("not all jobs that ran were delivered")
            return found

    return served(options, run, "--hold")


def loop_in_flight(options: argparse.Namespace) -> Sample:
    def run(_root: Path, url: str) -> Sample:
        with requests.Session() as session:
            for _ in range(options.jobs):
                session.post(f"{url}/jobs", files={"file": b"x"}, timeout=30)
            asked, cpu, began = calls(url), time.process_time(), time.monotonic()
            while time.monotonic() < began + options.seconds:
                session.get(f"{url}/jobs", timeout=30).json()
                time.sleep(1.0)
            wall = time.monotonic() - began
            spent = time.process_time() - cpu
            return {"CPU %": spent / wall * 100, "calls/s": (calls(url) - asked) / wall}

    return served(options, run, "--hold")


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks http", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    taking = {
        "watcher": lambda: ours(options, options.jobs),
        f"watcher, {USUAL} in flight": lambda: ours(options, USUAL),
        "requests loop": lambda: loop(options),
    }
    found = take_turns(taking, options.rounds)
    aims = {"jobs/s": ">= 0.8"}
    show(f"http: {options.jobs} jobs of 1 KB", found, "requests loop", aims)
    taking = {
        "watcher": lambda: ours_in_flight(options),
        "a list a second": lambda: loop_in_flight(options),
    }
    found = take_turns(taking, min(options.rounds, 3))
    aims = {"CPU %": "<= 3", "calls/s": "about 1 at most"}
    title = f"http: {options.jobs} jobs in flight, {options.seconds:g} s from the last sending on"
    show(title, found, "a list a second", aims)


if __name__ == "__main__":
    main()
