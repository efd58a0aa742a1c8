"""STL files (stereolithography), binary and ASCII.

Imports ``checks``, ``companions`` and ``places``; numpy and trimesh on first use. Invariant: the
corners of triangles that meet at one place are one vertex. Format: 3D Systems, StereoLithography
Interface Specification: 80 bytes, the number of triangles, and 50 bytes for each.
"""

from __future__ import annotations

import io
import struct
from typing import Any

from watcher.embedded.formats import places
from watcher.embedded.formats.checks import STL_HEADER, is_ascii_stl, is_binary_stl
from watcher.embedded.formats.companions import Companions


def to_scene(content: bytes, _name: str, _companions: Companions) -> Any:
    """The trimesh scene of an STL file whose length was checked; what an exporter left behind the
    last triangle of a binary file is passed over."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job
    import trimesh  # noqa: PLC0415 - likewise

    if is_ascii_stl(content[:512]) and not is_binary_stl(content[:STL_HEADER], len(content)):
        return trimesh.load_scene(io.BytesIO(content), file_type="stl_ascii")
    (count,) = struct.unpack_from("<I", content, STL_HEADER - 4)
    kind = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    triangles = np.frombuffer(content, dtype=kind, count=count, offset=STL_HEADER)
    points, corners = places.welded(triangles["corners"].reshape(-1, 3))
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.Trimesh(points, corners.reshape(-1, 3), process=False))
    return scene
