"""What a file, a job or a folder costs at three sizes a factor of ten apart, as tables and plots.

    python -m benchmarks growth [NAME ...]

Runs the other programs and reads the samples of their tables. A cost of one that stays the same is
linear growth; one that rises by more than half from the second size to the third is told. Imports
the standard library and the plots. Invariant: what is drawn is what was printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import plot
from benchmarks.rounds import SAMPLES, aligned

RISE = 1.5  # of the cost of one, from size to size, that is more than noise


@dataclass(frozen=True)
class Growth:
    """One plot: the option that takes the size, the sizes, the metric, what stands below it.

    ``each``: the metric is of the whole and is divided by the size. ``slope``: it is of the whole
    in MB, and this is what one more takes.
    """

    words: tuple[str, ...]
    sizes: tuple[int, int, int]
    metric: str
    across: str
    each: bool = False
    slope: str = ""


EVERY = {
    "intake": Growth(
        ("--alone", "--rounds", "2", "--files"), (1000, 10_000, 100_000), "CPU us/file",
        "files dropped at once",
    ),
    "http": Growth(
        ("--rounds", "1", "--seconds", "3", "--jobs"), (100, 1000, 10_000), "CPU ms/job", "jobs"
    ),
    "embedded": Growth(
        ("--rounds", "1", "--commands", "1", "--jobs"), (50, 500, 5000), "ms/job", "OBJ files"
    ),
    "publish": Growth(
        ("--rounds", "3", "--files"), (200, 2000, 20_000), "CPU us/file", "files published"
    ),
    "ledger": Growth(
        ("--rounds", "3", "--files"), (2000, 20_000, 200_000), "CPU us/change", "changes"
    ),
    "rescan": Growth(
        ("--rounds", "1", "--files"), (10_000, 100_000, 1_000_000), "CPU s", "known files",
        each=True,
    ),
    "start": Growth(
        ("--rounds", "2", "--files"), (10_000, 100_000, 1_000_000), "ready s",
        "files in the ledger",
    ),
    "idle": Growth(
        ("--rounds", "1", "--seconds", "5", "--folders"), (100, 1000, 10_000), "memory MB",
        "watched folders, with ten known files each", slope="B a watched folder",
    ),
    "transfer": Growth(
        ("--rounds", "2", "--size"), (20_000_000, 200_000_000, 2_000_000_000), "MB/s", "bytes"
    ),
}  # fmt: skip


def costs(name: str, growth: Growth, size: int) -> dict[str, float]:
    """The median of each side at one size; the program's own table goes to the terminal."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *growth.words, str(size)]
    with tempfile.NamedTemporaryFile("r", suffix=".json") as told:
        subprocess.run(command, check=True, env=os.environ | {SAMPLES: told.name})
        tables = [json.loads(line) for line in told]
    return {
        side: statistics.median(values) / (size if growth.each else 1)
        for table in tables
        for side, rounds in table.items()
        if (values := [one[growth.metric] for one in rounds if growth.metric in one])
    }


def grown(name: str, growth: Growth) -> None:
    """Run one at its three sizes, then tell and draw."""
    found = [costs(name, growth, size) for size in growth.sizes]
    sides = [side for side in found[0] if all(side in one for one in found)]
    metric = f"{growth.metric} each" if growth.each else growth.metric
    rows = [(metric, *map(str, growth.sizes), "last / middle")]
    for side in sides:
        values = [one[side] for one in found]
        ratio = values[2] / values[1] if values[1] else 0.0
        rows.append((side, *(f"{value:.4g}" for value in values), f"{ratio:.2f}"))
    print(f"\n## growth of {name}\n\n{aligned(rows)}")
    for side in sides if growth.slope else ():
        more = (found[2][side] - found[0][side]) * 1e6 / (growth.sizes[2] - growth.sizes[0])
        print(f"{side}: {more:.0f} {growth.slope}")
    ours = sides[0]
    if growth.metric not in ("MB/s", "memory MB") and found[2][ours] > RISE * found[1][ours]:
        print(f"{ours}: more than {RISE} times from the second size to the third")
    lines = {side: [one[side] for one in found] for side in sides}
    plot.draw(name, growth.across, metric, growth.sizes, lines)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks growth", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*EVERY, []], metavar="NAME")
    chosen = parser.parse_args(words).names or list(EVERY)
    for name in chosen:
        grown(name, EVERY[name])


if __name__ == "__main__":
    main()
