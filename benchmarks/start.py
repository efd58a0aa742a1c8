"""The start with a large ledger: ready to watch, against counting its files.

python -m benchmarks start [--files 1000000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import socket
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import known
from benchmarks.machine import Program
from benchmarks.rounds import Sample, show, take_turns


def ours(root: Path) -> Sample:
    """Until it tells systemd that it is ready."""
    place = root / "notify"
    place.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(place))
        ear.settimeout(600)
        began = time.monotonic()
        command = [sys.executable, "-m", "watcher", "run"]
        with Program(command, root, {"NOTIFY_SOCKET": str(place)}) as program:
            while b"READY=1" not in ear.recv(4096):
                pass
            return {
                "ready s": time.monotonic() - began,
                "CPU s": program.cpu(),
                "peak MB": program.memory("VmHWM") / 1e6,
            }


def counted(root: Path) -> Sample:
    began, cpu = time.monotonic(), time.process_time()
    ledger = sqlite3.connect(root / "var" / "ledger.sqlite")
    ledger.execute("SELECT count(*) FROM files").fetchone()
    ledger.close()
    return {"ready s": time.monotonic() - began, "CPU s": time.process_time() - cpu}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks start", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        known.make(root / "large", options.files, 1000, on_disk=False)
        known.make(root / "empty", 0, 1)
        taking = {
            "watcher": lambda: ours(root / "large"),
            "watcher, empty ledger": lambda: ours(root / "empty"),
            "SELECT count(*)": lambda: counted(root / "large"),
        }
        found = take_turns(taking, options.rounds)
    aims = {"ready s": "<= 2 s", "peak MB": "<= 150 MB"}
    show(f"start: a ledger of {options.files} files", found, "watcher, empty ledger", aims)


if __name__ == "__main__":
    main()
