"""A full scan of files that are all known, and a quick one, against looking at each of them once.

    python -m benchmarks rescan [--files 1000000] [--folders 1000] [--rounds 5]

The full one is the first scan of ``watcher run``, by its own word and its memory beyond that of a
daemon on an empty folder; the quick ones are those that follow, with nothing changed; the other
side is ``os.scandir`` with ``stat`` of every entry, in a process too. Meanwhile: files dropped into
another folder of the same daemon while the full scan runs, until each is accepted.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import known
from benchmarks.machine import CONFIG, Program, until
from benchmarks.rounds import Sample, quantile, show, take_turns

LOOK = """
import os, sys, time
began, cpu = time.perf_counter(), time.process_time()
todo = [sys.argv[1]]
while todo:
    for entry in os.scandir(todo.pop()):
        if entry.is_dir(follow_symlinks=False):
            todo.append(entry.path)
        else:
            entry.stat(follow_symlinks=False)
print(time.perf_counter() - began, time.process_time() - cpu, flush=True)
time.sleep(1e6)
"""
OTHER = """\
  - name: other
    input: ./other
    output: ./delivered
    settle: 0s
    rules: [{name: all, match: "*", process: pass}]
"""
RUN = [sys.executable, "-m", "watcher", "run"]
QUICK = 8  # quick passes in a row: every tenth is a full one
PAUSE = 0.02  # seconds between two files that are dropped elsewhere


def told(log: Path, event: str, **facts: object) -> list[dict[str, float]]:
    """The lines of this event in a log that say so."""
    lines = log.read_text().splitlines()
    found = [json.loads(line) for line in lines if line.endswith("}") and f'"{event}"' in line]
    return [one for one in found if all(one.get(key) == fact for key, fact in facts.items())]


def configured(root: Path, *, scan: str = "1h", more: str = "") -> None:
    (root / "log").unlink(missing_ok=True)
    text = "log: {level: debug}\n" + CONFIG % {"settle": "0s", "scan": scan} + more
    (root / "watcher.yaml").write_text(text)


def full(root: Path) -> Sample:
    configured(root)
    with Program(RUN, root) as program:
        until(lambda: bool(told(program.log, "daemon.started")), 60)
        before = program.cpu()
        until(lambda: bool(told(program.log, "scan.done")), 3600, 0.1)
        return {
            "wall s": told(program.log, "scan.done")[0]["seconds"],
            "CPU s": program.cpu() - before,
            "peak MB": program.memory("VmHWM") / 1e6,
        }


def quick(root: Path) -> Sample:
    configured(root, scan="0.5s")
    with Program(RUN, root) as program:
        until(lambda: bool(told(program.log, "scan.done")), 3600, 0.1)
        if not until(lambda: bool(told(program.log, "scan.done", quick=True)), 10):
            return {}  # a tree so small that every pass is full
        before, first = program.cpu(), len(told(program.log, "scan.done"))
        until(lambda: len(told(program.log, "scan.done")) >= first + QUICK, 60, 0.02)
        spent = program.cpu() - before
        done = told(program.log, "scan.done")[first:][:QUICK]
        if not all(one["quick"] for one in done):
            return {}  # a full one came between
        return {"wall s": sum(one["seconds"] for one in done) / QUICK, "CPU s": spent / QUICK}


def meanwhile(root: Path) -> Sample:
    """Drops into another folder from the start of the scan to its end."""
    (root / "other").mkdir(exist_ok=True)
    configured(root, more=OTHER)
    waits = []
    with Program(RUN, root) as program:
        until(lambda: bool(told(program.log, "scan.done", folder="other")), 60)
        ledger = sqlite3.connect(f"file:{root}/var/ledger.sqlite?mode=ro", uri=True)
        ask = "SELECT id FROM files WHERE folder = 'other' AND directory = x'' AND name = ?"
        while not told(program.log, "scan.done", folder="in"):
            path = root / "other" / f"{time.time_ns()}"
            path.write_bytes(b"x")
            closed = time.monotonic()
            while ledger.execute(ask, (path.name.encode(),)).fetchone() is None:
                time.sleep(0.0005)
            waits.append(time.monotonic() - closed)
            time.sleep(PAUSE)
        ledger.close()
    waits = waits or [0.0]  # it was over too soon
    return {
        "elsewhere p50 ms": quantile(waits, 0.5) * 1e3,
        "elsewhere p99 ms": quantile(waits, 0.99) * 1e3,
        "elsewhere max ms": max(waits) * 1e3,
    }


def look(root: Path) -> Sample:
    (root / "log").unlink(missing_ok=True)
    with Program([sys.executable, "-c", LOOK, str(root / "in")], root) as program:
        until(lambda: program.log.read_text().endswith("\n"), 3600, 0.1)
        wall, cpu = map(float, program.log.read_text().split())
        return {"wall s": wall, "CPU s": cpu, "peak MB": program.memory("VmHWM") / 1e6}


def measured(root: Path, options: argparse.Namespace) -> None:
    """All sides on one tree, made once; and the memory beyond a daemon on an empty folder."""
    place, empty, files = root / "full", root / "empty", options.files
    known.make(place, files, max(1, files // options.each))
    known.make(empty, 0, 1)
    taking = {
        "full": lambda: full(place),
        "quick": lambda: quick(place),
        "meanwhile": lambda: meanwhile(place),
        "scandir + stat": lambda: look(place),
    }
    found = take_turns(taking, options.rounds)
    aims = {
        "wall s": "full <= 1.5, quick <= 0.35",
        "CPU s": "full <= 1.5, quick <= 0.35",
        "elsewhere p99 ms": "<= 100",
    }
    title = f"rescan: {files} known files, {options.each} a folder"
    show(title, found, "scandir + stat", aims)
    extra = found.median("full", "peak MB") - full(empty)["peak MB"]
    print(f"memory beyond a daemon on an empty folder: {extra:.1f} MB (to reach: <= 60)")
    print(f"memory a tracked file: {extra * 1e6 / files:.0f} B")


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks rescan", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--each", type=int, default=1000, help="files in a folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        measured(Path(name), options)


if __name__ == "__main__":
    main()
