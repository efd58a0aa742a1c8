"""From a closed file to its record in the ledger, with ``settle: 0s``.

    python -m benchmarks latency [--files 200] [--rounds 5] [--slow 10000]

Ours is the time until the ledger holds the file (accepted and durable), against the time until
watchfiles tells of it with its defaults, and until watchdog does. One file after the other, so that
no queue counts. ``--slow``: writers that open once and write in steps; how many were taken early.
"""

from __future__ import annotations

import argparse
import importlib.util
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import Program, count, until, watching
from benchmarks.rounds import Found, Sample, quantile, show, take_turns

PAUSE = 0.03  # seconds between two files, with some spread by the work itself
TELLERS = {
    "watchfiles": """
import sys, watchfiles
print("ready", flush=True)
for changes in watchfiles.watch(sys.argv[1]):
    for _, path in changes:
        print(path, flush=True)
""",
    "watchdog": """
import sys, time
from watchdog.events import FileClosedEvent, FileSystemEventHandler
from watchdog.observers import Observer
class Handler(FileSystemEventHandler):
    def on_closed(self, event):
        print(event.src_path, flush=True)
one = Observer()
one.schedule(Handler(), sys.argv[1], recursive=True, event_filter=[FileClosedEvent])
one.start()
print("ready", flush=True)
time.sleep(1e6)
""",
}


def told(waits: list[float]) -> Sample:
    return {"p50 ms": quantile(waits, 0.5) * 1e3, "p99 ms": quantile(waits, 0.99) * 1e3}


def ours(options: argparse.Namespace) -> Sample:
    """Seen from outside: another connection reads the row."""
    with tempfile.TemporaryDirectory(dir=options.folder) as name, watching(Path(name)) as program:
        root = Path(name)
        ledger = sqlite3.connect(f"file:{root}/var/ledger.sqlite?mode=ro", uri=True)
        waits = []
        for number in range(options.files):
            path = root / "in" / f"l{number}"
            path.write_bytes(b"x")
            closed = time.time()
            ask = "SELECT accepted_at FROM files WHERE folder = 'in' AND directory = ? AND name = ?"
            row = None
            while row is None:
                time.sleep(0.0003)  # a busy look would take a core from who is measured
                row = ledger.execute(ask, (b"", path.name.encode())).fetchone()
            waits.append(time.time() - closed)
            time.sleep(PAUSE)
        ledger.close()
        return {**told(waits), "CPU ms/file": program.cpu() / options.files * 1e3}


def peer(text: str, options: argparse.Namespace) -> Sample:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        (root / "in").mkdir()
        with Program([sys.executable, "-c", text, str(root / "in")], root) as program:
            lines = program.log.open()
            until(lambda: "ready" in lines.readline(), 30)
            time.sleep(0.5)
            waits = []
            for number in range(options.files):
                path = root / "in" / f"l{number}"
                path.write_bytes(b"x")
                closed = time.time()
                while path.name not in lines.readline():
                    time.sleep(0.0003)
                waits.append(time.time() - closed)
                time.sleep(PAUSE)
            lines.close()
            return told(waits)


def early(options: argparse.Namespace) -> None:
    """Writers that open once and write in steps: none may be accepted before it closes."""
    with tempfile.TemporaryDirectory(dir=options.folder) as name, watching(Path(name)):
        root = Path(name)
        over = threading.Event()
        body = b"0123456789"

        def write(first: int) -> None:
            for number in range(first, options.slow, 8):
                with (root / "in" / f"s{number}").open("wb", buffering=0) as out:
                    for byte in body:
                        out.write(bytes([byte]))
                        over.wait(0.0005)

        writers = [threading.Thread(target=write, args=(first,)) for first in range(8)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        until(lambda: count(root / "out") >= options.slow + 1, 300, 0.2)
        short = sum(path.stat().st_size != len(body) for path in (root / "out").glob("s*"))
        again = sqlite3.connect(f"file:{root}/var/ledger.sqlite?mode=ro", uri=True)
        more = again.execute("SELECT count(*) FROM files WHERE arrival > 1").fetchone()[0]
        again.close()
        print(f"of {options.slow} slow writers: {short} delivered short, {more} taken twice")


def sides(options: argparse.Namespace, found: dict[str, str]) -> dict[str, Callable[[], Sample]]:
    taking: dict[str, Callable[[], Sample]] = {"watcher": lambda: ours(options)}
    for name, text in TELLERS.items():
        if importlib.util.find_spec(name):
            taking[name] = lambda text=text: peer(text, options)  # type: ignore[misc]
        else:
            found[name] = "not installed"
    return taking


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks latency", description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--slow", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    skipped: dict[str, str] = {}
    taking = sides(options, skipped)
    found: Found = take_turns(taking, options.rounds)
    found.skipped = skipped
    against = "watchfiles" if "watchfiles" in taking else "watchdog"
    aims = {"p50 ms": "<= 0.1", "p99 ms": "<= 0.3"}
    show(
        f"latency: a closed file until it is accepted, {options.files} files", found, against, aims
    )
    if options.slow:
        early(options)


if __name__ == "__main__":
    main()
