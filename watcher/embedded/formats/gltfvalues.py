"""What the accessors of a glTF document hold, in the plain form that every reader understands.

Imports numpy on first use. Invariant: a document is never changed; ``plain`` gives another one.
Format: Khronos glTF 2.0 specification, sections 3.6.2.2 (accessor data types), 3.6.2.3 (sparse
accessors) and 3.11 (normalized integers); KHR_mesh_quantization.
"""

from __future__ import annotations

import copy
from typing import Any

from watcher.embedded.formats.gltf import Document

Tree = dict[str, Any]
_KINDS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_FLOAT = 5126


def values(accessor: Tree, tree: Tree, buffers: list[bytes]) -> Any:
    """The elements as rows of numbers; None when compressed, absent or of an odd type."""
    kind = _KINDS.get(accessor.get("componentType", 0))
    width = _WIDTHS.get(accessor.get("type", ""))
    if kind is None or width is None:
        return None
    sparse = accessor.get("sparse")
    if sparse is None:
        return _rows(accessor, accessor.get("count"), (kind, width), tree, buffers)
    return _sparse(accessor, (kind, width), tree, buffers)


def plain(document: Document) -> Document:
    """The document with sparse and normalized vertices written out.

    Colours stay as they are: readers know integers there.
    """
    odd = _odd(document.tree)
    if not odd:
        return document
    tree, buffers = copy.deepcopy(document.tree), list(document.buffers)
    for index in sorted(odd):
        rows = values(tree["accessors"][index], tree, buffers)
        if rows is not None:
            _write_out(index, rows, tree, buffers)
    return Document(tree, buffers)


def _rows(
    place: Tree, count: Any, element: tuple[str, int], tree: Tree, buffers: list[bytes]
) -> Any:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    if "bufferView" not in place:
        return None
    view = tree["bufferViews"][place["bufferView"]]
    if view.get("extensions"):
        return None
    kind, width = element
    size = np.dtype(kind).itemsize * width
    strides = (view.get("byteStride", size), size // width)
    start = view.get("byteOffset", 0) + place.get("byteOffset", 0)
    return np.ndarray((count, width), kind, buffers[view["buffer"]], start, strides)


def _sparse(accessor: Tree, element: tuple[str, int], tree: Tree, buffers: list[bytes]) -> Any:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    sparse = accessor["sparse"]
    kind = (_KINDS[sparse["indices"]["componentType"]], 1)
    places = _rows(sparse["indices"], sparse["count"], kind, tree, buffers)
    new = _rows(sparse["values"], sparse["count"], element, tree, buffers)
    base = _rows(accessor, accessor["count"], element, tree, buffers)
    if places is None or new is None or (base is None and "bufferView" in accessor):
        return None
    dense = np.zeros((accessor["count"], element[1]), element[0]) if base is None else base.copy()
    dense[places[:, 0]] = new
    return dense


def _odd(tree: Tree) -> set[int]:
    accessors = tree.get("accessors", [])
    odd = {index for index, accessor in enumerate(accessors) if "sparse" in accessor}
    for mesh in tree.get("meshes", []):
        for primitive in mesh.get("primitives", []):
            for name, index in primitive.get("attributes", {}).items():
                if accessors[index].get("normalized") and not name.startswith("COLOR"):
                    odd.add(index)
    return odd


def _write_out(index: int, rows: Any, tree: Tree, buffers: list[bytes]) -> None:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    old = tree["accessors"][index]
    new = {key: old[key] for key in ("componentType", "count", "type")}
    if old.get("normalized"):
        rows = np.maximum(rows / np.float32(np.iinfo(rows.dtype).max), -1).astype("<f4")
        new["componentType"] = _FLOAT
    content = rows.tobytes()
    tree["accessors"][index] = new | {"bufferView": len(tree.setdefault("bufferViews", []))}
    tree["bufferViews"].append({"buffer": len(buffers), "byteLength": len(content)})
    tree.setdefault("buffers", []).append({"byteLength": len(content)})
    buffers.append(content)
