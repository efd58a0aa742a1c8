"""A ``Model`` becomes a file of any output format.

Imports ``gltf`` and ``read``; trimesh on first use. Invariant: glTF and COLLADA are in metres and
3MF in millimetres whenever the unit of the input is known; the other formats have no unit and keep
the model's numbers, CAD in millimetres.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from watcher.embedded.formats import daetext, gltf, looks, objtext, threemf
from watcher.embedded.formats.companions import Companions
from watcher.embedded.formats.read import Model
from watcher.embedded.script import JobFailure

METRES = {
    "meter": 1.0,
    "millimeter": 0.001,
    "micron": 1e-6,
    "centimeter": 0.01,
    "inch": 0.0254,
    "foot": 0.3048,
}
_TRIANGLES_ONLY = {"stl", "off", "dae", "3mf"}


def write(model: Model, folder: Path, name: str, extension: str) -> str:
    """Write ``name.extension`` into ``folder``, with what belongs beside it (MTL, textures).

    Returns:
        The file name of the main output.

    Raises:
        JobFailure: the format cannot hold this model (a cloud of points in a format of triangles).
    """
    if extension in _TRIANGLES_ONLY:
        _need_triangles(model, extension)
    target = folder / f"{name}.{extension}"
    try:
        _WRITERS[extension](model, target)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise JobFailure(
            f"the model cannot be written as {extension.upper()}: something in it is broken",
            fix="look into its source",
        ) from error
    return target.name


def _need_triangles(model: Model, extension: str) -> None:
    if not any(len(getattr(part, "faces", ())) for part in model.scene.geometry.values()):
        raise JobFailure(
            f"the model is a cloud of points, and {extension.upper()} holds triangles only",
            fix="convert it to glb, gltf, ply, obj or xyz",
        )


def glb_of(scene: Any, metres: float = 1.0, up: str = "y") -> bytes:
    """GLB of a trimesh scene whose numbers are ``metres`` metres each; ``up`` is turned to y."""
    content = scene.export(file_type="glb")
    if metres == 1.0 and up == "y":
        return bytes(content)
    document = gltf.read_glb(content, "output.glb", Companions(Path(), _ignore))
    return gltf.pack_glb(gltf.placed(document, metres, up))


def _ignore(_: str) -> None:
    """GLB by trimesh refers to nothing, so there is nothing to warn of."""


def _glb(model: Model, target: Path) -> None:
    if model.document is not None:
        target.write_bytes(gltf.pack_glb(model.document))
    else:
        target.write_bytes(_glb_of(model))


def _glb_of(model: Model) -> bytes:
    """As glTF is y-up: turned where the input says which axis is up, else left as it is."""
    up = model.up if model.declared else "y"
    return glb_of(model.scene, METRES.get(model.unit, 1.0), up)


def _gltf(model: Model, target: Path) -> None:
    document = model.document
    if document is None:
        content = _glb_of(model)
        document = gltf.read_glb(content, target.name, Companions(target.parent, _ignore))
    target.write_bytes(gltf.pack_gltf(document))


def _obj(model: Model, target: Path) -> None:
    _put(objtext.pack(model.scene, target.stem), target.parent)


def _put(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


def placed(scene: Any) -> list[Any]:
    """The meshes of a scene, each where it stands."""
    return [part for part in scene.dump() if len(getattr(part, "faces", ()))]


def _merged(model: Model) -> Any:
    """One mesh of all triangles, looks reduced to vertex colours (textures would need an atlas)."""
    import trimesh  # noqa: PLC0415 - imported with the first job

    parts = placed(model.scene)
    for part in parts:
        if part.visual.kind == "texture":
            part.visual = _vertex_colours(part)
    return trimesh.util.concatenate(parts)


def _vertex_colours(part: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - imported with the first job
    import trimesh  # noqa: PLC0415 - imported with the first job

    material = part.visual.material
    image = getattr(material, "image", None) or getattr(material, "baseColorTexture", None)
    if image is None or part.visual.uv is None:
        colours = np.tile(material.main_color, (len(part.vertices), 1))
    else:
        colours = part.visual.to_color().vertex_colors
    look: Any = trimesh.visual.ColorVisuals
    return look(mesh=part, vertex_colors=colours)


def _stl(model: Model, target: Path) -> None:
    target.write_bytes(_merged(model).export(file_type="stl"))


def _off(model: Model, target: Path) -> None:
    """With a colour per vertex (COFF) where there are any."""
    import numpy as np  # noqa: PLC0415 - imported with the first job

    mesh = _merged(model)
    painted = looks.colours(mesh)
    rows, line = np.asarray(mesh.vertices), "%.9g %.9g %.9g\n"
    if painted is not None:
        rows = np.concatenate([rows, painted], axis=1)
        line = "%.9g %.9g %.9g %d %d %d %d\n"
    text = [
        f"{'COFF' if painted is not None else 'OFF'}\n{len(rows)} {len(mesh.faces)} 0\n",
        line * len(rows) % tuple(rows.ravel().tolist()),
        "3 %d %d %d\n" * len(mesh.faces) % tuple(np.ravel(mesh.faces).tolist()),
    ]
    target.write_text("".join(text), encoding="ascii")


def _ply(model: Model, target: Path) -> None:
    parts = placed(model.scene)
    if parts:
        target.write_bytes(_merged(model).export(file_type="ply"))
    else:
        target.write_bytes(_cloud(model.scene).export(file_type="ply"))


def _cloud(scene: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - imported with the first job
    import trimesh  # noqa: PLC0415 - imported with the first job

    parts = [(part.vertices, looks.colours(part)) for part in scene.dump()]
    complete = all(colours is not None for _, colours in parts)
    cloud: Any = trimesh.PointCloud
    return cloud(
        np.concatenate([points for points, _ in parts]),
        colors=np.concatenate([colours for _, colours in parts]) if complete else None,
    )


def _dae(model: Model, target: Path) -> None:
    metres = METRES.get(model.unit, 1.0)
    up = "y" if model.up == "?" else model.up
    _put(daetext.pack(model.scene, target.stem, metres, up), target.parent)


def _xyz(model: Model, target: Path) -> None:
    """Every vertex where it stands, with its colour where every part has one."""
    import numpy as np  # noqa: PLC0415 - imported with the first job

    cloud = _cloud(model.scene)
    rows = np.asarray(cloud.vertices)
    line = "%.9g %.9g %.9g\n"
    if looks.colours(cloud) is not None:
        rows = np.concatenate([rows, np.asarray(cloud.colors)[:, :3]], axis=1)
        line = "%.9g %.9g %.9g %d %d %d\n"
    target.write_text(line * len(rows) % tuple(rows.ravel().tolist()), encoding="ascii")


def _3mf(model: Model, target: Path) -> None:
    factor = METRES[model.unit] * 1000 if model.unit in METRES else 1.0
    target.write_bytes(threemf.pack(model.scene, factor))


_WRITERS: dict[str, Callable[[Model, Path], None]] = {
    "glb": _glb,
    "gltf": _gltf,
    "obj": _obj,
    "stl": _stl,
    "ply": _ply,
    "3mf": _3mf,
    "off": _off,
    "dae": _dae,
    "xyz": _xyz,
}
OUTPUTS = tuple(_WRITERS)
