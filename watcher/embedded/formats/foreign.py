"""FBX, 3DS, X3D and IFC through assimp, turned into a trimesh scene.

Imports the standard library, numpy, and ``companions``; assimp and trimesh on first use. Invariant:
assimp only ever sees a lone copy of the input in a folder of its own: it would follow references
anywhere on the disk, so nothing that refers elsewhere reaches it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from watcher.embedded.formats import pixels
from watcher.embedded.formats.archives import refuse_entities
from watcher.embedded.formats.checks import AGAIN
from watcher.embedded.formats.companions import Companions
from watcher.embedded.script import JobFailure

_TRIANGULATE = 0x8


def to_scene(path: Path, kind: str, companions: Companions) -> Any:
    """The trimesh scene of an FBX, 3DS, X3D or IFC file.

    Raises:
        JobFailure: assimp cannot read it.
    """
    import assimp_py  # noqa: PLC0415 - a native library: only for jobs that need it

    content = path.read_bytes()
    if kind == "x3d":
        content = _without_inlines(content, path.name, companions)
    with tempfile.TemporaryDirectory(prefix="assimp-") as folder:
        alone = Path(folder, f"model.{kind}")
        alone.write_bytes(content)
        try:
            imported = assimp_py.import_file(str(alone), _TRIANGULATE)
        except (RuntimeError, ValueError, FileNotFoundError) as error:
            raise JobFailure(
                f"it cannot be read as {kind.upper()}; the copy seems cut short or damaged",
                where=path.name,
                fix=AGAIN,
            ) from error
    return _scene(imported, companions)


def _without_inlines(content: bytes, name: str, companions: Companions) -> bytes:
    """X3D without its ``Inline`` nodes: they name other files."""
    from lxml import etree  # noqa: PLC0415 - see the module: imported with the first job

    refuse_entities(content[: 1 << 20], name)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        place = f"its XML is broken at line {error.lineno}" if error.lineno else "its XML is broken"
        raise JobFailure(place, where=name, fix=AGAIN) from error
    for inline in list(root.iter("{*}Inline")):
        companions.warn(f"the inlined file {inline.get('url', '')!r} was not read")
        inline.getparent().remove(inline)
    return bytes(etree.tostring(root))


def _scene(imported: Any, companions: Companions) -> Any:
    """The scene with its nodes and their names; a node of several meshes gets a child for each."""
    import numpy as np  # noqa: PLC0415 - converters are imported with the first job
    import trimesh  # noqa: PLC0415 - converters are imported with the first job

    scene: Any = trimesh.Scene()
    materials = [_material(material, companions) for material in imported.materials]
    meshes = [_mesh(mesh, materials) for mesh in imported.meshes]
    labels = _labels(imported)
    taken: dict[str, int] = {"world": 1}
    waiting = [(imported.root_node, scene.graph.base_frame)]
    while waiting:
        node, parent = waiting.pop()
        # the root may be called after the file that assimp was given, a copy of ours
        name = "scene" if parent == scene.graph.base_frame else node.name or "node"
        name = _unique(name, taken)
        matrix = np.array(node.transformation, dtype=float)
        scene.graph.update(frame_to=name, frame_from=parent, matrix=matrix)
        here = [index for index in node.mesh_indices if meshes[index] is not None]
        for index in here:
            scene.geometry[labels[index]] = meshes[index]
            at = name if len(here) == 1 else _unique(f"{name}/{labels[index]}", taken)
            scene.graph.update(
                frame_to=at,
                frame_from=parent if len(here) == 1 else name,
                matrix=matrix if len(here) == 1 else np.eye(4),
                geometry=labels[index],
            )
        waiting += [(child, name) for child in reversed(node.children)]
    return scene


def _unique(name: str, taken: dict[str, int]) -> str:
    count = taken.get(name, 0)
    taken[name] = count + 1
    return _unique(f"{name}_{count}", taken) if count else name


def _labels(imported: Any) -> list[str]:
    taken: dict[str, int] = {}
    return [_unique(mesh.name or "mesh", taken) for mesh in imported.meshes]


def _mesh(mesh: Any, materials: list[Any]) -> Any:
    import numpy as np  # noqa: PLC0415 - converters are imported with the first job
    import trimesh  # noqa: PLC0415 - converters are imported with the first job

    vertices = np.asarray(mesh.vertices, dtype=float).reshape(-1, 3)
    faces = np.asarray(mesh.indices, dtype=np.int64)
    if not len(faces) or len(faces) % 3:
        return None
    uv = None
    if mesh.texcoords:
        uv = np.asarray(mesh.texcoords[0], dtype=float).reshape(len(vertices), -1)[:, :2]
    look: Any = trimesh.visual.TextureVisuals
    visual = look(uv=uv, material=materials[mesh.material_index])
    normals = np.asarray(mesh.normals if mesh.normals is not None else (), dtype=float)
    return trimesh.Trimesh(
        vertices,
        faces.reshape(-1, 3),
        vertex_normals=normals.reshape(-1, 3) if normals.size == vertices.size else None,
        visual=visual,
        process=False,
    )


def _material(source: dict[str, Any], companions: Companions) -> Any:
    from trimesh.visual.material import PBRMaterial  # noqa: PLC0415 - with the first job

    colour = [*source.get("COLOR_DIFFUSE", (0.8, 0.8, 0.8))[:3], 1.0]
    image = None
    for paths in source.get("TEXTURES", {}).values():
        for name in [paths] if isinstance(paths, str) else paths:
            content = companions.read(str(name), "the texture")
            if content is not None and image is None:
                image = pixels.picture(content, companions.warn)
    make: Any = PBRMaterial
    return make(
        name=str(source.get("NAME", "")),
        baseColorFactor=colour,
        baseColorTexture=image,
        metallicFactor=0.0,
        roughnessFactor=0.7,
    )
