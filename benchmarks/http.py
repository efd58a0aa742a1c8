"""Many small jobs through HTTP, from the drop to the delivery, against a bare requests loop.

    python -m benchmarks http [--jobs 1000] [--rounds 5]

Both talk to the same small server, in a process of its own, whose jobs end at once. The loop does
what a job needs and no more: submit, ask once, list the outputs, fetch, write. CPU is the client's.
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

WIRE = Path(__file__).parent / "peers" / "wire.py"
CONFIG = """
state: ./var
http: off
log: {level: warning}
scheduler: {url: "http://127.0.0.1:%s", max_in_flight: 1000}
folders:
  - name: in
    input: ./in
    output: ./out
    settle: 0s
    rules:
      - {name: all, match: "*", process: copy, deliver: "{name}"}
"""


def drop(folder: Path, jobs: int) -> None:
    for number in range(jobs):
        (folder / f"j{number}.bin").write_bytes(b"x" * 1024)


def served(options: argparse.Namespace, side: Callable[[Path, str], Sample]) -> Sample:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        for each in ("server", "client", "client/in", "client/out"):
            (root / each).mkdir()
        with Program([sys.executable, str(WIRE)], root / "server") as server:
            until(lambda: server.log.read_text().endswith("\n"), 30)
            url = f"http://127.0.0.1:{server.log.read_text().strip()}"
            found = dict(side(root / "client", url))
            calls = requests.get(f"{url}/calls", timeout=30).json()["count"]
            return {**found, "calls/job": calls / options.jobs}


def ours(options: argparse.Namespace) -> Sample:
    def run(root: Path, url: str) -> Sample:
        (root / "watcher.yaml").write_text(CONFIG % url.rpartition(":")[2])
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


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks http", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    taking = {"watcher": lambda: ours(options), "requests loop": lambda: loop(options)}
    found = take_turns(taking, options.rounds)
    aims = {"jobs/s": ">= 0.8"}
    show(f"http: {options.jobs} jobs of 1 KB", found, "requests loop", aims)


if __name__ == "__main__":
    main()
