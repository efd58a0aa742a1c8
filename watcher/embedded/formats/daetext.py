"""A scene as COLLADA 1.4.1 and pictures.

Imports ``looks``; numpy and lxml on first use. Invariant: nodes keep their names and their tree, a
mesh that stands in several places is written once, ids are numbers of our own.
Format: COLLADA 1.4.1 (Khronos).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from watcher.embedded.formats.looks import Look, Looks, colours, coordinates, normals

_SPACE = "http://www.collada.org/2005/11/COLLADASchema"


def pack(scene: Any, stem: str, metres: float, up: str) -> dict[str, bytes]:
    """The files of a COLLADA output by name: ``stem.dae`` first, then the pictures.

    Args:
        scene: a trimesh scene; points in it are left out.
        stem: the name of the output without extension.
        metres: the metres of one unit of the scene.
        up: the axis that points up: ``x``, ``y`` or ``z``.
    """
    from lxml import etree  # noqa: PLC0415 - converters come with the first job

    looks = Looks(stem)
    root = etree.Element("COLLADA", xmlns=_SPACE, version="1.4.1")
    _asset(root, up)
    meshes = [name for name, part in scene.geometry.items() if len(getattr(part, "faces", ()))]
    used = {name: looks.of(scene.geometry[name]) for name in meshes}
    _materials(root, list(dict.fromkeys(look for look in map(_key, used.values()) if look)), looks)
    library = _sub(root, "library_geometries")
    for number, name in enumerate(meshes):
        _geometry(library, number, name, scene.geometry[name])
    scenes = _sub(root, "library_visual_scenes")
    top = _sub(scenes, "visual_scene", id="scene", name=stem)
    if metres != 1:
        top = _sub(top, "node", id="unit", name="unit")
        _sub(top, "scale", f"{metres:.9g} {metres:.9g} {metres:.9g}")
    _nodes(top, scene, {name: (number, used[name]) for number, name in enumerate(meshes)})
    _sub(_sub(root, "scene"), "instance_visual_scene", url="#scene")
    text = etree.tostring(root, xml_declaration=True, encoding="utf-8")
    return {f"{stem}.dae": text} | looks.files


def _key(look: Look | None) -> str:
    return look.name if look else ""


def _sub(parent: Any, tag: str, text: str = "", **attributes: str) -> Any:
    from lxml import etree  # noqa: PLC0415 - converters come with the first job

    made = etree.SubElement(parent, tag, **attributes)
    made.text = text or None
    return made


def _asset(root: Any, up: str) -> None:
    asset = _sub(root, "asset")
    _sub(_sub(asset, "contributor"), "authoring_tool", "watcher")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    _sub(asset, "created", now)
    _sub(asset, "modified", now)
    _sub(asset, "unit", name="meter", meter="1")
    _sub(asset, "up_axis", f"{up.upper()}_UP")


def _materials(root: Any, names: list[str], looks: Looks) -> None:
    found = {look.name: look for look in looks.made.values()}
    chosen = [found[name] for name in names]
    files = list(dict.fromkeys(file for look in chosen for file in look.maps.values()))
    if files:
        library = _sub(root, "library_images")
        for number, file in enumerate(files):
            image = _sub(library, "image", id=f"image{number}", name=file)
            _sub(image, "init_from", file)
    if not chosen:
        return
    library = _sub(root, "library_materials")
    for look in chosen:
        material = _sub(library, "material", id=f"m-{look.name}", name=look.name)
        _sub(material, "instance_effect", url=f"#fx-{look.name}")
    library = _sub(root, "library_effects")
    for look in chosen:
        _effect(library, look, files)


def _effect(library: Any, look: Look, files: list[str]) -> None:
    profile = _sub(_sub(library, "effect", id=f"fx-{look.name}"), "profile_COMMON")
    for use, file in look.maps.items():
        surface = _sub(_sub(profile, "newparam", sid=f"{use}-surface"), "surface", type="2D")
        _sub(surface, "init_from", f"image{files.index(file)}")
        sampler = _sub(_sub(profile, "newparam", sid=f"{use}-sampler"), "sampler2D")
        _sub(sampler, "source", f"{use}-surface")
    phong = _sub(_sub(profile, "technique", sid="common"), "phong")
    glow = (*look.emission, 1.0)
    for tag, use, value in (("emission", "emission", glow), ("diffuse", "colour", look.colour)):
        part = _sub(phong, tag)
        if use in look.maps:
            _sub(part, "texture", texture=f"{use}-sampler", texcoord="UVSET0")
        else:
            _sub(part, "color", " ".join(f"{number:.6g}" for number in value))
    _sub(_sub(phong, "specular"), "color", "0.04 0.04 0.04 1")
    _sub(_sub(phong, "shininess"), "float", f"{max(look.shininess, 1.01):.6g}")
    if look.colour[3] < 1:
        _sub(_sub(phong, "transparent", opaque="A_ONE"), "color", "1 1 1 1")
        _sub(_sub(phong, "transparency"), "float", f"{look.colour[3]:.6g}")


def _geometry(library: Any, number: int, name: str, mesh: Any) -> None:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    here = f"g{number}"
    body = _sub(_sub(library, "geometry", id=here, name=name), "mesh")
    painted = colours(mesh)
    sources = {
        "POSITION": (np.asarray(mesh.vertices), "XYZ"),
        "NORMAL": (normals(mesh), "XYZ"),
        "TEXCOORD": (coordinates(mesh), "ST"),
        "COLOR": (None if painted is None else painted[:, :4] / 255.0, "RGBA"),
    }
    given = {key: pair for key, pair in sources.items() if pair[0] is not None}
    for key, (values, letters) in given.items():
        _source(body, f"{here}-{key}", values, letters)
    vertices = _sub(body, "vertices", id=f"{here}-vertices")
    _sub(vertices, "input", semantic="POSITION", source=f"#{here}-POSITION")
    triangles = _sub(body, "triangles", material="look", count=str(len(mesh.faces)))
    _sub(triangles, "input", semantic="VERTEX", source=f"#{here}-vertices", offset="0")
    for key in list(given)[1:]:
        extra = {"set": "0"} if key == "TEXCOORD" else {}
        _sub(triangles, "input", semantic=key, source=f"#{here}-{key}", offset="0", **extra)
    _sub(triangles, "p", " ".join(map(str, np.asarray(mesh.faces).ravel().tolist())))


def _source(body: Any, name: str, values: Any, letters: str) -> None:
    source = _sub(body, "source", id=name)
    flat = values.ravel().tolist()
    text = ("%.9g " * len(flat) % tuple(flat)).strip()
    _sub(source, "float_array", text, id=f"{name}-array", count=str(len(flat)))
    accessor = _sub(
        _sub(source, "technique_common"),
        "accessor",
        source=f"#{name}-array",
        count=str(len(values)),
        stride=str(len(letters)),
    )
    for letter in letters:
        _sub(accessor, "param", name=letter, type="float")


def _nodes(top: Any, scene: Any, meshes: dict[str, tuple[int, Look | None]]) -> None:
    children = scene.graph.transforms.children
    waiting = [(name, top) for name in reversed(children.get(scene.graph.base_frame, []))]
    number = 0
    while waiting:
        name, parent = waiting.pop()
        number += 1
        node = _sub(parent, "node", id=f"n{number}", name=str(name))
        above = scene.graph.transforms.parents[name]
        matrix, geometry = scene.graph.get(name, above)
        _sub(node, "matrix", " ".join(f"{part:.9g}" for part in matrix.ravel()))
        if geometry in meshes:
            _instance(node, *meshes[geometry])
        waiting += [(child, node) for child in reversed(children.get(name, []))]


def _instance(node: Any, number: int, look: Look | None) -> None:
    instance = _sub(node, "instance_geometry", url=f"#g{number}")
    if look is None:
        return
    common = _sub(_sub(instance, "bind_material"), "technique_common")
    bound = _sub(common, "instance_material", symbol="look", target=f"#m-{look.name}")
    if look.maps:
        _sub(
            bound,
            "bind_vertex_input",
            semantic="UVSET0",
            input_semantic="TEXCOORD",
            input_set="0",
        )
