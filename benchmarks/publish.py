"""Copying files and giving them their final names: with fsync, in groups and one by one, and
without any.

    python -m benchmarks publish [--files 4000] [--group 128] [--rounds 5]

All sides are the product's own functions, in the four threads that the daemon has for it; "without"
is the same in a process in which fsync and what prepares it do nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import run

from benchmarks.rounds import Sample, show, take_turns
from watcher.adapters.files import LocalFiles
from watcher.core.model import Fingerprint
from watcher.core.ports import Lone, Placement
from watcher.daemon.hands import WRITING


def make(root: Path, files: int, size: int) -> list[Lone]:
    """Sources, as the daemon knows them."""
    for name in ("in", "out", "state"):
        (root / name).mkdir()
    found = []
    for number in range(files):
        path = root / "in" / f"f{number}"
        path.write_bytes(b"x" * size)
        print_ = Fingerprint(size, path.stat().st_mtime_ns)
        found.append(Lone(f"{number:x}-1-1", root / "in", path.name, print_))
    return found


def passed(root: Path, some: list[Lone]) -> None:
    """Stage and publish a group, as the daemon does."""
    files, out, state = LocalFiles(), root / "out", root / "state"
    home = files.staged(out, state, some[0].token).parent
    copies = files.stage_lone(out, state, some)
    units = [
        [Placement(home / one.token, one.path, one.expect.size, copy.digest)]  # type: ignore[union-attr]
        for one, copy in zip(some, copies, strict=True)
    ]
    if any(files.publish_each(out, units)):
        raise RuntimeError("a name was not given")


def measure(files: int, size: int, group: int) -> tuple[float, float]:
    """Files a second, and CPU seconds, of one run in this process."""
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(WRITING) as pool:
        root = Path(name)
        lones = make(root, files, size)
        os.sync()
        cpu, began = time.process_time(), time.monotonic()
        groups = [lones[start : start + group] for start in range(0, files, group)]
        list(pool.map(lambda some: passed(root, some), groups))
        return files / (time.monotonic() - began), time.process_time() - cpu


def nothing(*_: object) -> None:
    """What fsync is where nobody needs it."""


def side(options: argparse.Namespace, group: int, *, durable: bool = True) -> Callable[[], Sample]:
    words = [str(options.files), str(options.size), str(group), str(int(durable))]
    command = [sys.executable, "-m", "benchmarks.publish", "--way", *words]

    def taken() -> Sample:
        where = os.environ | ({"TMPDIR": str(options.folder)} if options.folder else {})
        said = run(command, check=True, capture_output=True, text=True, env=where).stdout
        rate, spent = map(float, said.split())
        return {"files/s": rate, "CPU us/file": spent / options.files * 1e6}

    return taken


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks publish", description=__doc__)
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--group", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--way", nargs=4, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.way:
        if not options.way[3]:
            os.fsync = nothing
            sys.modules["watcher.adapters.files.publish"].begin_writing = nothing  # type: ignore[attr-defined]
        print(*measure(*options.way[:3]))
        return
    taking = {
        f"groups of {options.group}": side(options, options.group),
        "one by one": side(options, 1),
        "without fsync": side(options, options.group, durable=False),
    }
    found = take_turns(taking, options.rounds)
    aims = {"files/s": ">= 0.85"}
    show(f"publish: {options.files} files of {options.size} bytes", found, "without fsync", aims)


if __name__ == "__main__":
    main()
