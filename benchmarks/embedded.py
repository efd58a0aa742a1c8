"""Many small OBJ files to GLB on the embedded scheduler, against a bare loop of conversions
in as many warm processes, and against one command per file.

    python -m benchmarks embedded [--jobs 1000] [--rounds 3] [--triangles 1000]
    python -m benchmarks embedded --large       # the same as: python -m benchmarks large

The first two sides have their converters imported before the clock starts. The commands are a
fresh Python each that imports the library and converts one file, one after another; as they take
long, few of them are run. Memory of a job is what the daemon's peak is above its rest, over the
jobs that were dropped at once, nearly all of which wait or run then.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks import large
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
    """The bare library call; nothing proves or syncs what it writes."""
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
            before, began, rest = program.cpu(), time.monotonic(), program.memory()
            drop(root / "in", options)
            until(lambda: count(root / "out") >= options.jobs, 1800, 0.05)
            wall = time.monotonic() - began
            daemon = program.cpu() - before
            grown = program.memory("VmHWM") - rest
            workers = [shared_out(pid) for pid in workers_of(program.pid)]
        return {
            "ms/job": wall / options.jobs * 1e3,
            "daemon CPU ms/job": daemon / options.jobs * 1e3,
            "daemon KB/job held": grown / options.jobs / 1e3,
            "MB/worker": sum(workers) / max(len(workers), 1) / 1e6,
        }


def workers_of(daemon: int) -> list[int]:
    """The processes that convert: children of the one child that they are forked from."""
    nurseries = children(daemon)
    return [pid for nursery in nurseries for pid in children(nursery)]


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def shared_out(pid: int) -> int:
    """Bytes of a process, pages it shares with others counted in shares (Pss)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("\nPss:")[1].split()[0]) * 1024


def commands(options: argparse.Namespace) -> Sample:
    """One fresh Python per file, one after another."""
    code = "import sys, trimesh; trimesh.load(sys.argv[1]).export(sys.argv[2])"
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        few = argparse.Namespace(jobs=options.commands, triangles=options.triangles)
        drop(root, few)
        began = time.monotonic()
        for path in sorted(root.glob("*.obj")):
            command = [sys.executable, "-c", code, str(path), str(path.with_suffix(".glb"))]
            subprocess.run(command, check=True)
        return {"ms/job": (time.monotonic() - began) / options.commands * 1e3}


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
    parser.add_argument("--commands", type=int, default=10, help="files with a command each")
    parser.add_argument("--large", action="store_true", help="large models instead")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    if options.large:
        large.main([])
        return
    if not importlib.util.find_spec("trimesh"):
        print("skipped: embedded (the extra `embedded` is not installed)")
        return
    taking = {
        "watcher": lambda: ours(options),
        "bare processes": lambda: bare(options),
        "a command a file": lambda: commands(options),
    }
    found = take_turns(taking, options.rounds)
    aims = {"ms/job": "<= 1.25, or + 2 ms"}
    title = f"embedded: {options.jobs} OBJ files of {options.triangles} triangles to GLB"
    show(title, found, "bare processes", aims)
    mine = found.median("watcher", "ms/job")
    added = mine - found.median("bare processes", "ms/job")
    print(f"added: {added:.2f} ms a job")
    times = found.median("a command a file", "ms/job") / mine
    print(f"{times:.0f} times as fast as a command a file (to reach: >= 15)")


if __name__ == "__main__":
    main()
