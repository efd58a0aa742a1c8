"""OBJ files (Wavefront) as a scene: objects, groups, materials, colours per vertex.

Imports ``mtl``, ``polygons`` and ``companions``; numpy and trimesh on first use. Invariant: an
index counts from the statement it stands in, as the format has it, and never leaves its list.
Format: Wavefront Advanced Visualizer, appendix B1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from watcher.embedded.formats import mtl, polygons
from watcher.embedded.formats.companions import Companions
from watcher.embedded.script import JobFailure

_MOST_PARTS = 2000
_BYTE = 255.0
_SHAPES = (
    (re.compile(rb"\s*+(?:\d{1,18}+(?:\s++|\Z))*+"), [0]),
    (re.compile(rb"\s*+(?:\d{1,18}+/\d{1,18}+(?:\s++|\Z))*+"), [0, 1]),
    (re.compile(rb"\s*+(?:\d{1,18}+//\d{1,18}+(?:\s++|\Z))*+"), [0, 2]),
    (re.compile(rb"\s*+(?:\d{1,18}+/\d{1,18}+/\d{1,18}+(?:\s++|\Z))*+"), [0, 1, 2]),
)


@dataclass
class _Part:
    """Faces of one object and one material."""

    name: str
    material: str
    faces: list[bytes] = field(default_factory=list)


@dataclass
class _Text:
    """The statements of a file, sorted by kind."""

    positions: list[bytes] = field(default_factory=list)
    textures: list[bytes] = field(default_factory=list)
    normals: list[bytes] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)
    parts: dict[tuple[str, str, str], _Part] = field(default_factory=dict)


def to_scene(content: bytes, name: str, companions: Companions) -> Any:
    """The trimesh scene of an OBJ file.

    Raises:
        JobFailure: a statement is broken, or a face refers to what does not exist.
    """
    import trimesh  # noqa: PLC0415 - half a second: imported with the first job

    text = _sort(_lines(content))
    scene = trimesh.Scene()
    lists = _lists(text, name)
    if not text.parts:
        _add_cloud(scene, lists)
        return scene
    materials = _materials(text.libraries, companions)
    for part in _few(text.parts):
        mesh = _mesh(part, lists, materials.get(part.material), name)
        if len(mesh.faces):
            scene.add_geometry(mesh, node_name=_label(part, text), geom_name=_label(part, text))
    return scene


def _lines(content: bytes) -> list[bytes]:
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        content = content.decode("utf-16", "replace").encode()
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content.replace(b"\\\n", b" ").split(b"\n")


def _sort(lines: list[bytes]) -> _Text:
    text = _Text()
    lists = {b"v": text.positions, b"vt": text.textures, b"vn": text.normals}
    thing = group = material = ""
    for line in lines:
        key, _, rest = line.lstrip().replace(b"\t", b" ").partition(b" ")
        if key in lists:
            lists[key].append(rest.partition(b"#")[0])
        elif key == b"f":
            at = (thing, group, material)
            if at not in text.parts:
                text.parts[at] = _Part(thing or group, material)
            text.parts[at].faces.append(_absolute(rest.partition(b"#")[0], text))
        elif key == b"usemtl":
            material = _words(rest)
        elif key == b"o":
            thing, group = _words(rest), ""
        elif key == b"g":
            group = _words(rest)
        elif key == b"mtllib":
            text.libraries.append(_words(rest))
    return text


def _words(rest: bytes) -> str:
    try:
        return rest.decode().strip()
    except UnicodeDecodeError:
        return rest.decode("latin-1").strip()


def _absolute(corners: bytes, text: _Text) -> bytes:
    """Corners that count backwards (-1 is the latest) as corners that count from the start."""
    if b"-" not in corners:
        return corners
    sizes = (len(text.positions), len(text.textures), len(text.normals))
    return b" ".join(
        b"/".join(
            b"%d" % (size + 1 + int(index)) if re.fullmatch(rb"-\d+", index) else index
            for index, size in zip(corner.split(b"/"), sizes, strict=False)
        )
        for corner in corners.split()
    )


def _few(parts: dict[tuple[str, str, str], _Part]) -> list[_Part]:
    """One part per object and material (groups only where a file has no objects)."""
    by_object = any(thing for thing, _, _ in parts)
    merged: dict[tuple[str, str], _Part] = {}
    for (thing, group, material), part in parts.items():
        name = thing if by_object else group
        at = (name if len(parts) <= _MOST_PARTS else "", material)
        merged.setdefault(at, _Part(name, material)).faces.extend(part.faces)
    return list(merged.values())


def _label(part: _Part, text: _Text) -> str:
    several = len({other.material for other in text.parts.values() if other.name == part.name}) > 1
    names = [part.name, part.material] if several or not part.name else [part.name]
    return " ".join(name for name in names if name) or "geometry"


def _materials(libraries: list[str], companions: Companions) -> dict[str, Any]:
    """Of every ``mtllib``: one file whose name may hold spaces, or several names."""
    found: dict[str, Any] = {}
    for statement in dict.fromkeys(libraries):
        names = [statement]
        if companions.find(statement) is None and len(statement.split()) > 1:
            names = statement.split()
        for name in names:
            found |= mtl.read(companions.read(name, "the material file") or b"", companions)
    return found


@dataclass(frozen=True)
class _Lists:
    positions: Any
    colours: Any
    textures: Any
    normals: Any


def _lists(text: _Text, where: str) -> _Lists:
    positions = polygons.table(text.positions, "the vertex", where, 3)
    colours = None
    if positions.shape[1] >= 6:  # noqa: PLR2004 - x y z r g b, as MeshLab and others write
        colours = positions[:, -3:]
        colours = colours * _BYTE if colours.max(initial=0) <= 1 else colours
    return _Lists(
        positions[:, :3],
        colours,
        polygons.table(text.textures, "the texture coordinate", where, 1),
        polygons.table(text.normals, "the normal", where, 3)[:, :3],
    )


def _add_cloud(scene: Any, lists: _Lists) -> None:
    import trimesh  # noqa: PLC0415 - see to_scene

    if len(lists.positions):
        cloud: Any = trimesh.PointCloud
        scene.add_geometry(cloud(lists.positions, colors=_rgba(lists.colours)))


def _rgba(colours: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - see to_scene

    if colours is None:
        return None
    opaque = np.full((len(colours), 1), _BYTE)
    return np.concatenate([colours, opaque], axis=1).clip(0, _BYTE).astype(np.uint8)


def _mesh(part: _Part, lists: _Lists, material: Any, where: str) -> Any:
    import numpy as np  # noqa: PLC0415 - see to_scene
    import trimesh  # noqa: PLC0415 - see to_scene

    corners = _corners(part.faces, lists, where)
    triangles = polygons.fans([len(face.split()) for face in part.faces])
    # each distinct triple of indices is one vertex
    sizes = [len(lists.positions) + 1, len(lists.textures) + 1, len(lists.normals) + 1]
    keys = (corners[:, 0] * sizes[1] + corners[:, 1] + 1) * sizes[2] + corners[:, 2] + 1
    _, first, faces = np.unique(keys, return_index=True, return_inverse=True)
    used = corners[first]
    position, texture, normal = used.T
    smooth = lists.normals[normal] if len(used) and (normal >= 0).all() else None
    return trimesh.Trimesh(
        lists.positions[position],
        faces.reshape(-1)[triangles],
        vertex_normals=smooth,
        vertex_colors=None if lists.colours is None else _rgba(lists.colours[position]),
        visual=_visual(material, lists, texture),
        process=False,
    )


def _visual(material: Any, lists: _Lists, texture: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - see to_scene
    import trimesh  # noqa: PLC0415 - see to_scene

    mapped = len(texture) and (texture >= 0).any() and lists.textures.shape[1] > 1
    if material is None or (lists.colours is not None and material.baseColorTexture is None):
        return None
    uv = None
    if mapped:
        uv = np.where((texture >= 0)[:, None], lists.textures[texture][:, :2], 0.0)
    look: Any = trimesh.visual.TextureVisuals
    return look(uv=uv, material=material)


def _corners(faces: list[bytes], lists: _Lists, where: str) -> Any:
    """All corners as n x 3 zero-based indices; -1 where a corner tells none."""
    import numpy as np  # noqa: PLC0415 - see to_scene

    flat = b" ".join(faces)
    count = len(flat.split())
    found = np.full((count, 3), -1, dtype=np.int64)
    for shape, columns in _SHAPES:
        if shape.fullmatch(flat):
            numbers = np.fromstring(flat.replace(b"/", b" "), dtype=np.int64, sep=" ")
            found[:, columns] = numbers.reshape(count, len(columns)) - 1
            break
    else:
        _mixed(flat.split(), found, where)
    _prove(found, lists, where)
    return found


def _mixed(words: list[bytes], found: Any, where: str) -> None:
    """Corners of several shapes, one by one."""
    for row, word in enumerate(words):
        if not re.fullmatch(rb"\d{1,18}(/\d{0,18}){0,2}", word):
            shown = word.decode("utf-8", "replace")[:40]
            raise JobFailure(f"a face has the corner {shown!r}, which is no index", where=where)
        for column, index in enumerate(word.split(b"/")):
            if index:
                found[row, column] = int(index) - 1


def _prove(corners: Any, lists: _Lists, where: str) -> None:
    given = (lists.positions, lists.textures, lists.normals)
    for column, what in enumerate(("vertex", "texture coordinate", "normal")):
        asked, least = corners[:, column] + 1, 1 if column == 0 else 0
        if len(asked) and (asked.min() < least or asked.max() > len(given[column])):
            wrong = int(asked.max() if asked.max() > len(given[column]) else asked.min())
            raise JobFailure(
                f"a face refers to {what} {wrong}, and the file has {len(given[column])}",
                where=where,
                fix="export it again from its source",
            )
