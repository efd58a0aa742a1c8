"""Makes the sample models anew: ``python -m watcher.samples.make FOLDER``.

Imports ``flange``; numpy, PIL and trimesh. Invariant: the same measures give the same shapes; no
model or picture was taken from elsewhere.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from watcher.samples.flange import flange

_VASE = [(0.0, 0.0), (2.2, 0.0), (3.4, 1.2), (3.9, 3.0), (3.3, 5.2), (2.0, 7.2), (1.6, 8.4)]
_VASE += [(2.3, 9.6), (2.1, 9.6), (1.3, 8.4), (1.7, 7.2), (3.0, 5.2), (3.5, 3.0), (0.0, 0.6)]


def vase(folder: Path) -> None:
    """A turned vase with a glazed pattern: OBJ, MTL and PNG (centimetres, z up)."""
    rings, around = np.array(_VASE), 48
    turns = np.linspace(0, 2 * np.pi, around + 1)
    lines = ["# A vase, made by watcher", "mtllib vase.mtl", "o vase", "usemtl glaze"]
    for row, (radius, height) in enumerate(rings):
        for turn in turns:
            x, y = radius * math.cos(turn), radius * math.sin(turn)
            lines += [f"v {x:.4f} {y:.4f} {height:.4f}"]
            lines += [f"vt {turn / (2 * math.pi):.4f} {row / (len(rings) - 1):.4f}"]
    for row in range(len(rings) - 1):
        for step in range(around):
            a = row * (around + 1) + step + 1
            b, c, d = a + 1, a + around + 2, a + around + 1
            lines += [f"f {a}/{a} {b}/{b} {c}/{c} {d}/{d}"]
    (folder / "vase.obj").write_text("\n".join([*lines, ""]), encoding="ascii")
    material = "newmtl glaze\nKd 1.0 1.0 1.0\nKs 0.3 0.3 0.3\nmap_Kd vase.png\n"
    (folder / "vase.mtl").write_text(material, encoding="ascii")
    _glaze().save(folder / "vase.png", optimize=True)


def _glaze() -> Image.Image:
    """Bands and waves of blue on cream."""
    v, u = np.mgrid[0:256, 0:512] / np.array([256, 512])[:, None, None]
    wave = np.sin(2 * np.pi * (12 * u + 0.6 * np.sin(4 * np.pi * v))) * np.sin(18 * np.pi * v)
    blue = (wave > 0.25) | (np.abs((v * 9) % 1 - 0.5) > 0.46)  # noqa: PLR2004 - the look of it
    colours = np.where(blue[..., None], (38, 84, 148), (240, 228, 205)).astype(np.uint8)
    return Image.fromarray(colours).quantize(8)


def gear(folder: Path) -> None:
    """A spur gear of 24 teeth: binary STL (millimetres)."""
    steps = np.linspace(0, 2 * np.pi, 24 * 8, endpoint=False)
    tooth = np.clip(1.6 * np.sin(24 * steps), -1, 1)
    radius = 27.5 + 2.5 * tooth
    top = np.stack([radius * np.cos(steps), radius * np.sin(steps)], axis=1)
    hole = 8.0 * np.stack([np.cos(steps), np.sin(steps)], axis=1)
    count = len(steps)
    rings = [np.column_stack([ring, np.full(count, z)]) for z in (0, 10) for ring in (top, hole)]
    faces = []
    for here in range(count):
        after = (here + 1) % count
        for a, b in ((1, 0), (0, 2), (2, 3), (3, 1)):
            p, q, r, s = (a * count + here, b * count + here, b * count + after, a * count + after)
            faces += [(p, q, r), (p, r, s)]
    mesh: Any = trimesh.Trimesh(np.concatenate(rings), faces)
    (folder / "gear.stl").write_bytes(mesh.export(file_type="stl"))


def lamp(folder: Path) -> None:
    """A desk lamp in coloured parts: glTF with its .bin (metres, y up)."""
    scene: Any = trimesh.Scene()
    parts = (
        (trimesh.creation.cylinder(0.09, 0.02, sections=64), (0.01, 0, 0), (0.13, 0.14, 0.16)),
        (trimesh.creation.cylinder(0.008, 0.36, sections=24), (0.19, 0, 0), (0.75, 0.62, 0.35)),
        (trimesh.creation.cone(0.12, 0.12, sections=64), (0.31, 0, 0), (0.80, 0.22, 0.16)),
        (trimesh.creation.icosphere(3, 0.035), (0.31, 0, 0), (0.98, 0.93, 0.75)),
    )
    moves: Any = trimesh.transformations
    quarter = moves.rotation_matrix(-math.pi / 2, [1, 0, 0])
    material: Any = trimesh.visual.material.PBRMaterial
    look: Any = trimesh.visual.TextureVisuals
    for index, (mesh, (height, *_), colour) in enumerate(parts):
        factors = [*colour, 1.0]
        mesh.visual = look(
            material=material(baseColorFactor=factors, metallicFactor=0.1, roughnessFactor=0.4)
        )
        place = moves.translation_matrix([0, height, 0]) @ quarter
        scene.add_geometry(
            mesh, geom_name=("base", "stem", "shade", "bulb")[index], transform=place
        )
    files = scene.export(file_type="gltf", merge_buffers=True)
    (folder / "lamp.bin").write_bytes(files.pop("gltf_buffer.bin"))
    tree = json.loads(files["model.gltf"])
    tree["buffers"][0]["uri"] = "lamp.bin"
    (folder / "lamp.gltf").write_text(json.dumps(tree), encoding="utf-8")


def galaxy(folder: Path) -> None:
    """A spiral of 6000 coloured points: PLY (binary)."""
    rng = np.random.default_rng(7)
    turn = rng.random(6000) ** 0.6 * 4 * np.pi
    arm = rng.integers(0, 2, 6000) * np.pi
    blur = rng.normal(size=(6000, 3)) * [0.5, 0.5, 0.25]
    points = np.stack([turn * np.cos(turn + arm), turn * np.sin(turn + arm), 0 * turn], axis=1)
    warm = (1 - turn / turn.max())[:, None]
    colours = 255 * (warm * (0.95, 0.65, 0.2) + (1 - warm) * (0.2, 0.35, 0.85))
    cloud: Any = trimesh.PointCloud
    made = cloud((points + blur).astype("f4"), colors=colours.astype(np.uint8))
    (folder / "galaxy.ply").write_bytes(made.export(file_type="ply"))


def main(folder: Path) -> None:
    """Write all samples into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flange.step").write_text(flange(), encoding="ascii")
    for make in (vase, gear, lamp, galaxy):
        make(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
