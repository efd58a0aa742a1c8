"""COLLADA files as a scene: nodes with their names, materials with theirs, unit and up axis.

Imports ``companions``, ``pixels`` and ``polygons``; pycollada, numpy and trimesh on first use.
Invariant: textures come from beside the model only; references inside the document never loop.
Format: COLLADA 1.4.1 and 1.5 (Khronos).
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass, field
from typing import Any

from watcher.embedded.formats import pixels, polygons
from watcher.embedded.formats.companions import Companions
from watcher.embedded.script import JobFailure

_UNITS = {1.0: "meter", 0.01: "centimeter", 0.001: "millimeter", 0.0254: "inch", 0.3048: "foot"}
_DEEPEST = 100
_MOST_NODES = 100_000


@dataclass
class _Made:
    """What was made of the document so far."""

    scene: Any
    materials: dict[str, Any]
    where: str
    names: set[str] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)
    geometries: dict[tuple[str, int, str], str] = field(default_factory=dict)
    nodes: int = 0


def to_scene(content: bytes, name: str, companions: Companions) -> tuple[Any, str, str]:
    """The trimesh scene of a COLLADA file, its unit, and its up axis (``x``, ``y`` or ``z``).

    A unit without a name of its own is turned into metres.
    """
    import collada  # noqa: PLC0415 - converters come with the first job
    import trimesh  # noqa: PLC0415 - likewise

    errors = [collada.common.DaeError]
    document = collada.Collada(io.BytesIO(content), ignore=errors)
    materials = {material.id: _material(material, companions) for material in document.materials}
    made = _Made(trimesh.Scene(), materials, name)
    if document.errors:
        companions.warn(f"{len(document.errors)} broken parts of the document were left out")
    for node in document.scene.nodes if document.scene else ():
        _node(node, made.scene.graph.base_frame, made, 0)
    asset = document.assetInfo
    up = str(asset.upaxis or "Y_UP")[0].lower()
    metres = float(asset.unitmeter or 1.0)
    unit = next((word for size, word in _UNITS.items() if math.isclose(size, metres)), "")
    if not unit and math.isfinite(metres) and metres > 0:
        return made.scene.scaled(metres), "meter", up
    return made.scene, unit, up


def _node(node: Any, parent: str, made: _Made, depth: int) -> None:
    from collada import scene as kinds  # noqa: PLC0415 - see to_scene

    made.nodes += 1
    if depth > _DEEPEST or made.nodes > _MOST_NODES:
        raise JobFailure("its nodes contain each other without end", where=made.where)
    if isinstance(node, kinds.GeometryNode):
        _geometry(node.geometry, node.materials, parent, made)
    elif isinstance(node, kinds.ControllerNode):
        _geometry(node.controller.geometry, node.materials, parent, made)
    elif isinstance(node, kinds.NodeNode):
        _node(node.node, parent, made, depth + 1)
    elif isinstance(node, kinds.Node):
        label = _unique(node.xmlnode.get("name") or node.id or "node", made.names)
        made.scene.graph.update(frame_to=label, frame_from=parent, matrix=node.matrix)
        for child in node.children:
            _node(child, label, made, depth + 1)


def _unique(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found in taken or found == "world":
        found, number = f"{name}_{number}", number + 1
    taken.add(found)
    return found


def _geometry(geometry: Any, bound: Any, parent: str, made: _Made) -> None:
    """Give a node its shapes: the first stands in the node itself, others in children of it."""
    looks = {node.symbol: made.materials.get(getattr(node.target, "id", "")) for node in bound}
    for number, primitive in enumerate(geometry.primitives):
        look = looks.get(getattr(primitive, "material", None))
        key = (geometry.id, number, getattr(look, "name", ""))
        if key not in made.geometries:
            mesh = _mesh(primitive, look, made.where)
            if mesh is None:
                continue
            made.geometries[key] = _unique(str(geometry.name or geometry.id), made.shapes)
            made.scene.geometry[made.geometries[key]] = mesh
        _hang(made.geometries[key], parent, made)


def _hang(shape: str, parent: str, made: _Made) -> None:
    graph = made.scene.graph
    if parent == graph.base_frame or graph[parent][1] is not None:
        label = _unique(f"{parent}/{shape}", made.names)
        graph.update(frame_to=label, frame_from=parent, geometry=shape)
        return
    above = graph.transforms.parents[parent]
    matrix, _ = graph.get(parent, above)
    graph.update(frame_to=parent, frame_from=above, matrix=matrix, geometry=shape)


def _mesh(primitive: Any, look: Any, where: str) -> Any:
    import numpy as np  # noqa: PLC0415 - see to_scene
    import trimesh  # noqa: PLC0415 - see to_scene

    if hasattr(primitive, "triangleset"):
        primitive = primitive.triangleset()
    index = getattr(primitive, "vertex_index", None)
    if primitive.vertex is None or index is None or not len(index):
        return None
    if np.ndim(index) != 2 or index.shape[1] != 3:  # noqa: PLR2004 - triangles only: lines have two corners
        return None
    corners = np.asarray(index, dtype=np.int64).reshape(-1)
    polygons.inside(corners, len(primitive.vertex), "vertex", where)
    columns = [corners]
    normals = _picked(primitive.normal, primitive.normal_index, columns)
    texture = next(iter(primitive.texcoordset), None)
    uv = _picked(texture, next(iter(primitive.texcoord_indexset), None), columns)
    used, faces = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    at = iter(range(1, len(columns)))
    visual: Any = trimesh.visual.TextureVisuals
    return trimesh.Trimesh(
        np.asarray(primitive.vertex, dtype=float)[used[:, 0]],
        faces.reshape(-1, 3),
        vertex_normals=None if normals is None else normals[used[:, next(at)]],
        vertex_colors=None if look is not None else _colours(primitive, corners, used),
        visual=look
        and visual(uv=None if uv is None else uv[used[:, next(at)]][:, :2], material=look),
        process=False,
    )


def _picked(values: Any, index: Any, columns: list[Any]) -> Any:
    """The values, with their corners' indices added to ``columns``; None when not whole."""
    import numpy as np  # noqa: PLC0415 - see to_scene

    if values is None or index is None or not len(values):
        return None
    corners = np.asarray(index, dtype=np.int64).reshape(-1)
    if len(corners) != len(columns[0]) or corners.min() < 0 or corners.max() >= len(values):
        return None
    columns.append(corners)
    return np.asarray(values, dtype=float)


def _colours(primitive: Any, corners: Any, used: Any) -> Any:
    """Colours per vertex, by the first corner that names them."""
    import numpy as np  # noqa: PLC0415 - see to_scene

    sources: Any = primitive.sources.get("COLOR") or ()
    if not len(sources):
        return None
    values: Any = np.asarray(sources[0][4].data, dtype=np.float64)
    every: Any = np.asarray(primitive.index)
    index = every[:, :, sources[0][0]].reshape(-1)
    if values.shape[1] not in {3, 4} or index.min() < 0 or index.max() >= len(values):
        return None
    by_vertex = np.zeros((int(corners.max()) + 1, values.shape[1]))
    by_vertex[corners] = values[index]
    return (by_vertex[used[:, 0]].clip(0, 1) * 255).astype(np.uint8)


def _material(material: Any, companions: Companions) -> Any:
    from trimesh.visual.material import PBRMaterial  # noqa: PLC0415 - with the first job

    effect = material.effect
    image = _texture(getattr(effect, "diffuse", None), companions)
    colour = (1.0, 1.0, 1.0, 1.0) if image is not None else _colour(effect)
    make: Any = PBRMaterial
    return make(
        name=str(material.name or material.id),
        baseColorFactor=list(colour),
        baseColorTexture=image,
        metallicFactor=0.0,
        roughnessFactor=_roughness(getattr(effect, "shininess", None)),
        doubleSided=bool(getattr(effect, "double_sided", False)),
        alphaMode="BLEND" if colour[3] < 1 or pixels.has_alpha(image) else None,
    )


def _texture(value: Any, companions: Companions) -> Any:
    image = getattr(getattr(getattr(value, "sampler", None), "surface", None), "image", None)
    if image is None:
        return None
    name = re.sub(r"^file:(//)?(?!/)", "", str(image.path))
    return pixels.picture(companions.read(name, "the texture"), companions.warn)


def _colour(effect: Any) -> tuple[float, ...]:
    value = getattr(effect, "diffuse", None)
    if not isinstance(value, tuple | list) or len(value) < 3:  # noqa: PLR2004 - red, green, blue
        return (0.8, 0.8, 0.8, 1.0)
    clear = getattr(effect, "transparency", None)
    opaque = float(clear) if isinstance(clear, float) and 0 < clear <= 1 else 1.0
    return (*(float(part) for part in value[:3]), opaque)


def _roughness(shininess: Any) -> float:
    """Beckmann's width of a Phong lobe (Walter et al. 2007); many write shares of 1 instead."""
    if not isinstance(shininess, float) or not shininess > 1:
        return 0.7
    return math.sqrt(2 / (2 + shininess))
