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
# a run of plain lines of one kind, or one line of any other
_RUNS = re.compile(
    rb"(?P<v>(?:v [^\n#]*+\n)++)|(?P<vt>(?:vt [^\n#]*+\n)++)|(?P<vn>(?:vn [^\n#]*+\n)++)"
    rb"|(?P<f>(?:f [^\n#-]*+\n)++)|[^\n]*+\n"
)
_LISTS = (b"v", b"vt", b"vn")
_BYTE = 255.0
_SHAPES = (
    (re.compile(rb"\s*+(?:\d{1,18}+(?:\s++|\Z))*+"), [0]),
    (re.compile(rb"\s*+(?:\d{1,18}+/\d{1,18}+(?:\s++|\Z))*+"), [0, 1]),
    (re.compile(rb"\s*+(?:\d{1,18}+//\d{1,18}+(?:\s++|\Z))*+"), [0, 2]),
    (re.compile(rb"\s*+(?:\d{1,18}+/\d{1,18}+/\d{1,18}+(?:\s++|\Z))*+"), [0, 1, 2]),
)


@dataclass
class _Part:
    """Faces of one object and one material, in pieces of one line or more."""

    name: str
    material: str
    faces: list[bytes] = field(default_factory=list)


@dataclass
class _Text:
    """The statements of a file, sorted by kind: rows in pieces of one line or more, and how many
    of them there are so far."""

    rows: dict[bytes, list[bytes]] = field(default_factory=lambda: {key: [] for key in _LISTS})
    counts: dict[bytes, int] = field(default_factory=lambda: dict.fromkeys(_LISTS, 0))
    libraries: list[str] = field(default_factory=list)
    parts: dict[tuple[str, str, str], _Part] = field(default_factory=dict)
    thing: str = ""
    group: str = ""
    material: str = ""

    def add(self, key: bytes, rows: bytes, count: int = 1) -> None:
        """So many rows of one list."""
        self.rows[key].append(rows)
        self.counts[key] += count

    def faces(self, rows: bytes) -> None:
        """Faces of the object, group and material that the file is at."""
        at = (self.thing, self.group, self.material)
        if at not in self.parts:
            self.parts[at] = _Part(self.thing or self.group, self.material)
        self.parts[at].faces.append(rows)


def to_scene(content: bytes, name: str, companions: Companions) -> Any:
    """The trimesh scene of an OBJ file.

    Raises:
        JobFailure: a statement is broken, or a face refers to what does not exist.
    """
    import trimesh  # noqa: PLC0415 - half a second: imported with the first job

    text = _sort(_plain(content))
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


def _plain(content: bytes) -> bytes:
    """The text with Unix line ends, spaces for tabs, and no statement on two lines."""
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        content = content.decode("utf-16", "replace").encode()
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content.replace(b"\\\n", b" ").replace(b"\t", b" ") + b"\n"


def _sort(content: bytes) -> _Text:
    text = _Text()
    for run in _RUNS.finditer(content):
        if run.lastgroup is None:
            _line(run[0][:-1], text)
            continue
        key = run.lastgroup.encode()
        rows = run[0][len(key) + 1 : -1].replace(b"\n%s " % key, b"\n")
        if key == b"f":
            text.faces(rows)
        else:
            text.add(key, rows, rows.count(b"\n") + 1)
    return text


def _line(line: bytes, text: _Text) -> None:
    key, _, rest = line.lstrip().partition(b" ")
    if key in _LISTS:
        text.add(key, rest.partition(b"#")[0])
    elif key == b"f":
        text.faces(_absolute(rest.partition(b"#")[0], text))
    elif key == b"usemtl":
        text.material = _words(rest)
    elif key == b"o":
        text.thing, text.group = _words(rest), ""
    elif key == b"g":
        text.group = _words(rest)
    elif key == b"mtllib":
        text.libraries.append(_words(rest))


def _words(rest: bytes) -> str:
    try:
        return rest.decode().strip()
    except UnicodeDecodeError:
        return rest.decode("latin-1").strip()


def _absolute(corners: bytes, text: _Text) -> bytes:
    """Corners that count backwards (-1 is the latest) as corners that count from the start."""
    if b"-" not in corners:
        return corners
    sizes = tuple(text.counts[key] for key in _LISTS)
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
    positions = polygons.table(text.rows[b"v"], "the vertex", where, 3)
    colours = None
    if positions.shape[1] >= 6:  # noqa: PLR2004 - x y z r g b, as MeshLab and others write
        colours = positions[:, -3:]
        colours = colours * _BYTE if colours.max(initial=0) <= 1 else colours
    return _Lists(
        positions[:, :3],
        colours,
        polygons.table(text.rows[b"vt"], "the texture coordinate", where, 1),
        polygons.table(text.rows[b"vn"], "the normal", where, 3)[:, :3],
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
    import trimesh  # noqa: PLC0415 - see to_scene

    counts = polygons.counts(part.faces)
    corners = _corners(part.faces, int(counts.sum()), lists, where)
    used, faces = _distinct(corners, lists)
    position, texture, normal = used.T
    smooth = lists.normals[normal] if len(used) and (normal >= 0).all() else None
    return trimesh.Trimesh(
        lists.positions[position],
        faces.reshape(-1)[polygons.fans(counts)],
        vertex_normals=smooth,
        vertex_colors=None if lists.colours is None else _rgba(lists.colours[position]),
        visual=_visual(material, lists, texture),
        process=False,
    )


def _distinct(corners: Any, lists: _Lists) -> tuple[Any, Any]:
    """Each distinct triple of indices, which is one vertex, and which of them each corner is."""
    import numpy as np  # noqa: PLC0415 - see to_scene

    position, others = corners[:, 0], corners[:, 1:]
    if all((one == position).all() or (one == -1).all() for one in others.T):
        known = np.zeros(len(lists.positions), dtype=bool)
        known[position] = True
        numbers = np.flatnonzero(known)
        place = np.cumsum(known) - 1
        absent = np.full_like(numbers, -1)
        rest = [numbers if one.max(initial=-1) >= 0 else absent for one in others.T]
        return np.stack([numbers, *rest], axis=1), place[position]
    sizes = [len(lists.textures) + 1, len(lists.normals) + 1]
    keys = (position * sizes[0] + corners[:, 1] + 1) * sizes[1] + corners[:, 2] + 1
    _, first, faces = np.unique(keys, return_index=True, return_inverse=True)
    return corners[first], faces


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


def _corners(faces: list[bytes], count: int, lists: _Lists, where: str) -> Any:
    """All corners as n x 3 zero-based indices; -1 where a corner tells none."""
    import numpy as np  # noqa: PLC0415 - see to_scene

    flat = b"\n".join(faces)
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
