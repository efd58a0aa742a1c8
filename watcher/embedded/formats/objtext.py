"""A scene as OBJ, MTL and pictures.

Imports ``looks``; numpy on first use. Invariant: one ``o`` per placed part, indices count from one
over the whole file, and what has no texture coordinates or normals refers to none.
"""

from __future__ import annotations

from typing import Any

from watcher.embedded.formats.looks import Look, Looks, colours, coordinates, normals


def pack(scene: Any, stem: str) -> dict[str, bytes]:
    """The files of an OBJ output by name: ``stem.obj`` first, then MTL and pictures.

    Args:
        scene: a trimesh scene.
        stem: the name of the output without extension.
    """
    looks = Looks(stem)
    body, sizes = [], [0, 0, 0]
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        body += _part(scene.geometry[name], matrix, str(node), looks, sizes)
    found = {f"{stem}.obj": b""}
    head = ["# made by watcher\n"]
    if looks.made:
        head.append(f"mtllib {stem}.mtl\n")
        text = "".join(_material(look) for look in looks.made.values())
        found[f"{stem}.mtl"] = text.encode()
    found[f"{stem}.obj"] = "".join(head + body).encode()
    return found | looks.files


def _part(mesh: Any, matrix: Any, name: str, looks: Looks, sizes: list[int]) -> list[str]:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    faces = np.asarray(getattr(mesh, "faces", np.zeros((0, 3), dtype=int)))
    turn = matrix[:3, :3]
    if np.linalg.det(turn) < 0:
        faces = faces[:, ::-1]
    points = np.asarray(mesh.vertices) @ turn.T + matrix[:3, 3]
    painted = colours(mesh)
    if painted is not None:
        points = np.concatenate([points, painted[:, :3] / 255.0], axis=1)
    look = looks.of(mesh) if len(faces) else None
    uv, straight = (coordinates(mesh), normals(mesh)) if len(faces) else (None, None)
    if straight is not None:
        straight = straight @ np.linalg.pinv(turn)
        length = np.linalg.norm(straight, axis=1, keepdims=True)
        straight = straight / np.where(length > 0, length, 1.0)
    text = [f"o {' '.join(name.split())}\n", _rows("v", points), _rows("vt", uv)]
    text.append(_rows("vn", straight))
    if look is not None:
        text.append(f"usemtl {look.name}\n")
    text.append(_faces(faces, sizes, uv is not None, straight is not None))
    for place, rows in enumerate((points, uv, straight)):
        sizes[place] += 0 if rows is None else len(rows)
    return text


def _rows(key: str, rows: Any) -> str:
    """One statement per row; nine digits hold every float of 32 bits."""
    if rows is None or not len(rows):
        return ""
    line = " ".join([key, *["%.9g"] * rows.shape[1]]) + "\n"
    return str(line * len(rows) % tuple(rows.ravel().tolist()))


def _faces(faces: Any, sizes: list[int], textured: bool, smooth: bool) -> str:  # noqa: FBT001 - two facts of one part
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    if not len(faces):
        return ""
    columns = [faces + 1 + sizes[0]]
    columns += [faces + 1 + sizes[1]] if textured else []
    columns += [faces + 1 + sizes[2]] if smooth else []
    corner = {(0, 0): "%d", (1, 0): "%d/%d", (0, 1): "%d//%d", (1, 1): "%d/%d/%d"}
    line = " ".join(["f", *[corner[textured, smooth]] * 3]) + "\n"
    return str(line * len(faces) % tuple(np.stack(columns, axis=2).ravel().tolist()))


def _material(look: Look) -> str:
    lines = [
        f"newmtl {look.name}",
        "Kd {:.6g} {:.6g} {:.6g}".format(*look.colour[:3]),
        "Ks 0.04 0.04 0.04",
        f"Ns {look.shininess:.6g}",
        f"d {look.colour[3]:.6g}",
        "illum 2",
        f"Pm {look.metallic:.6g}",
        f"Pr {look.roughness:.6g}",
    ]
    if any(look.emission):
        lines.append("Ke {:.6g} {:.6g} {:.6g}".format(*look.emission))
    statements = {"colour": "map_Kd", "normal": "norm", "emission": "map_Ke"}
    lines += [f"{statements[use]} {file}" for use, file in look.maps.items()]
    return "\n".join([*lines, "", ""])
