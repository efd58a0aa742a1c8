"""Any input file becomes a ``Model``, or a ``JobFailure`` that says why not.

Imports this package's modules; trimesh on first use. Invariant: names, bytes and references were
checked before a converter sees the file, and a model without a single vertex is a failure.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher.embedded.formats import archives, cad, checks, foreign, gltf
from watcher.embedded.formats.companions import Companions, Warn
from watcher.embedded.formats.kinds import Format, Sample, identify
from watcher.embedded.script import JobFailure

HEAD = 1 << 16
TAIL = 1 << 12
_UNREADABLE_AS_MESH = {"KHR_draco_mesh_compression", "EXT_meshopt_compression"}


@dataclass
class Model:
    """What was read.

    Attributes:
        format: the format of the file.
        unit: ``meter``, ``millimeter`` ... when the file states one, else empty.
        document: the glTF JSON and buffers, for glTF and CAD files.
        scene: the trimesh scene, in ``unit``; CAD stands in millimetres here.
    """

    format: Format
    unit: str
    document: gltf.Document | None
    _scene: Callable[[], Any]
    _read: Any = None

    @property
    def scene(self) -> Any:
        """The trimesh scene; read when first asked for."""
        if self._read is None:
            self._read = self._scene()
        return self._read


def sample(path: Path) -> Sample:
    """The name, size, first and last bytes of a file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(HEAD)
        stream.seek(max(0, size - TAIL))
        return Sample(path.name, size, head, stream.read(TAIL))


def read(path: Path, warn: Warn) -> Model:
    """Read a model file.

    Args:
        path: the file; its companions lie in the same folder or below.
        warn: told of what is missing or refused although the job goes on.

    Raises:
        JobFailure: not a model, damaged, empty, or of a format that this scheduler cannot read.
    """
    facts = sample(path)
    known = identify(facts)
    checks.check(facts, known)
    companions = Companions(path.parent, warn)
    try:
        return _READERS[known.engine](path, known, companions)
    except JobFailure:
        raise
    except Exception as error:
        raise _unreadable(path.name, known, error) from error


def _unreadable(name: str, known: Format, error: Exception) -> JobFailure:
    reason = " ".join(str(error).split())[:160] or "no reason given"
    return JobFailure(
        f"the copy seems cut short or damaged: it cannot be read as {known.title} "
        f"({type(error).__name__}: {reason})",
        where=name,
        fix=checks.AGAIN,
    )


def _read_gltf(path: Path, known: Format, companions: Companions) -> Model:
    parse = gltf.read_glb if known.name == "glb" else gltf.read_gltf
    document = parse(path.read_bytes(), path.name, companions)
    if not document.tree.get("meshes"):
        raise _no_geometry(path.name)
    return Model(known, "meter", document, lambda: _checked(_scene_of(document, path), path))


def _scene_of(document: gltf.Document, path: Path) -> Any:
    needed = _UNREADABLE_AS_MESH.intersection(document.tree.get("extensionsRequired", []))
    if needed:
        raise JobFailure(
            f"its geometry is compressed with {', '.join(sorted(needed))}",
            where=path.name,
            fix="only GLB and glTF output can carry it",
        )
    return _load(gltf.pack_glb(document), "glb")


def _read_cad(path: Path, known: Format, companions: Companions) -> Model:
    in_metres = known.name == "step"
    content = cad.to_glb(path.read_bytes(), "step" if in_metres else "iges", path.name)
    document = gltf.read_glb(content, path.name, companions)
    if not in_metres:
        document = gltf.scaled(document, 0.001)

    def scene() -> Any:
        return _checked(_load(gltf.pack_glb(document), "glb"), path).scaled(1000.0)

    return Model(known, "millimeter", document, scene)


def _read_mesh(path: Path, known: Format, companions: Companions) -> Model:
    content = path.read_bytes()
    _look_inside(path, known, content)
    resolver = _resolver(known, content, companions)
    loaded = _checked(_load(content, known.name, resolver), path)
    unit = str(loaded.units or "") if known.name in {"3mf", "dae"} else ""
    return Model(known, {"meters": "meter"}.get(unit, unit), None, lambda: loaded)


def _look_inside(path: Path, known: Format, content: bytes) -> None:
    """The checks that need more than the first and last bytes."""
    facts = sample(path)
    if known.name == "3mf":
        archives.check(path)
    elif known.name == "dae":
        archives.refuse_entities(content[: 1 << 20], path.name)
    elif known.name == "off":
        checks.rows_of_off(facts, io.BytesIO(content))
    elif known.name == "ply" and b"format ascii" in facts.head[:200]:
        checks.rows_of_ply(facts, io.BytesIO(content))


def _resolver(known: Format, content: bytes, companions: Companions) -> Any:
    """A resolver that holds what the model may see, and nothing else."""
    from trimesh.resolvers import ZipResolver  # noqa: PLC0415 - converters come with the first job

    if known.name == "obj":
        _materials_of_obj(content, companions)
    elif known.name == "dae":
        for name in re.findall(rb"<init_from>\s*([^<]+?)\s*</init_from>", content):
            companions.read(name.decode("utf-8", "replace").removeprefix("file://"), "the texture")
    return ZipResolver(archive=dict(companions.found))


def _materials_of_obj(content: bytes, companions: Companions) -> None:
    if checks.unfinished_obj(content[-TAIL:]):
        companions.warn("the last line is cut short: the copy may be incomplete")
    for library in _named(content, rb"^[ \t]*mtllib[ \t]+([^\r\n]+)"):
        text = companions.read(library, "the material file")
        for texture in _named(text or b"", rb"^[ \t]*(?:map_\w+|bump|disp)[ \t]+([^\r\n]+)"):
            companions.read(_after_options(texture), "the texture")


def _named(text: bytes, pattern: bytes) -> list[str]:
    found = re.findall(pattern, text, re.MULTILINE | re.IGNORECASE)
    return [name.decode("utf-8", "replace").strip() for name in dict.fromkeys(found)]


def _after_options(statement: str) -> str:
    """The file name of a texture statement, behind options such as ``-bm 1.0`` or ``-s 1 1 1``."""
    option = re.compile(r"^-\w+(?:\s+(?:[-+.\d][-+.\deE]*|on|off|[rgbmlz]))+\s+")
    while match := option.match(statement):
        statement = statement[match.end() :]
    return statement


def _read_foreign(path: Path, known: Format, companions: Companions) -> Model:
    scene = _checked(foreign.to_scene(path, known.name, companions), path)
    return Model(known, "", None, lambda: scene)


def _load(content: bytes, kind: str, resolver: Any = None) -> Any:
    import trimesh  # noqa: PLC0415 - half a second: imported with the first job

    return trimesh.load_scene(io.BytesIO(content), file_type=kind, resolver=resolver)


def _checked(scene: Any, path: Path) -> Any:
    for name, geometry in list(scene.geometry.items()):
        if not len(getattr(geometry, "vertices", ())):
            scene.delete_geometry(name)
    if scene.is_empty or scene.bounds is None:
        raise _no_geometry(path.name)
    return scene


def _no_geometry(name: str) -> JobFailure:
    return JobFailure("the file holds no geometry", where=name, fix="look into its source")


_READERS: dict[str, Callable[[Path, Format, Companions], Model]] = {
    "gltf": _read_gltf,
    "mesh": _read_mesh,
    "cad": _read_cad,
    "assimp": _read_foreign,
}
