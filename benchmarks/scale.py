"""What more watchers and more workers bring, and what a shared ledger and a broker cost.

    python -m benchmarks scale [PART...]

The parts are ``workers``, ``watchers``, ``ledger``, ``tasks``, ``board`` and ``takeover``. Jobs
wait for a second, so that two cores do not hide what is measured. It starts Redis and PostgreSQL
servers of its own. Imports the tests' servers, the ledger and the embedded farm.
Invariant: each part's figures come from one run, one behind the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.ledger import GROUP, grouped, saves
from benchmarks.machine import cpu
from tests.databases import Postgres, postgres, redis
from tests.farming import Farm, start_farm
from watcher.adapters.ledger import open_ledger
from watcher.embedded.farm.board import Board, Row, Shown
from watcher.embedded.farm.tasks import Outbox
from watcher.embedded.store import PENDING, Job

LANES = 4  # jobs at a time, of each worker and each watcher
SECONDS = 10  # that each round should take, if all goes well
MANY, FEW = 20_000, 300
TASKS = 3000
WAIT = """
import pathlib, time
def main(pc, params):
    time.sleep(1)
    pathlib.Path(pc.get_output_dir("made.txt")).write_text("made")
"""
CONFIG = """
state: {folder}/state-{name}
ledger: {url}
http: off
scheduler: {{url: embedded, workers: {lanes}, max_in_flight: {lanes}}}
folders:
  - name: in
    input: {folder}/in
    output: {folder}/out
    settle: 0s
    scan_every: 2s
    rules: [{{name: wait, match: "*", script: {folder}/wait.py, deliver: "{{relpath}}/{{output}}"}}]
"""


def until(there: Callable[[], bool], within: float = 300.0) -> None:
    deadline = time.monotonic() + within
    while not there():
        if time.monotonic() > deadline:
            raise SystemExit("waited in vain")
        time.sleep(0.02)


def per_second(count: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


# -------------------------------------------------------------------- workers
def ended(farm: Farm) -> int:
    rows = farm.server.ask("GET", "/jobs").json()
    found = rows if isinstance(rows, list) else rows["jobs"]
    return sum(row["status"] == "SUCCESS" for row in found)


def workers() -> dict[str, float]:
    """Jobs a second that 1, 2 and 4 workers end."""
    with redis() as broker:
        return {str(count): round(shift(broker.url, count), 1) for count in (1, 2, 4)}


def shift(broker: str, count: int) -> float:
    """Jobs a second that so many workers end, one a worker and lane having warmed them up."""
    warm, jobs = count * LANES, count * LANES * SECONDS
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(4) as callers:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        farm = stack.enter_context(start_farm(folder, broker))
        for _ in range(count):
            stack.enter_context(farm.worker("--workers", LANES))
        list(callers.map(lambda _: farm.server.submit(script=WAIT), range(warm)))
        until(lambda: ended(farm) >= warm)
        start = time.monotonic()
        list(callers.map(lambda _: farm.server.submit(script=WAIT), range(jobs)))
        until(lambda: ended(farm) >= jobs + warm)
        return jobs / (time.monotonic() - start)


# -------------------------------------------------------------------- watchers
@contextlib.contextmanager
def watching(folder: Path, url: str, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many watchers of one tree at one ledger."""
    (folder / "in").mkdir(exist_ok=True)
    (folder / "wait.py").write_text(WAIT)
    running = []
    for name in range(count):
        config = folder / f"{name}.yaml"
        config.write_text(CONFIG.format(folder=folder, url=url, name=name, lanes=LANES))
        with (folder / f"{name}.log").open("wb") as log:
            words = [sys.executable, "-m", "watcher", "run", "-c", str(config)]
            running.append(subprocess.Popen(words, stdout=log, stderr=log))
    try:
        until(lambda: all(b"started" in (folder / f"{n}.log").read_bytes() for n in range(count)))
        yield running
    finally:
        for one in running:
            one.kill()
            one.wait()


def drop(folder: Path, count: int) -> None:
    for _ in range(count):
        name = uuid.uuid4().hex
        (folder / f".{name}").write_text(name)
        (folder / f".{name}").rename(folder / "in" / name)


def delivered(folder: Path) -> int:
    out = folder / "out"
    return sum(name.name != ".watcher-seats" for name in out.iterdir()) if out.is_dir() else 0


def round_of(server: Postgres, count: int) -> float:
    with tempfile.TemporaryDirectory() as place:
        folder, files = Path(place), count * LANES * SECONDS
        with watching(folder, server.emptied(), count):
            drop(folder, count * LANES)
            until(lambda: delivered(folder) >= count * LANES)  # warm
            start = time.monotonic()
            drop(folder, files)
            until(lambda: delivered(folder) >= files + count * LANES)
            return files / (time.monotonic() - start)


def watchers() -> dict[str, float]:
    """Files a second that 1, 2 and 4 watchers of one tree deliver."""
    with postgres() as server:
        return {str(count): round(round_of(server, count), 1) for count in (1, 2, 4)}


def takeover() -> dict[str, Any]:
    """Seconds from the SIGKILL of a watcher to the delivery of the last file it held."""
    found = []
    with postgres() as server, tempfile.TemporaryDirectory() as place:
        for number in range(3):
            folder = Path(place) / str(number)
            folder.mkdir()
            with watching(folder, server.emptied(), 2) as (first, _):
                drop(folder, 4 * LANES)
                until(lambda folder=folder: delivered(folder) >= LANES)
                first.send_signal(signal.SIGKILL)
                start = time.monotonic()
                until(lambda folder=folder: delivered(folder) >= 4 * LANES)
                found.append(round(time.monotonic() - start, 1))
    return {"seconds": found}


# -------------------------------------------------------------------- the ledger and the broker
def ledger() -> dict[str, float]:
    """Changes a second of each ledger, in groups and one by one."""
    with postgres() as server, tempfile.TemporaryDirectory() as place:
        groups, single = changes(Path(place), "sqlite")
        shared_groups, shared_single = changes(Path(place), server.emptied())
    return {
        "sqlite_groups": round(groups),
        "sqlite_single": round(single),
        "postgresql_groups": round(shared_groups),
        "postgresql_single": round(shared_single),
        "groups_ratio": round(shared_groups / groups, 2),
        "single_ratio": round(shared_single / single, 2),
    }


def changes(folder: Path, url: str) -> tuple[float, float]:
    """Changes a second in groups, and one by one."""
    opened = open_ledger(folder, url=url, read_only=False)
    many, few = saves(opened, MANY), saves(opened, FEW)
    groups = per_second(MANY, lambda: grouped(opened, many, GROUP))
    single = per_second(FEW, lambda: grouped(opened, few, 1))
    opened.close()
    return groups, single


def tasks() -> dict[str, float]:
    """Tasks a second into the broker, and jobs that do nothing through one worker."""
    with redis() as broker, tempfile.TemporaryDirectory() as place:
        box = Outbox(broker.url, "bench")
        job = Job(
            seq=1, id=str(uuid.uuid4()), name="", process="", priority=0, status=PENDING,
            requested=0.0,
        )  # fmt: skip
        box.send(job, "cpu")
        sent = per_second(TASKS, lambda: [box.send(job, "cpu") for _ in range(TASKS)])
        box.close()
        with start_farm(Path(place), broker.url) as farm, ThreadPoolExecutor(8) as callers:
            nothing = {"params": {"duration": 0}}
            list(callers.map(lambda _: farm.server.submit("sleep", **nothing), range(FEW)))
            pid = farm.server.process.pid
            start, used = time.monotonic(), cpu(pid)
            list(callers.map(lambda _: farm.server.submit("sleep", **nothing), range(FEW)))
            submitted, start = FEW / (time.monotonic() - start), time.monotonic()
            with farm.worker("--workers", LANES):
                until(lambda: ended(farm) >= 2 * FEW)
                return {
                    "sent_per_s": round(sent),
                    "submitted_per_s": round(submitted, 1),
                    "ended_per_s": round(2 * FEW / (time.monotonic() - start), 1),
                    "serve_cpu_ms_per_job": round(1000 * (cpu(pid) - used) / FEW, 1),
                }


def board() -> dict[str, float]:
    """What a hundred workers of eight jobs each say, and what it costs to hear it."""
    with redis() as broker:
        notes, crews = Board(broker.url, "bench"), []
        for worker in range(100):
            row = Row(attempt=1, began=time.time(), worker=f"machine-{worker}:1", beat=worker)
            crews.append({str(uuid.uuid4()): row for _ in range(8)})
        shown = Shown(50, (("half way", 1.0),))
        beats = per_second(
            len(crews), lambda: [notes.beat(c, dict.fromkeys(c, shown)) for c in crews]
        )
        rounds = per_second(20, lambda: [notes.rows() for _ in range(20)])
        notes.close()
    return {"beats_per_s": round(beats), "all_rows_ms": round(1000 / rounds, 1)}


PARTS = {one.__name__: one for one in (workers, watchers, ledger, tasks, board, takeover)}


def main(names: list[str]) -> None:
    for name in names or PARTS:
        print(json.dumps({name: PARTS[name]()}), flush=True)


if __name__ == "__main__":
    os.environ.pop("WATCHER_BROKER", None)
    main(sys.argv[1:])
