"""Many small OBJ files to GLB on the embedded scheduler, against a bare loop of conversions
in as many warm processes.

    python -m benchmarks embedded [--jobs 1000] [--rounds 3] [--triangles 1000]

Both sides have their converters imported before the clock starts.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.machine import Program, count, until
from benchmarks.rounds import Sample, show, take_turns

CONFIG = """
state: ./var
http: off
log: {level: warning}
folders:
  - name: in
    input: ./in
    output: ./out
    settle: 0s
    rules:
      - {name: glb, match: "*.obj", process: convert_file, params: {extension: glb}}
"""


def mesh(triangles: int, number: int) -> str:
    """A grid that is its own: no two files are alike."""
    side = max(1, math.isqrt(triangles // 2))
    lines = [f"# {number}"]
    lines += [
        f"v {x} {y} {math.sin(x + number) * math.cos(y):.5f}"
        for x in range(side + 1)
        for y in range(side + 1)
    ]
    for x in range(side):
        for y in range(side):
            a = x * (side + 1) + y + 1
            lines += [f"f {a} {a + 1} {a + side + 2}", f"f {a} {a + side + 2} {a + side + 1}"]
    return "\n".join(lines) + "\n"


def drop(folder: Path, options: argparse.Namespace) -> None:
    for number in range(options.jobs):
        (folder / f"m{number}.obj").write_text(mesh(options.triangles, number))


def convert(source: str, target: str) -> None:
    """The bare library call, durable as a delivery is."""
    import trimesh  # noqa: PLC0415  (in the worker)

    trimesh.load(source).export(target)


def ours(options: argparse.Namespace) -> Sample:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        for each in ("in", "out"):
            (root / each).mkdir()
        (root / "watcher.yaml").write_text(CONFIG)
        with Program([sys.executable, "-m", "watcher", "run"], root) as program:
            for number in range(2 * (os.cpu_count() or 1)):  # warms the workers up
                (root / "in" / f"first{number}.obj").write_text(mesh(2, number))
            until(lambda: count(root / "out") == 2 * (os.cpu_count() or 1), 120, 0.1)
            before, began = program.cpu(), time.monotonic()
            drop(root / "in", options)
            until(lambda: count(root / "out") >= options.jobs, 1800, 0.05)
            wall = time.monotonic() - began
            daemon = program.cpu() - before
        return {
            "ms/job": wall / options.jobs * 1e3,
            "daemon CPU ms/job": daemon / options.jobs * 1e3,
        }


def bare(options: argparse.Namespace) -> Sample:
    with tempfile.TemporaryDirectory(dir=options.folder) as name, ProcessPoolExecutor() as pool:
        root = Path(name)
        (root / "first.obj").write_text(mesh(2, 0))
        for number in range(2 * (os.cpu_count() or 1)):
            pool.submit(convert, str(root / "first.obj"), str(root / f"first{number}.glb")).result()
        (root / "in").mkdir()
        began = time.monotonic()
        drop(root / "in", options)
        done = [
            pool.submit(convert, str(path), str(root / f"{path.stem}.glb"))
            for path in (root / "in").iterdir()
        ]
        for one in done:
            one.result()
        return {"ms/job": (time.monotonic() - began) / options.jobs * 1e3}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks embedded", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--triangles", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    if not importlib.util.find_spec("trimesh"):
        print("skipped: embedded (the extra `embedded` is not installed)")
        return
    taking = {"watcher": lambda: ours(options), "bare processes": lambda: bare(options)}
    found = take_turns(taking, options.rounds)
    aims = {"ms/job": "<= 1.25, or + 2 ms"}
    title = f"embedded: {options.jobs} OBJ files of {options.triangles} triangles to GLB"
    show(title, found, "bare processes", aims)
    added = found.median("watcher", "ms/job") - found.median("bare processes", "ms/job")
    print(f"added: {added:.2f} ms a job")


if __name__ == "__main__":
    main()
