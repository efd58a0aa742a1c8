"""Many small files dropped at once: CPU a file, tail, memory, and whether all came once.

    python -m benchmarks intake [--files 10000] [--rounds 5] [--way WAY] [--ways] [--alone]

``watcher run`` with ``process: pass`` against a naive script (watchdog, a thread pool, copy) and
against the least that is durable. CPU is counted from the drop on, so imports count for nobody.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.machine import Program, count, watching
from benchmarks.rounds import Sample, Side, show, take_turns

PEERS = Path(__file__).parent / "peers"
AIMS = {"CPU us/file": "<= 1.5, stretch 0.65", "missing": "0", "twice": "0", "peak MB": "<= 150 MB"}


def drop(folder: Path, files: int, size: int, way: str = "at once") -> None:
    """Write all of them one after the other, as fast as it goes: at the top, or ten each in new
    folders, of which ten lie in another new one. ``moved``: beside the input, then in at once."""
    body = os.urandom(size)
    flat = way in ("at once", "stopped")
    into = folder.parent / "beside" if way == "moved" else folder
    place = into
    for number in range(files):
        if not flat and number % 10 == 0:
            place = into / f"a{number // 100}" / f"b{number // 10 % 10}"
            place.mkdir(parents=True)
        with open(place / f"f{number:07}.bin", "wb", buffering=0) as out:  # noqa: PTH123  (its price)
            out.write(body)
    if way == "moved":
        into.rename(folder / "tree")


def measured(
    root: Path, started: AbstractContextManager[Program], options: argparse.Namespace
) -> Sample:
    with started as program:
        before, held = program.cpu(), program.memory()
        began = time.monotonic()
        if options.way == "stopped":
            program.process.send_signal(signal.SIGSTOP)
        drop(root / "in", options.files, options.size, options.way)
        dropped = time.monotonic()
        program.process.send_signal(signal.SIGCONT)
        came = _all_came(root / "out", options.files + 1)
        ended = time.monotonic() - (0 if came else QUIET)
        missing = options.files + 1 - count(root / "out")
        time.sleep(0.3)  # what is done after the last delivery is part of the price
        return {
            "CPU us/file": (program.cpu() - before) / max(1, options.files - missing) * 1e6,
            "tail s": max(0.001, ended - dropped),
            "files/s": options.files / (ended - began),
            "missing": missing,
            "peak MB": program.memory("VmHWM") / 1e6,
            "B/file held": max(0, program.memory("VmHWM") - held) / options.files,
        }


QUIET = 5.0


def _all_came(out: Path, files: int) -> bool:
    """Wait for all, or until nothing has come for a while: the naive script loses some."""
    last, since = -1, time.monotonic()
    while last < files:
        now = count(out)
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > QUIET:
            return False
        time.sleep(0.1)
    return True


def ours(options: argparse.Namespace) -> Sample:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        sample = dict(measured(root, watching(root), options))
        sample["twice"] = _twice(root)
        return sample


def _twice(root: Path) -> int:
    """Deliveries beyond one a file, by the ledger's word."""
    from watcher.adapters.ledger import open_ledger  # noqa: PLC0415  (after the measurement)

    ledger = open_ledger(root / "var", read_only=True)
    extra = sum(work.file.arrival - 1 for work in ledger.files())
    ledger.close()
    return extra


def peer(program: str, options: argparse.Namespace) -> Side:
    def run() -> Sample:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            root = Path(name)
            (root / "in").mkdir()
            (root / "out").mkdir()
            command = [sys.executable, str(PEERS / program), str(root / "in"), str(root / "out")]
            return measured(root, _Warmed(Program(command, root), root), options)

    return run


class _Warmed:
    """A program that has copied one file."""

    def __init__(self, program: Program, root: Path) -> None:
        self._program, self._root = program, root

    def __enter__(self) -> Program:
        program = self._program.__enter__()
        end = time.monotonic() + 30
        while not (self._root / "out" / "first").exists() and time.monotonic() < end:
            (self._root / "in" / "first").write_bytes(b"first")  # until it watches
            time.sleep(0.2)
        return program

    def __exit__(self, *error: object) -> None:
        self._program.__exit__(None, None, None)


def sides(options: argparse.Namespace) -> dict[str, Callable[[], Sample]]:
    found: dict[str, Callable[[], Sample]] = {
        "watcher": lambda: ours(options),
        "naive script": peer("naive.py", options),
    }
    if options.way == "at once":  # it knows no folders
        found["durable reference"] = peer("durable.py", options)
    return found


WAYS = {
    "at once": 100_000,
    "nested": 10_000,  # over 1,000 new folders
    "moved": 10_000,
    "stopped": 40_000,  # more than the kernel's queue takes
}


def every_way(options: argparse.Namespace) -> None:
    """All the ways in which many may come, each with its own number."""

    def taken(way: str, files: int) -> Callable[[], Sample]:
        mine = argparse.Namespace(**{**vars(options), "way": way, "files": files})
        return lambda: ours(mine)

    taking = {f"{files} {way}": taken(way, files) for way, files in WAYS.items()}
    found = take_turns(taking, options.rounds)
    show("intake: every way in which many come", found, next(iter(taking)), AIMS)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks intake", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, default="at once", help="how they come")
    parser.add_argument("--ways", action="store_true", help="every way, without peers")
    parser.add_argument("--alone", action="store_true", help="without peers: for 100,000 files")
    parser.add_argument("--folder", type=Path, help="where: the disk that is measured")
    options = parser.parse_args(words)
    if options.ways:
        every_way(options)
        return
    taking = {"watcher": sides(options)["watcher"]} if options.alone else sides(options)
    found = take_turns(taking, options.rounds)
    title = f"intake: {options.files} files of {options.size} bytes dropped, {options.way}"
    show(title, found, "watcher" if options.alone else "naive script", AIMS)
    if not options.alone and options.way == "at once":
        ratio = found.median("watcher", "tail s") / found.median("durable reference", "tail s")
        print(f"tail against the durable reference: {ratio:.2f}x (to reach: <= 2, stretch 1)")


if __name__ == "__main__":
    main()
