"""Any input file becomes a ``Model``, or a ``JobFailure`` that says why not.

Imports this package's modules; trimesh on first use. Invariant: names, bytes and references were
checked before a converter sees the file, and a model without a single vertex is a failure.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher.embedded.formats import (
    archives,
    cad,
    checks,
    dae,
    foreign,
    gltf,
    gltfnodes,
    gltfvalues,
    looks,
    ply,
    polygons,
    rows,
    stl,
    threemf,
    wavefront,
)
from watcher.embedded.formats.companions import Companions, Warn
from watcher.embedded.formats.kinds import Format, Sample, identify
from watcher.embedded.script import JobFailure

HEAD = 1 << 16
TAIL = 1 << 12
_LARGEST = 1e30
_UNREADABLE_AS_MESH = {"KHR_draco_mesh_compression", "EXT_meshopt_compression"}


@dataclass
class Model:
    """What was read.

    Attributes:
        format: the format of the file.
        unit: ``meter``, ``millimeter`` ... when the file states one, else empty.
        document: the glTF JSON and buffers, for glTF and CAD files.
        up: the axis that points up, ``x``, ``y`` or ``z``; ``?`` when the format does not tell.
        declared: whether the file itself says which axis that is.
        scene: the trimesh scene, in ``unit``; CAD stands in millimetres here.
    """

    format: Format
    unit: str
    document: gltf.Document | None
    _scene: Callable[[], Any]
    up: str
    declared: bool = False
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
    model: Model = _guarded(
        lambda: _READERS[known.engine](path, known, companions), path.name, known
    )
    unguarded = model._scene  # noqa: SLF001 - a dataclass of this module
    model._scene = lambda: _guarded(unguarded, path.name, known)  # noqa: SLF001 - likewise
    return model


def _guarded(step: Callable[[], Any], name: str, known: Format) -> Any:
    """Readers trip over damaged files in many ways; all of them mean the same to an operator."""
    try:
        return step()
    except (JobFailure, MemoryError, ModuleNotFoundError):  # a package that lacks is not its fault
        raise
    except Exception as error:
        raise JobFailure(
            f"the copy seems cut short or damaged: it cannot be read as {known.title}",
            where=name,
            fix=checks.AGAIN,
        ) from error


def _read_gltf(path: Path, known: Format, companions: Companions) -> Model:
    parse = gltf.read_glb if known.name == "glb" else gltf.read_gltf
    document = parse(path.read_bytes(), path.name, companions)
    scenes = document.tree.get("scenes")
    gltfnodes.prove(document.tree, document.buffers, path.name, companions.warn)
    if document.tree.get("scenes") is not scenes:
        document.original = None
    return Model(
        known,
        "meter",
        document,
        lambda: _checked(_scene_of(document, path), path, companions.warn),
        known.up,
    )


def _scene_of(document: gltf.Document, path: Path) -> Any:
    needed = _UNREADABLE_AS_MESH.intersection(document.tree.get("extensionsRequired", []))
    if needed:
        raise JobFailure(
            f"its geometry is compressed with {', '.join(sorted(needed))}",
            where=path.name,
            fix="only GLB and glTF output can carry it",
        )
    return _load(gltf.pack_glb(gltfvalues.plain(document)), "glb")


def _read_cad(path: Path, known: Format, companions: Companions) -> Model:
    in_metres = known.name == "step"
    content = cad.to_glb(path.read_bytes(), "step" if in_metres else "iges", path.name)
    document = gltf.read_glb(content, path.name, companions)
    gltfnodes.prove(document.tree, document.buffers, path.name, companions.warn)
    if cad.name_parts(document.tree):
        document.original = None
    in_millimetres = gltf.placed(document, 1000.0) if in_metres else document
    if not in_metres:
        document = gltf.placed(document, 0.001)

    def scene() -> Any:
        found = _load(gltf.pack_glb(in_millimetres), "glb")
        return _checked(found, path, companions.warn)

    return Model(known, "millimeter", document, scene, known.up)


def _read_mesh(path: Path, known: Format, companions: Companions) -> Model:
    content = path.read_bytes()
    _look_inside(path, known, content)
    if known.name == "dae":
        scene, unit, up = dae.to_scene(content, path.name, companions)
        scene = _checked(scene, path, companions.warn)
        return Model(known, unit, None, lambda: scene, up, declared=True)
    if known.name == "obj" and checks.unfinished_obj(content[-TAIL:]):
        companions.warn("the last line is cut short: the copy may be incomplete")
    own = _OWN.get(known.name)
    if own is not None:
        scene = _checked(own(content, path.name, companions), path, companions.warn)
    else:
        scene = _load(content, known.name)
        if known.name == "3mf":
            threemf.paint(scene, content)
        scene = _checked(scene, path, companions.warn)
    unit = str(scene.units or "") if known.name == "3mf" else ""
    unit = {"3dxml": "millimeter"}.get(known.name, {"meters": "meter"}.get(unit, unit))
    return Model(known, unit, None, lambda: scene, known.up)


def _look_inside(path: Path, known: Format, content: bytes) -> None:
    """The checks that need more than the first and last bytes."""
    facts = sample(path)
    if known.name in {"3mf", "3dxml"}:
        archives.check(path)
    elif known.name == "dae":
        archives.refuse_entities(content[: 1 << 20], path.name)
    elif known.name == "off":
        checks.rows_of_off(facts, io.BytesIO(content))
    elif known.name == "ply" and b"format ascii" in facts.head[:200]:
        checks.rows_of_ply(facts, io.BytesIO(content))


def _read_foreign(path: Path, known: Format, companions: Companions) -> Model:
    scene = _checked(foreign.to_scene(path, known.name, companions), path, companions.warn)
    unit = "meter" if known.name == "ifc" else ""
    return Model(known, unit, None, lambda: scene, known.up)


def _load(content: bytes, kind: str) -> Any:
    import trimesh  # noqa: PLC0415 - half a second: imported with the first job

    return trimesh.load_scene(io.BytesIO(content), file_type=kind)


def _checked(scene: Any, path: Path, warn: Warn) -> Any:
    """The scene without empty parts; parts without faces are points."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job
    import trimesh  # noqa: PLC0415 - likewise

    for name, geometry in list(scene.geometry.items()):
        if not len(getattr(geometry, "vertices", ())):
            scene.delete_geometry(name)
            continue
        _prove_numbers(np.abs(geometry.vertices).max(), path.name)
        if hasattr(geometry, "faces") and not len(geometry.faces):
            cloud: Any = trimesh.PointCloud
            scene.geometry[name] = cloud(geometry.vertices)
        elif hasattr(geometry, "faces"):
            polygons.inside(geometry.faces, len(geometry.vertices), "vertex", path.name)
            if geometry.visual.kind == "face":
                scene.geometry[name] = _painted(geometry)
            elif geometry.visual.kind == "texture":
                textured = geometry.visual.uv is not None
                geometry.visual.material = looks.sound(geometry.visual.material, textured, warn)
    if scene.is_empty or scene.bounds is None:
        raise _no_geometry(path.name)
    return scene


def _prove_numbers(largest: float, name: str) -> None:
    """``largest`` is a NaN when any coordinate is."""
    if not largest < _LARGEST:
        what = (
            "are absurdly large"
            if math.isfinite(largest)
            else "are not all numbers (NaN or infinity)"
        )
        raise JobFailure(
            f"its coordinates {what}", where=name, fix="export it again from its source"
        )


def _painted(mesh: Any) -> Any:
    """A mesh of coloured faces: with one material if all are alike, else apart, vertex by vertex.

    (What trimesh would do instead needs SciPy.)
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job
    import trimesh  # noqa: PLC0415 - likewise
    from trimesh.visual.material import PBRMaterial  # noqa: PLC0415 - likewise

    painted = np.asarray(mesh.visual.face_colors)
    if (painted == painted[0]).all():
        make: Any = PBRMaterial
        look: Any = trimesh.visual.TextureVisuals
        clear = "BLEND" if painted[0][3] < 255 else None  # noqa: PLR2004 - opaque
        material = make(baseColorFactor=painted[0], metallicFactor=0.0, alphaMode=clear)
        visual = look(material=material)
        return trimesh.Trimesh(mesh.vertices, mesh.faces, visual=visual, process=False)
    points = np.asarray(mesh.vertices)[mesh.faces].reshape(-1, 3)
    faces = np.arange(len(points)).reshape(-1, 3)
    colours = np.repeat(painted, 3, axis=0)
    return trimesh.Trimesh(points, faces, vertex_colors=colours, process=False)


def _no_geometry(name: str) -> JobFailure:
    return JobFailure("the file holds no geometry", where=name, fix="look into its source")


_OWN: dict[str, Callable[[bytes, str, Companions], Any]] = {
    "obj": wavefront.to_scene,
    "ply": ply.to_scene,
    "off": rows.off_scene,
    "xyz": rows.xyz_scene,
    "stl": stl.to_scene,
}
_READERS: dict[str, Callable[[Path, Format, Companions], Model]] = {
    "gltf": _read_gltf,
    "mesh": _read_mesh,
    "cad": _read_cad,
    "assimp": _read_foreign,
}
