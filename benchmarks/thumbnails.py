"""Thumbnails on the embedded scheduler, against the same pictures by the bare libraries.

    python -m benchmarks thumbnails [--rounds 5] [--triangles 2600000]

The bare calls are what a script would do for itself: trimesh reads the file, Mitsuba reckons the
normals (smooth at every edge; the job keeps hard edges hard) and draws four views as large and with
as many light paths, once under a sky and once under a sun as the job does (a sky and a sun in one
picture need more paths to be as smooth), Pillow saves them, fast_simplification makes the preview.
Both sides run in processes of their own, which are started and load the libraries for each job
(``generate_thumbnails`` is isolated so).
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.large import grid, job
from benchmarks.rounds import Sample, show, take_turns
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler

NEEDED = ("trimesh", "mitsuba", "fast_simplification")
SIZE = 512
SAMPLES = 16
PREVIEW = 500_000
VIEWS = {"iso": (1, -1, 0.8), "x": (1, 0, 0.1), "y": (0, -1, 0.1), "z": (0, -0.1, 1)}


def bare(source: Path, folder: Path) -> None:
    """Four pictures and a preview."""
    import fast_simplification  # noqa: PLC0415  (in its process)
    import mitsuba as mi  # noqa: PLC0415  (likewise)
    import numpy as np  # noqa: PLC0415  (likewise)
    import trimesh  # noqa: PLC0415  (likewise)
    from PIL import Image  # noqa: PLC0415  (likewise)

    mi.set_variant("scalar_rgb")
    model: Any = trimesh.load_mesh(source)
    shape = mi.Mesh("model", len(model.vertices), len(model.faces), has_vertex_normals=True)
    values = mi.traverse(shape)
    values["vertex_positions"] = np.ravel(model.vertices).astype("f4")
    values["faces"] = np.ravel(model.faces).astype("u4")
    values.update()  # which reckons the normals
    sun = {"type": "directional", "direction": [-1, 1, -1]}
    lit = [
        (mi.load_dict({"type": "scene", "light": light, "shape": shape}), depth, share)
        for light, depth, share in ((sun, 2, 0.25), ({"type": "constant"}, 3, 0.75))
    ]
    for name, way in VIEWS.items():
        paths = SAMPLES if name == "iso" else SAMPLES // 2
        picture = sum(
            np.array(
                mi.render(
                    scene,
                    sensor=mi.load_dict(sensor(mi, model, way, max(int(paths * share), 1))),
                    integrator=mi.load_dict(
                        {"type": "path", "max_depth": depth, "hide_emitters": True}
                    ),
                )
            )
            for scene, depth, share in lit
        )
        pixels = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    if len(model.faces) > PREVIEW:
        points, faces = fast_simplification.simplify(
            model.vertices, model.faces, target_reduction=1 - PREVIEW / len(model.faces)
        )
        model = trimesh.Trimesh(points, faces, process=False)
    model.export(folder / "preview.glb")


def sensor(mi: Any, model: Any, way: tuple[float, float, float], paths: int) -> dict[str, Any]:
    """A camera that sees the whole of the model."""
    target = model.bounds.mean(axis=0)
    origin = [at + 2 * model.scale * step for at, step in zip(target, way, strict=True)]
    return {
        "type": "perspective",
        "fov": 30,
        "to_world": mi.ScalarTransform4f().look_at(origin, list(target), [0, 0, 1]),
        "sampler": {"type": "multijitter", "sample_count": paths},
        "film": {"type": "hdrfilm", "width": SIZE, "height": SIZE, "pixel_format": "rgba"},
    }


def measure(root: Path, options: argparse.Namespace) -> None:
    sizes = sorted({min(82_000, options.triangles), options.triangles})
    files = {f"{size} triangles, STL, s": root / f"{size}.stl" for size in sizes}
    for path, size in zip(files.values(), sizes, strict=True):
        grid(path, size)
    ended = threading.Semaphore(0)
    scheduler = EmbeddedScheduler(EmbeddedOptions(state=root, workers=1, durable=False))
    scheduler.listen(lambda _: ended.release())
    wanted = {"width": SIZE, "height": SIZE, "samples": SAMPLES}

    def ours() -> Sample:
        return {
            title: job(scheduler, ended, path, "generate_thumbnails", **wanted)
            for title, path in files.items()
        }

    def theirs() -> Sample:
        return {title: alone(path, root) for title, path in files.items()}

    found = take_turns({"watcher": ours, "bare libraries": theirs}, options.rounds)
    scheduler.close()
    title = f"thumbnails: four of {SIZE} x {SIZE}, {SAMPLES} light paths, and a preview"
    show(title, found, "bare libraries", dict.fromkeys(files, "<= 1.1"))


def alone(path: Path, folder: Path) -> float:
    """Seconds of the bare calls, in a process of their own."""
    began = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.thumbnails", "--bare", str(path), str(folder)]
    subprocess.run(command, check=True)
    return time.monotonic() - began


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks thumbnails", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--triangles", type=int, default=2_600_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--bare", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    lacking = [name for name in NEEDED if not importlib.util.find_spec(name)]
    if lacking:
        print(f"skipped: thumbnails ({', '.join(lacking)} is not installed)")
    elif options.bare:
        bare(*options.bare)
    else:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            measure(Path(name), options)


if __name__ == "__main__":
    main()
