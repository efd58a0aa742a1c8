"""PLY files (Stanford): meshes and clouds, ASCII and binary, faces of any mix of corners.

Imports ``checks``, ``companions``, ``pixels`` and ``polygons``; numpy and trimesh on first use.
Invariant: elements and properties that mean nothing to a mesh are skipped by their declared size.
Format: Greg Turk, The PLY Polygon File Format.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Any

from watcher.embedded.formats import pixels, polygons
from watcher.embedded.formats.checks import cut_short
from watcher.embedded.formats.companions import Companions
from watcher.embedded.script import JobFailure

_CODES = {
    **dict.fromkeys(("char", "int8"), "b"),
    **dict.fromkeys(("uchar", "uint8"), "B"),
    **dict.fromkeys(("short", "int16"), "h"),
    **dict.fromkeys(("ushort", "uint16"), "H"),
    **dict.fromkeys(("int", "int32"), "i"),
    **dict.fromkeys(("uint", "uint32"), "I"),
    **dict.fromkeys(("float", "float32"), "f"),
    **dict.fromkeys(("double", "float64"), "d"),
}
_UV = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
_CORNERS = {"vertex_indices", "vertex_index"}
_BYTE = 255.0


@dataclass
class _Element:
    """What the header says of an element: (name, kind, kind of a list's length or "") each."""

    name: str
    count: int
    properties: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass
class _Lists:
    """The values of a list property: the length of each, and all of them in a row."""

    counts: Any
    values: Any


def to_scene(content: bytes, name: str, companions: Companions) -> Any:
    """The trimesh scene of a PLY file whose header and length were checked.

    Raises:
        JobFailure: the data breaks the promises of the header.
    """
    header, kind, texture, at = _header(content)
    read = _read_ascii if kind == "ascii" else _read_binary
    order = ">" if kind == "binary_big_endian" else "<"
    try:
        found = read(content, at, header, order, name)
    except (struct.error, IndexError) as error:
        raise cut_short(name, "its data ends before all elements were read") from error
    return _scene(found, texture, name, companions)


def _header(content: bytes) -> tuple[list[_Element], str, str, int]:
    end = re.search(rb"end_header[ \t]*(\r\n|\n|\r)", content)
    at = end.end() if end else len(content)
    elements: list[_Element] = []
    kind, texture = "ascii", ""
    for line in content[: at - 1].decode("latin-1").splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            kind = words[1]
        elif words[:2] == ["comment", "TextureFile"]:
            texture = " ".join(words[2:])
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], int(words[2])))
        elif words[:1] == ["property"]:
            length = _CODES[words[2]] if words[1] == "list" else ""
            elements[-1].properties.append((words[-1], _CODES[words[-2]], length))
    return elements, kind, texture, at


_Found = dict[str, dict[str, Any]]


def _read_binary(content: bytes, at: int, header: list[_Element], order: str, name: str) -> _Found:
    found: _Found = {}
    for element in header:
        alike = _alike(content, at, element, order)
        if alike is None:
            found[element.name], at = _one_by_one(content, at, element, order, name)
        else:
            found[element.name], at = alike
    return found


def _alike(
    content: bytes, at: int, element: _Element, order: str
) -> tuple[dict[str, Any], int] | None:
    """All rows at once, if every list is as long as that of the first row; else None."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    fields: list[tuple[Any, ...]] = []
    place = at
    for number, (_, code, length) in enumerate(element.properties):
        if not length:
            fields.append((f"p{number}", order + code))
            place += struct.calcsize(code)
            continue
        size = struct.unpack_from(order + length, content, place)[0] if element.count else 0
        fields += [(f"n{number}", order + length), (f"p{number}", order + code, (int(size),))]
        place += struct.calcsize(length) + int(size) * struct.calcsize(code)
        if size < 0 or place > len(content):
            return None
    kind = np.dtype(fields)
    end = at + kind.itemsize * element.count
    if end > len(content):
        return None
    rows = np.frombuffer(content, kind, element.count, at)
    found: dict[str, Any] = {}
    for number, (name, _, length) in enumerate(element.properties):
        values: Any = rows[f"p{number}"]
        if length:
            counts = rows[f"n{number}"]
            if len(counts) and (counts != counts[0]).any():
                return None
            values = _Lists(counts.astype(np.int64), values.reshape(-1))
        found[name] = values
    return found, end


def _one_by_one(
    content: bytes, at: int, element: _Element, order: str, name: str
) -> tuple[dict[str, Any], int]:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    values: list[list[Any]] = [[] for _ in element.properties]
    counts: list[list[int]] = [[] for _ in element.properties]
    for _ in range(element.count):
        for number, (_, code, length) in enumerate(element.properties):
            size = 1
            if length:
                size = int(struct.unpack_from(order + length, content, at)[0])
                at += struct.calcsize(length)
                counts[number].append(size)
            if size < 0 or at + size * struct.calcsize(code) > len(content):
                raise cut_short(name, f"an element '{element.name}' ends behind the file")
            values[number] += struct.unpack_from(f"{order}{size}{code}", content, at)
            at += size * struct.calcsize(code)
    found = {
        key: _Lists(np.array(sizes), np.array(some)) if length else np.array(some)
        for (key, _, length), some, sizes in zip(element.properties, values, counts, strict=True)
    }
    return found, at


def _read_ascii(content: bytes, at: int, header: list[_Element], _order: str, name: str) -> _Found:
    rows = [row for row in content[at:].splitlines() if row.strip()]
    found: _Found = {}
    first = 0
    for element in header:
        some = rows[first : first + element.count]
        first += element.count
        plain = not any(length for _, _, length in element.properties)
        found[element.name] = (_table if plain else _ragged)(some, element, name)
    return found


def _table(rows: list[bytes], element: _Element, name: str) -> dict[str, Any]:
    values = polygons.table(rows, f"the {element.name}", name, len(element.properties))
    return {key: values[:, column] for column, (key, _, _) in enumerate(element.properties)}


def _ragged(rows: list[bytes], element: _Element, name: str) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    values: list[list[float]] = [[] for _ in element.properties]
    counts: list[list[int]] = [[] for _ in element.properties]
    for row in rows:
        words = polygons.numbers([row], f"the {element.name}", name).tolist()
        at = 0
        for number, (_, _, length) in enumerate(element.properties):
            size = 1
            if length:
                size, at = int(words[at]), at + 1
                counts[number].append(size)
            if size < 0 or at + size > len(words):
                raise cut_short(name, f"the {element.name} {row.decode('latin-1')[:40]!r} is short")
            values[number] += words[at : at + size]
            at += size
    return {
        key: _Lists(np.array(sizes), np.array(some)) if length else np.array(some)
        for (key, _, length), some, sizes in zip(element.properties, values, counts, strict=True)
    }


def _scene(found: _Found, texture: str, name: str, companions: Companions) -> Any:
    import numpy as np  # noqa: PLC0415 - converters come with the first job
    import trimesh  # noqa: PLC0415 - likewise

    vertex = found.get("vertex", {})
    if not {"x", "y", "z"} <= vertex.keys():
        raise JobFailure("its vertices have no x, y and z", where=name)
    points = np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float64)
    colours = _colours(vertex)
    scene = trimesh.Scene()
    faces = next((found["face"][key] for key in _CORNERS & found.get("face", {}).keys()), None)
    if faces is None or not len(faces.counts):
        cloud: Any = trimesh.PointCloud
        if len(points):
            scene.add_geometry(cloud(points, colors=colours))
        return scene
    corners = faces.values.astype(np.int64)
    polygons.inside(corners, len(points), "vertex", name)
    mesh = trimesh.Trimesh(
        points, corners[polygons.fans(faces.counts)], vertex_colors=colours, process=False
    )
    _dress(mesh, found, faces, texture, companions)
    scene.add_geometry(mesh)
    return scene


def _colours(element: dict[str, Any]) -> Any:
    """Red, green, blue and alpha as bytes; None when the element has no colours."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    prefix = "diffuse_" if "diffuse_red" in element else ""
    keys = [prefix + key for key in ("red", "green", "blue")]
    if not set(keys) <= element.keys():
        return None
    parts = [np.asarray(element[key]) for key in keys]
    whole = np.full(len(parts[0]), _BYTE)
    # colours as floats go from 0 to 1
    scale = (
        _BYTE if all(part.max(initial=0) <= 1 and part.dtype.kind == "f" for part in parts) else 1
    )
    alpha = np.asarray(element["alpha"]) * scale if "alpha" in element else whole
    return np.stack([*(part * scale for part in parts), alpha], axis=1).clip(0, _BYTE).astype("u1")


def _dress(mesh: Any, found: _Found, faces: _Lists, texture: str, companions: Companions) -> None:
    """Colours per face, or a texture with coordinates per vertex."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job
    import trimesh  # noqa: PLC0415 - likewise
    from trimesh.visual.material import PBRMaterial  # noqa: PLC0415 - likewise

    vertex = found["vertex"]
    painted = _colours(found["face"])
    pair = next((pair for pair in _UV if set(pair) <= vertex.keys()), None)
    content = companions.read(texture, "the texture") if texture and pair else None
    image = pixels.picture(content, companions.warn)
    if image is not None and pair is not None:
        make: Any = PBRMaterial
        look: Any = trimesh.visual.TextureVisuals
        material = make(name=texture, baseColorTexture=image, metallicFactor=0.0)
        uv = np.stack([vertex[key] for key in pair], axis=1).astype(np.float64)
        mesh.visual = look(uv=uv, material=material)
    elif painted is not None and _colours(vertex) is None:
        mesh.visual.face_colors = np.repeat(painted, np.maximum(faces.counts - 2, 0), axis=0)
