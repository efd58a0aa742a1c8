"""Giving staged files their final names: with fsync, in groups and one by one, and without.

python -m benchmarks publish [--files 2000] [--group 128] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.rounds import Sample, show, take_turns
from watcher.adapters.files import LocalFiles
from watcher.core.ports import Placement


def measured(
    options: argparse.Namespace, publish: Callable[[Path, list[Placement]], None]
) -> Sample:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        (root / "staging").mkdir()
        (root / "out").mkdir()
        staged = []
        for number in range(options.files):
            path = root / "staging" / str(number)
            path.write_bytes(b"x" * options.size)
            staged.append(Placement(path, f"f{number}", options.size, ""))
        cpu, began = time.process_time(), time.monotonic()
        publish(root / "out", staged)
        wall, spent = time.monotonic() - began, time.process_time() - cpu
        return {"files/s": options.files / wall, "CPU us/file": spent / options.files * 1e6}


def grouped(group: int) -> Callable[[Path, list[Placement]], None]:
    def publish(out: Path, staged: list[Placement]) -> None:
        files = LocalFiles()
        for start in range(0, len(staged), group):
            answers = files.publish_each(out, [[one] for one in staged[start : start + group]])
            if any(answers):
                raise RuntimeError(answers)

    return publish


def bare(out: Path, staged: list[Placement]) -> None:
    for one in staged:
        os.rename(one.staged, out / one.target)  # noqa: PTH104  (its price)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks publish", description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--group", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    together, alone = grouped(options.group), grouped(1)
    taking = {
        f"groups of {options.group}": lambda: measured(options, together),
        "one by one": lambda: measured(options, alone),
        "bare rename, no fsync": lambda: measured(options, bare),
    }
    found = take_turns(taking, options.rounds)
    show(f"publish: {options.files} files of {options.size} bytes", found, "one by one")


if __name__ == "__main__":
    main()
