"""What is in a model: the metadata object.

Imports ``read``; numpy on first use. Invariant: counts are of what is placed, so a part that stands
seven times counts seven times; lengths are in the model's unit.
"""

from __future__ import annotations

from typing import Any

from watcher.embedded.formats.read import Model


def metadata(model: Model) -> dict[str, Any]:
    """The metadata object, under the names that the Pixyz Scheduler gives and some of our own.

    ``aabb`` is the diagonal of the bounding box as a string, as there. ``polygon_count`` counts
    triangles once per placement. CAD is measured in millimetres on its tessellation.
    """
    scene = model.scene
    placed = [scene.geometry[scene.graph[node][1]] for node in scene.graph.nodes_geometry]
    low, high = scene.bounds.tolist()
    return {
        "aabb": str(float(scene.scale)),
        "bbox_min": low,
        "bbox_max": high,
        "unit": model.unit,
        "format": model.format.name,
        "part_count": len(placed),
        "mesh_count": len(scene.geometry),
        "polygon_count": sum(len(getattr(part, "faces", ())) for part in placed),
        "mesh_vertex_count": sum(len(part.vertices) for part in placed),
        "point_count": sum(len(part.vertices) for part in placed if _is_cloud(part)),
        **_looks(scene),
        **_structure(model),
    }


def _is_cloud(part: Any) -> bool:
    return not hasattr(part, "faces") and not hasattr(part, "entities")


def _looks(scene: Any) -> dict[str, int]:
    found = (
        getattr(getattr(part, "visual", None), "material", None) for part in scene.geometry.values()
    )
    materials = {id(material): material for material in found if material is not None}
    textures = [
        image
        for material in materials.values()
        for image in (getattr(material, "image", None), getattr(material, "baseColorTexture", None))
        if image is not None
    ]
    return {"material_count": len(materials), "texture_count": len(textures)}


def _structure(model: Model) -> dict[str, int]:
    """Nodes, animations and variants; a glTF document also knows its materials exactly."""
    if model.document is None:
        nodes = len(model.scene.graph.nodes) - 1
        return {"node_count": nodes, "animation_count": 0, "variant_count": 0}
    tree = model.document.tree
    variants = tree.get("extensions", {}).get("KHR_materials_variants", {}).get("variants", [])
    return {
        "node_count": len(tree.get("nodes", [])),
        "animation_count": len(tree.get("animations", [])),
        "variant_count": len(variants),
        "material_count": len(tree.get("materials", [])),
        "texture_count": len(tree.get("textures", [])),
    }
