"""A daemon with nothing to do: CPU and memory, against watchdog alone on the same tree.

python -m benchmarks idle [--files 100000] [--folders 10000] [--seconds 20] [--rounds 5] [--growth]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import known, plot
from benchmarks.machine import Program, until
from benchmarks.rounds import Found, Sample, show, take_turns

ALONE = """
import sys, time
from watchdog.events import *
from watchdog.observers import Observer
one = Observer()
only = [FileClosedEvent, FileMovedEvent, FileCreatedEvent, DirCreatedEvent, DirMovedEvent]
one.schedule(FileSystemEventHandler(), sys.argv[1], recursive=True, event_filter=only)
one.start()
print('"scan.done"', flush=True)
while True:
    time.sleep(1)
"""


def idling(command: list[str], root: Path, seconds: float) -> Sample:
    (root / "log").unlink(missing_ok=True)
    with Program(command, root) as program:
        until(lambda: "scan.done" in program.log.read_text(), 600, 0.1)
        time.sleep(3)  # what the start has left to do
        before = program.cpu()
        time.sleep(seconds)
        return {
            "CPU %": (program.cpu() - before) / seconds * 100,
            "memory MB": program.memory() / 1e6,
        }


def measured(folders: int, files: int, options: argparse.Namespace) -> Found:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        known.make(root, files, folders)
        alone = [sys.executable, "-c", ALONE, str(root / "in")]
        run = [sys.executable, "-m", "watcher", "run"]
        taking = {
            "watcher": lambda: idling(run, root, options.seconds),
            "watchdog alone": lambda: idling(alone, root, options.seconds),
        }
        found = take_turns(taking, options.rounds)
    aims = {"CPU %": "<= 0.5 %", "memory MB": "<= + 80 MB"}
    title = f"idle: {folders} folders, {files} known files"
    show(title, found, "watchdog alone", aims)
    print(f"memory beyond watchdog: {_memory(found) - _memory(found, 'watchdog alone'):.1f} MB")
    return found


def _memory(found: Found, side: str = "watcher") -> float:
    return found.median(side, "memory MB")


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks idle", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folders", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--growth", action="store_true", help="three sizes, and a plot")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    parts = (100, 10, 1) if options.growth else (1,)
    every = [options.folders // part for part in parts]
    found = [measured(options.folders // one, options.files // one, options) for one in parts]
    if options.growth:
        sides = ("watcher", "watchdog alone")
        for side in sides:
            more = (_memory(found[-1], side) - _memory(found[0], side)) * 1e6
            print(f"memory a watched folder, {side}: {more / (every[-1] - every[0]):.0f} B")
        lines = {side: [_memory(one, side) for one in found] for side in sides}
        plot.draw("idle", "watched folders, with ten known files each", "MB", every, lines)


if __name__ == "__main__":
    main()
