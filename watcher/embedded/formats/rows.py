"""Formats of plain rows: OFF (Geomview) and XYZ point lists.

Imports ``polygons`` and ``watcher.embedded.script``; numpy and trimesh on first use. Invariant:
counts that a file declares were checked before its rows are taken.
"""

from __future__ import annotations

import re
from typing import Any

from watcher.embedded.formats import polygons
from watcher.embedded.formats.companions import Companions
from watcher.embedded.script import JobFailure

_BYTE = 255.0
_MOST_HEADING = 5


def off_scene(content: bytes, name: str, _companions: Companions) -> Any:
    """The trimesh scene of an OFF file: OFF, COFF (colour per vertex), NOFF, STOFF.

    Raises:
        JobFailure: a row is broken, or a face refers to a vertex that does not exist.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job
    import trimesh  # noqa: PLC0415 - likewise

    lines = (line.partition(b"#")[0].strip() for line in content.splitlines())
    rows = [line for line in lines if line]
    kind = re.match(rb"(\w*)OFF", rows[0])
    counts = rows[0][kind.end() :].split() if kind else []
    first = 1 if counts else 2
    vertices, faces = (int(word) for word in (counts or rows[1].split())[:2])
    prefix = kind[1] if kind else b""
    points = polygons.table(rows[first : first + vertices], "the vertex", name, 3)
    colours = _bytes(points[:, -4:]) if b"C" in prefix and points.shape[1] >= 7 else None  # noqa: PLR2004 - x y z r g b a
    scene = trimesh.Scene()
    if not faces:
        cloud: Any = trimesh.PointCloud
        scene.add_geometry(cloud(points[:, :3], colors=colours))
        return scene
    sizes, flat, painted = _faces(rows[first + vertices : first + vertices + faces], name)
    polygons.inside(flat, vertices, "vertex", name)
    mesh = trimesh.Trimesh(
        points[:, :3], flat[polygons.fans(sizes)], vertex_colors=colours, process=False
    )
    if colours is None and painted is not None:
        visual: Any = mesh.visual
        visual.face_colors = np.repeat(painted, np.maximum(sizes - 2, 0), axis=0)
    scene.add_geometry(mesh)
    return scene


def _faces(rows: list[bytes], name: str) -> tuple[Any, Any, Any]:
    """Corners of each face, all corners in a row, and the colour of each face if all have one."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    flat: list[bytes] = []
    sizes, colours = [], []
    for row in rows:
        words = row.split()
        size = int(words[0]) if words[0].isdigit() else -1
        if not 0 <= size < len(words):
            shown = row.decode("utf-8", "replace")[:60]
            raise JobFailure(f"the face {shown!r} has fewer corners than it says", where=name)
        sizes.append(size)
        flat += words[1 : size + 1]
        colours.append(words[size + 1 : size + 5])
    corners = polygons.numbers(flat, "the corner", name).astype(np.int64)
    painted = None
    if all(len(colour) >= 3 for colour in colours):  # noqa: PLR2004 - red, green, blue
        painted = _bytes(polygons.table([b" ".join(c) for c in colours], "the colour", name, 3))
    return np.array(sizes, dtype=np.int64), corners, painted


def _bytes(colours: Any) -> Any:
    """Colours as bytes: those up to 1 are shares, as Geomview has them."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    scaled = colours * _BYTE if colours.max(initial=0) <= 1 else colours
    if scaled.shape[1] == 3:  # noqa: PLR2004 - no alpha
        scaled = np.concatenate([scaled, np.full((len(scaled), 1), _BYTE)], axis=1)
    return scaled.clip(0, _BYTE).astype(np.uint8)


def xyz_scene(content: bytes, name: str, _companions: Companions) -> Any:
    """The cloud of an XYZ file: x y z, or x y z and red green blue, per row.

    Comments (``#``, ``//``), a heading and a count above the points are passed over; commas and
    semicolons separate like spaces.

    Raises:
        JobFailure: a row has no three numbers.
    """
    import trimesh  # noqa: PLC0415 - converters come with the first job

    text = content.removeprefix(b"\xef\xbb\xbf").replace(b",", b" ").replace(b";", b" ")
    rows = [row for row in text.splitlines() if row.strip() and row.strip()[:1] not in b"#/"]
    start = next((at for at, row in enumerate(rows[:_MOST_HEADING]) if _is_point(row)), 0)
    rows = rows[start:]
    scene = trimesh.Scene()
    if rows:
        values = polygons.table(rows, "the point", name, 3)
        cloud: Any = trimesh.PointCloud
        scene.add_geometry(cloud(values[:, :3], colors=_colours(values)))
    return scene


def _is_point(row: bytes) -> bool:
    try:
        return len([float(word) for word in row.split()]) >= 3  # noqa: PLR2004 - x y z
    except ValueError:
        return False


def _colours(values: Any) -> Any:
    """The last three of six or more columns, when they are whole numbers up to 255."""
    colours = values[:, 3:6]
    whole = (colours == colours.round()).all() and (colours >= 0).all() and (colours <= _BYTE).all()
    if values.shape[1] in {6, 7} and whole and colours.max(initial=0) > 1:
        return _bytes(colours)
    return None
