"""The structure of a glTF document, proved before anything walks it.

Imports ``checks``, ``companions``, ``gltfvalues``, ``watcher.embedded.script``; numpy on first use.
Invariant: nodes form trees, every index names something, and the scene shows at least one point.
Format: Khronos glTF 2.0 specification, sections 3.5 (scenes) and 3.7 (geometry).
"""

from __future__ import annotations

import math
from typing import Any

from watcher.embedded.formats.checks import AGAIN
from watcher.embedded.formats.companions import Warn
from watcher.embedded.formats.gltfvalues import values
from watcher.embedded.script import JobFailure

Tree = dict[str, Any]
_PACKED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression")
_PLACE = {"translation": 3, "rotation": 4, "scale": 3, "matrix": 16}


def prove(tree: Tree, buffers: list[bytes], name: str, warn: Warn) -> None:
    """Hold the document against its own references; a missing scene is added.

    Raises:
        JobFailure: an index names nothing, nodes contain each other, or nothing is to be seen.
    """
    nodes, meshes = _things(tree, "nodes", name), _things(tree, "meshes", name)
    for node in nodes:
        _prove_place(node, name)
    children = [_indices(node.get("children", []), nodes, "node", name) for node in nodes]
    _prove_trees(children, name)
    _prove_scenes(tree, children, name, warn)
    shown = _shown(tree, children, name)
    used = {nodes[at]["mesh"] for at in shown if "mesh" in nodes[at]}
    for texture in _things(tree, "textures", name):
        _indices(texture.get("source", []), _things(tree, "images", name), "image", name)
    points = 0
    for at in _indices(sorted(used, key=str), meshes, "mesh", name):
        for primitive in _things(meshes[at], "primitives", name):
            points += _primitive(primitive, tree, buffers, name)
    if not points:
        raise JobFailure("the file holds no geometry", where=name, fix="look into its source")


def _things(tree: Tree, key: str, name: str) -> list[Tree]:
    found = tree.get(key, [])
    if not isinstance(found, list) or not all(isinstance(thing, dict) for thing in found):
        raise JobFailure(f"its JSON has no proper list of {key}", where=name, fix=AGAIN)
    return found


def _indices(given: Any, things: list[Tree], what: str, name: str) -> list[int]:
    for index in given if isinstance(given, list) else [given]:
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(things):
            shown = str(index)[:40]
            raise JobFailure(f"its JSON refers to {what} {shown}, which does not exist", where=name)
    return given if isinstance(given, list) else [given]


def _prove_place(node: Tree, name: str) -> None:
    for key, count in _PLACE.items():
        value = node.get(key, [0] * count)
        if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
            raise JobFailure(f"a node's {key} is not {count} numbers", where=name, fix=AGAIN)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _prove_trees(children: list[list[int]], name: str) -> None:
    """Each node has one parent at most, and is reached from a root: so there is no circle."""
    parents = [child for some in children for child in some]
    roots = set(range(len(children))) - set(parents)
    if len(set(parents)) < len(parents) or len(_below(roots, children)) < len(children):
        raise JobFailure("its nodes contain each other, or one stands in two places", where=name)


def _below(roots: Any, children: list[list[int]]) -> set[int]:
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        at = waiting.pop()
        if at not in seen:
            seen.add(at)
            waiting += children[at]
    return seen


def _prove_scenes(tree: Tree, children: list[list[int]], name: str, warn: Warn) -> None:
    scenes = _things(tree, "scenes", name)
    nodes = _things(tree, "nodes", name)
    for scene in scenes:
        _indices(scene.get("nodes", []), nodes, "node", name)
    if scenes:
        _indices(tree.get("scene", 0), scenes, "scene", name)
    elif nodes:
        warn("the file has no scene; all of its nodes are shown")
        inner = {child for some in children for child in some}
        tree["scenes"] = [{"nodes": [at for at in range(len(nodes)) if at not in inner]}]
        tree["scene"] = 0


def _shown(tree: Tree, children: list[list[int]], name: str) -> set[int]:
    return _below(
        {root for scene in _things(tree, "scenes", name) for root in scene.get("nodes", [])},
        children,
    )


def _primitive(primitive: Tree, tree: Tree, buffers: list[bytes], name: str) -> int:
    """The number of its vertices, after a look at positions and indices."""
    accessors = _things(tree, "accessors", name)
    attributes = primitive.get("attributes", {})
    if not isinstance(attributes, dict) or "POSITION" not in attributes:
        return 0
    _indices(list(attributes.values()), accessors, "accessor", name)
    if "material" in primitive:
        _indices(primitive["material"], _things(tree, "materials", name), "material", name)
    count = int(accessors[attributes["POSITION"]].get("count", 0))
    if any(packed in primitive.get("extensions", {}) for packed in _PACKED):
        return count
    positions = values(accessors[attributes["POSITION"]], tree, buffers)
    if positions is not None and not _finite(positions):
        raise JobFailure(
            "its coordinates are not all numbers (NaN or infinity)", where=name, fix=AGAIN
        )
    if "indices" in primitive:
        _indices(primitive["indices"], accessors, "accessor", name)
        used = values(accessors[primitive["indices"]], tree, buffers)
        if used is not None and len(used) and int(used.max()) >= count:
            raise JobFailure(
                f"a face refers to vertex {int(used.max())}, and its mesh has {count}", where=name
            )
        return count if used is None or len(used) else 0
    return count


def _finite(values: Any) -> bool:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    return bool(np.isfinite(values).all())
