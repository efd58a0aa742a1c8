"""A full scan of files that are all known, against looking at each of them once.

    python -m benchmarks rescan [--files 1000000] [--folders 1000] [--rounds 3]

Ours is the first scan of ``watcher run``, by its own word and its memory beyond that of a daemon on
an empty folder; the other side is ``os.scandir`` with ``stat`` of every entry, in a process too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks import known, plot
from benchmarks.machine import Program, until
from benchmarks.rounds import Sample, show, take_turns

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


def told(log: Path, event: str) -> dict[str, float]:
    """The first line of this event in a log; empty as long as there is none."""
    for line in log.read_text().splitlines():
        if f'"{event}"' in line:
            found: dict[str, float] = json.loads(line)
            return found
    return {}


def ours(root: Path) -> Sample:
    (root / "log").unlink(missing_ok=True)
    with Program([sys.executable, "-m", "watcher", "run"], root) as program:
        until(lambda: bool(told(program.log, "daemon.started")), 60)
        before = program.cpu()
        until(lambda: bool(told(program.log, "scan.done")), 3600, 0.2)
        return {
            "wall s": told(program.log, "scan.done")["seconds"],
            "CPU s": program.cpu() - before,
            "peak MB": program.memory("VmHWM") / 1e6,
        }


def look(root: Path) -> Sample:
    (root / "log").unlink(missing_ok=True)
    with Program([sys.executable, "-c", LOOK, str(root / "in")], root) as program:
        until(lambda: program.log.read_text().endswith("\n"), 3600, 0.1)
        wall, cpu = map(float, program.log.read_text().split())
        return {"wall s": wall, "CPU s": cpu, "peak MB": program.memory("VmHWM") / 1e6}


def measured(root: Path, files: int, options: argparse.Namespace) -> float:
    place, empty = root / "full", root / "empty"
    known.make(place, files, options.folders)
    known.make(empty, 0, 1)
    taking = {"watcher": lambda: ours(place), "scandir + stat": lambda: look(place)}
    found = take_turns(taking, options.rounds)
    idle = ours(empty)["peak MB"]
    aims = {"wall s": "<= 1.5", "CPU s": "<= 1.5"}
    show(f"rescan: {files} known files in {options.folders} folders", found, "scandir + stat", aims)
    extra = found.median("watcher", "peak MB") - idle
    print(f"memory beyond a daemon on an empty folder: {extra:.1f} MB (to reach: <= 60)")
    return found.median("watcher", "CPU s") / files * 1e6


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks rescan", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--folders", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", action="store_true", help="three sizes, and a plot")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    sizes = [options.files // 100, options.files // 10] if options.growth else []
    costs = []
    for files in (*sizes, options.files):
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            costs.append(measured(Path(name), files, options))
    if options.growth:
        every = [*sizes, options.files]
        plot.draw("rescan", "known files", "CPU us a file", every, {"watcher": costs})


if __name__ == "__main__":
    main()
