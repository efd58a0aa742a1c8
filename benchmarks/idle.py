"""A daemon with nothing to do: CPU and memory, against watchdog alone on the same tree.

python -m benchmarks idle [--folders 10000] [--each 10] [--seconds 10] [--rounds 5]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import known
from benchmarks.machine import Program, until
from benchmarks.rounds import Sample, show, take_turns

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


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks idle", description=__doc__)
    parser.add_argument("--folders", type=int, default=10_000)
    parser.add_argument("--each", type=int, default=10, help="files in a folder")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    files = options.folders * options.each
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        known.make(root, files, options.folders)
        alone = [sys.executable, "-c", ALONE, str(root / "in")]
        run = [sys.executable, "-m", "watcher", "run"]
        taking = {
            "watcher": lambda: idling(run, root, options.seconds),
            "watchdog alone": lambda: idling(alone, root, options.seconds),
        }
        found = take_turns(taking, options.rounds)
    aims = {"CPU %": "<= 0.5 %", "memory MB": "<= + 80 MB"}
    show(f"idle: {options.folders} folders, {files} known files", found, "watchdog alone", aims)
    more = found.median("watcher", "memory MB") - found.median("watchdog alone", "memory MB")
    print(f"memory beyond watchdog: {more:.1f} MB")


if __name__ == "__main__":
    main()
