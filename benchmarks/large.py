"""Large models on the embedded scheduler, against the bare library call in a warm process.

    python -m benchmarks large [--rounds 5] [--triangles 2600000] [--parts 150]

A job is measured from its submission until its outputs are fetched, on one worker. The bare call
reads the same file with the same library (OpenCASCADE with the same tolerances) and writes a GLB.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import re
import shutil
import tempfile
import threading
import time
import uuid
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.rounds import Sample, show, take_turns
from watcher.core.ports import JobRequest, Source
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler

PART = Path(__file__).parents[1] / "tests" / "models" / "base_interface_AP214.step"
WAIT = 1800.0


def grid(path: Path, triangles: int) -> None:
    """A wavy sheet, in whatever format the name asks for."""
    import numpy as np  # noqa: PLC0415  (the extra)
    import trimesh  # noqa: PLC0415  (likewise)

    side = max(1, int((triangles / 2) ** 0.5))
    x, y = np.meshgrid(np.arange(side + 1.0), np.arange(side + 1.0))
    points = np.stack([x, y, np.sin(x / 9) * np.cos(y / 9)], axis=-1).reshape(-1, 3)
    at = (np.arange(side)[:, None] * (side + 1) + np.arange(side)[None]).ravel()
    near, far = at + side + 1, at + side + 2
    faces = np.concatenate([np.stack([at, at + 1, far], 1), np.stack([at, far, near], 1)])
    trimesh.Trimesh(points, faces, process=False).export(str(path))


def assembly(path: Path, parts: int) -> None:
    """A STEP file of so many parts: one real part, again and again under other numbers."""
    head, _, rest = PART.read_bytes().partition(b"DATA;")
    body, _, tail = rest.partition(b"ENDSEC;")
    step = max(map(int, re.findall(rb"#(\d+)", body))) + 1
    with path.open("wb") as file:
        file.write(head + b"DATA;")
        for part in range(parts):
            file.write(re.sub(rb"#(\d+)", lambda word: b"#%d" % (int(word[1]) + part * step), body))  # noqa: B023  (used at once)
        file.write(b"ENDSEC;" + tail)


def bare(source: str, target: str, tolerance: float) -> float:
    """Seconds of the library call, in a process that has the library already."""
    began = time.monotonic()
    if source.endswith(".step"):
        import cascadio  # noqa: PLC0415  (in the worker)

        content = Path(source).read_bytes()
        made = cascadio.load(
            content, file_type="step", tol_linear=tolerance, tol_angular=0.35
        )  # as the job does
        Path(target).write_bytes(made)
    else:
        import trimesh  # noqa: PLC0415  (in the worker)

        trimesh.load(source).export(target)
    return time.monotonic() - began


def job(
    scheduler: EmbeddedScheduler,
    ended: threading.Semaphore,
    path: Path,
    process: str = "convert_file",
    **params: object,
) -> float:
    """Seconds of a whole job."""
    began, key, size = time.monotonic(), str(uuid.uuid4()), path.stat().st_size
    source = Source(path.name, size, lambda: path.open("rb"))
    wanted = JobRequest(
        key=key,
        name=path.name,
        process=process,
        params=params,
        sources=(source,),
    )
    scheduler.submit(wanted)
    if not ended.acquire(timeout=WAIT):
        raise RuntimeError(f"{path.name} did not end")
    into = path.parent / key
    into.mkdir()
    scheduler.fetch(key, into)
    took = time.monotonic() - began
    scheduler.forget(key)
    shutil.rmtree(into)
    return took


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks large", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--triangles", type=int, default=2_600_000)
    parser.add_argument("--parts", type=int, default=150)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    if not importlib.util.find_spec("trimesh"):
        print("skipped: large (the extra `embedded` is not installed)")
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        measure(Path(name), options)


def models(root: Path, options: argparse.Namespace) -> dict[str, tuple[Path, float]]:
    """By title: the file, and the tolerance that it is read with."""
    small = min(82_000, options.triangles)
    made = {
        f"{small} triangles, OBJ, s": root / "small.obj",
        f"{small} triangles, STL, s": root / "small.stl",
        f"{options.triangles} triangles, STL, s": root / "large.stl",
        f"{options.triangles} triangles, OBJ, s": root / "large.obj",
    }
    for path in made.values():
        grid(path, small if path.stem == "small" else options.triangles)
    found = {title: (path, 0.0) for title, path in made.items()}
    if not importlib.util.find_spec("cascadio"):
        print("skipped: STEP (cascadio is not installed)")
        return found
    from watcher.embedded.formats import cad  # noqa: PLC0415  (the extra)

    assembly(root / "parts.step", options.parts)
    tolerance = cad.tolerance((root / "parts.step").read_bytes())
    return {**found, f"STEP of {options.parts} parts, s": (root / "parts.step", tolerance)}


def measure(root: Path, options: argparse.Namespace) -> None:
    files = models(root, options)
    ended = threading.Semaphore(0)
    scheduler = EmbeddedScheduler(EmbeddedOptions(state=root, workers=1, durable=False))
    scheduler.listen(lambda _: ended.release())
    warm = multiprocessing.get_context("forkserver")  # a fork of this process could hang

    def ours() -> Sample:
        return {
            title: job(scheduler, ended, path, extension="glb")
            for title, (path, _) in files.items()
        }

    with ProcessPoolExecutor(1, mp_context=warm) as pool:

        def theirs() -> Sample:
            target = str(root / "bare.glb")
            return {
                title: pool.submit(bare, str(path), target, tolerance).result()
                for title, (path, tolerance) in files.items()
            }

        for path, tolerance in files.values():  # what comes first pays for imports
            if path.stem != "large":
                job(scheduler, ended, path, extension="glb")
                pool.submit(bare, str(path), str(root / "bare.glb"), tolerance).result()
        found = take_turns({"watcher": ours, "bare call": theirs}, options.rounds)
    scheduler.close()
    show("large: one model at a time to GLB", found, "bare call", dict.fromkeys(files, "<= 1.05"))


if __name__ == "__main__":
    main()
