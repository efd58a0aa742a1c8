"""glTF 2.0 as its JSON and its buffers, so that nothing it carries gets lost on the way.

Imports the standard library, ``checks``, ``companions`` and ``watcher.embedded.script``. Invariant:
animations, variants and extensions pass untouched; only where the bytes stand is rewritten.
Format: Khronos glTF 2.0 specification, sections 3.6 (buffers), 3.8 (images) and 4.4 (GLB).
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from watcher.embedded.formats.checks import AGAIN, cut_short
from watcher.embedded.formats.companions import Companions
from watcher.embedded.script import JobFailure

Tree = dict[str, Any]
_JSON_CHUNK = 0x4E4F534A
_BIN_CHUNK = 0x004E4942
_COMPONENT_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
_COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_HALF = 0.5**0.5
_UPRIGHT = {"z": [-_HALF, 0.0, 0.0, _HALF], "x": [0.0, 0.0, _HALF, _HALF]}
_PLACES: dict[type[Exception], str] = {
    UnicodeDecodeError: "is not text",
    ValueError: "holds a number that is too long",
}
_MOST_WITHOUT_DATA = 10_000_000
_WHITE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"
)


@dataclass
class Document:
    """A glTF asset with all of its bytes at hand.

    Attributes:
        tree: the JSON; its buffers and images have no outside references any more.
        buffers: the bytes of each buffer.
        original: the GLB file it came from, when that already holds everything.
    """

    tree: Tree
    buffers: list[bytes]
    original: bytes | None = None


def read_glb(content: bytes, name: str, companions: Companions) -> Document:
    """The document in a GLB file.

    Raises:
        JobFailure: chunks, JSON, buffers or accessors break their promises.
    """
    chunks = _chunks(content, name)
    tree = _parse(chunks.get(_JSON_CHUNK, b""), name)
    inside = not any("uri" in part for key in ("buffers", "images") for part in _list(tree, key))
    inside = inside and _aligned(content) and not _crooked(tree)
    document = _resolve(tree, name, companions, chunks.get(_BIN_CHUNK))
    return Document(document.tree, document.buffers, content if inside else None)


def read_gltf(content: bytes, name: str, companions: Companions) -> Document:
    """The document in a .gltf file and the files beside it; raises ``JobFailure`` like GLB."""
    return _resolve(_parse(content, name), name, companions, None)


def pack_glb(document: Document) -> bytes:
    """One GLB file: the original when there is one, else JSON and a single binary chunk."""
    if document.original is not None:
        return document.original
    tree, joined = _join(document)
    text = json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode()
    parts = [_chunk(_JSON_CHUNK, text, b" ")]
    if joined:
        parts.append(_chunk(_BIN_CHUNK, joined, b"\0"))
    body = b"".join(parts)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def pack_gltf(document: Document) -> bytes:
    """One .gltf file with its buffer embedded as a data URI."""
    tree, joined = _join(document)
    if joined:
        encoded = base64.b64encode(joined).decode("ascii")
        tree["buffers"][0]["uri"] = f"data:application/octet-stream;base64,{encoded}"
    return json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode()


def placed(document: Document, factor: float, up: str = "y") -> Document:
    """The document with every scene put under one node that scales, and turns ``up`` to y."""
    tree = copy.deepcopy(document.tree)
    nodes = tree.setdefault("nodes", [])
    for scene in _list(tree, "scenes"):
        node: Tree = {"name": "unit", "children": scene.get("nodes", [])}
        node |= {"scale": [factor] * 3} if factor != 1 else {}
        node |= {"rotation": _UPRIGHT[up]} if up in _UPRIGHT else {}
        nodes.append(node)
        scene["nodes"] = [len(nodes) - 1]
    return Document(tree, document.buffers)


def _aligned(content: bytes) -> bool:
    """Whether the file ends where it says, and its JSON chunk fills whole words."""
    length, chunk = struct.unpack_from("<II", content, 8)
    return bool(length == len(content) and length % 4 == 0 and chunk % 4 == 0)


def _crooked(tree: Tree) -> list[Tree]:
    """The buffer views that must move so that the numbers in them stand at multiples of 4."""
    views = _list(tree, "bufferViews")
    used = {
        accessor["bufferView"]
        for accessor in _list(tree, "accessors")
        if _COMPONENT_BYTES.get(accessor.get("componentType", 0)) == 4  # noqa: PLR2004 - bytes
        and accessor.get("byteOffset", 0) % 4 == 0
        and accessor.get("bufferView", len(views)) in range(len(views))
    }
    return [views[at] for at in sorted(used) if views[at].get("byteOffset", 0) % 4]


def _chunks(content: bytes, name: str) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 12
    end = struct.unpack_from("<I", content, 8)[0]
    while at + 8 <= end:
        length, kind = struct.unpack_from("<II", content, at)
        if at + 8 + length > end:
            held = end - at - 8
            raise cut_short(name, f"a chunk promises {length} bytes and holds {held}")
        found.setdefault(kind, content[at + 8 : at + 8 + length])
        at += 8 + length
    return found


def _chunk(kind: int, content: bytes, padding: bytes) -> bytes:
    padded = content + padding * (-len(content) % 4)
    return struct.pack("<II", len(padded), kind) + padded


def _parse(text: bytes, name: str) -> Tree:
    try:
        tree = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        place = _PLACES.get(type(error), "is nested too deeply")
        if isinstance(error, json.JSONDecodeError):
            place = f"breaks off at line {error.lineno}, column {error.colno}"
        raise JobFailure(
            f"the copy seems cut short or damaged: its JSON {place}", where=name, fix=AGAIN
        ) from error
    if not isinstance(tree, dict) or not isinstance(tree.get("asset"), dict):
        raise JobFailure("its JSON is not glTF: there is no 'asset'", where=name)
    if not str(tree["asset"].get("version", "")).startswith("2"):
        raise JobFailure("it is not glTF version 2", where=name)
    return tree


def _list(tree: Tree, key: str) -> list[Tree]:
    value = tree.get(key, [])
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _resolve(tree: Tree, name: str, companions: Companions, binary: bytes | None) -> Document:
    document = Document(tree, [])
    for index, buffer in enumerate(_list(tree, "buffers")):
        content = _buffer(buffer, index, name, companions, binary)
        promised = _whole(buffer.get("byteLength"), name)
        if len(content) < promised:
            place = str(buffer.get("uri", "its binary chunk"))[:80]
            raise cut_short(name, f"{place} must have {promised} bytes and has {len(content)}")
        document.buffers.append(content)
        buffer.pop("uri", None)
    _check_views(document, name)
    for image in _list(tree, "images"):
        _take_in(document, image, companions)
    return document


def _buffer(
    buffer: Tree, index: int, name: str, companions: Companions, binary: bytes | None
) -> bytes:
    uri = buffer.get("uri")
    if uri is None:
        if index or binary is None:
            raise cut_short(name, f"buffer {index} has no bytes")
        return binary
    if str(uri).startswith("data:"):
        return _data_uri(str(uri), name)
    path = companions.find(str(uri))
    if path is None:
        raise JobFailure(
            f"its buffer {str(uri)!r} is missing beside it",
            where=name,
            fix="drop the .gltf together with its .bin and images as one asset, or use GLB",
        )
    return path.read_bytes()


def _data_uri(uri: str, name: str) -> bytes:
    head, _, content = uri.partition(",")
    if not head.endswith(";base64"):
        return unquote_to_bytes(content)
    try:
        return base64.b64decode(content)
    except binascii.Error as error:
        raise JobFailure("an embedded buffer is damaged", where=name, fix=AGAIN) from error


def _whole(value: Any, name: str) -> int:
    if isinstance(value, int) and value >= 0:
        return value
    raise JobFailure(f"its JSON counts {str(value)[:40]!r}", where=name, fix=AGAIN)


def _check_views(document: Document, name: str) -> None:
    views = _list(document.tree, "bufferViews")
    for view in views:
        end = _whole(view.get("byteOffset", 0), name) + _whole(view.get("byteLength"), name)
        index = _whole(view.get("buffer"), name)
        if index >= len(document.buffers) or end > len(document.buffers[index]):
            if "EXT_meshopt_compression" in view.get("extensions", {}):
                continue
            raise cut_short(name, f"a buffer view ends at byte {end}, behind its buffer")
    for accessor in _list(document.tree, "accessors"):
        _check_accessor(accessor, views, name)


def _check_accessor(accessor: Tree, views: list[Tree], name: str) -> None:
    count = _whole(accessor.get("count"), name)
    if "bufferView" not in accessor:
        if count > _MOST_WITHOUT_DATA:
            raise cut_short(name, f"an accessor promises {count} elements and has no bytes")
        return
    index = _whole(accessor["bufferView"], name)
    if index >= len(views):
        raise cut_short(name, f"buffer view {index} does not exist")
    size = _COMPONENTS.get(accessor.get("type", ""), 1)
    size *= _COMPONENT_BYTES.get(accessor.get("componentType", 0), 1)
    stride = views[index].get("byteStride", size)
    end = accessor.get("byteOffset", 0) + (count - 1) * stride + size
    if count and end > views[index]["byteLength"]:
        raise cut_short(name, f"an accessor promises {count} elements, more than its bytes hold")


def _take_in(document: Document, image: Tree, companions: Companions) -> None:
    uri = image.get("uri")
    if uri is None or str(uri).startswith("data:"):
        return
    content = companions.read(str(uri), "the texture") or _WHITE
    del image["uri"]
    views = document.tree.setdefault("bufferViews", [])
    buffers = document.tree.setdefault("buffers", [])
    views.append({"buffer": len(document.buffers), "byteOffset": 0, "byteLength": len(content)})
    buffers.append({"byteLength": len(content)})
    document.buffers.append(content)
    image["bufferView"] = len(views) - 1
    image["mimeType"] = "image/jpeg" if content[:2] == b"\xff\xd8" else "image/png"


def _join(document: Document) -> tuple[Tree, bytes]:
    """One buffer in place of all, each part at a multiple of four bytes."""
    tree = copy.deepcopy(document.tree)
    starts: list[int] = []
    joined = bytearray()
    for content in document.buffers:
        starts.append(len(joined))
        joined += content + b"\0" * (-len(content) % 4)
    for view in _list(tree, "bufferViews"):
        for place in (view, *view.get("extensions", {}).values()):
            if isinstance(place, dict) and "buffer" in place:
                place["byteOffset"] = place.get("byteOffset", 0) + starts[place["buffer"]]
                place["buffer"] = 0
    for view in _crooked(tree):
        start, length = view["byteOffset"], view["byteLength"]
        view["byteOffset"] = len(joined)
        joined += joined[start : start + length] + b"\0" * (-length % 4)
    if joined:
        tree["buffers"] = [{"byteLength": len(joined)}]
    return tree, bytes(joined)
