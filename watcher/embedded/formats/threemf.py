"""3MF: a scene as a package with its colours, and the colours of a package that was read.

Imports ``looks``; numpy and lxml on first use. Invariant: a mesh that stands in several places is
written once; colours are those of materials, or of vertices where there are no materials.
Format: 3MF Core Specification 1.3 and Materials Extension 1.2.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any
from xml.sax.saxutils import quoteattr

from watcher.embedded.formats.looks import Looks, colours

_CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
_PAINT = "http://schemas.microsoft.com/3dmanufacturing/material/2015/02"
_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" '
    'ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="model" Target="/3D/3dmodel.model" '
    'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
)
_MATERIALS = 1
_FIRST = 2


def pack(scene: Any, factor: float) -> bytes:
    """The package of a trimesh scene; ``factor`` is the millimetres of one of its units."""
    looks = Looks("texture")
    meshes = [name for name, part in scene.geometry.items() if len(getattr(part, "faces", ()))]
    numbers = {name: _FIRST + 2 * at for at, name in enumerate(meshes)}
    bodies = [_object(scene, name, number, looks, factor) for name, number in numbers.items()]
    bases = "".join(
        f'<base name={quoteattr(look.name)} displaycolor="{_hex(look.colour)}"/>'
        for look in looks.made.values()
    )
    head = (
        f'<?xml version="1.0" encoding="UTF-8"?><model unit="millimeter" xmlns="{_CORE}" '
        f'xmlns:m="{_PAINT}"><resources>'
    )
    model = [
        head,
        f'<basematerials id="{_MATERIALS}">{bases}</basematerials>' if bases else "",
        *bodies,
        "</resources><build>",
        *_items(scene, numbers, factor),
        "</build></model>",
    ]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _RELATIONS)
        archive.writestr("3D/3dmodel.model", "".join(model))
    return stream.getvalue()


def _hex(colour: Any) -> str:
    """Red, green, blue and alpha, 0 to 1, as ``#RRGGBBAA``."""
    return "#" + "".join(f"{round(min(max(part, 0.0), 1.0) * 255):02X}" for part in colour)


def _object(scene: Any, name: str, number: int, looks: Looks, factor: float) -> str:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    mesh = scene.geometry[name]
    points = np.asarray(mesh.vertices, dtype=float) * factor
    if getattr(getattr(mesh.visual, "material", None), "baseColorTexture", None) is not None:
        mesh = mesh.copy()
        mesh.visual = mesh.visual.to_color()  # the texture where the vertices stand
    look = looks.of(mesh)
    given = ""
    if look is not None:
        at = [made.name for made in looks.made.values()].index(look.name)
        given = f' pid="{_MATERIALS}" pindex="{at}"'
    group, painted = _painted(mesh, number + 1) if look is None else ("", None)
    line = '<triangle v1="%d" v2="%d" v3="%d"/>'
    rows = np.asarray(mesh.faces)
    if painted is not None:
        line = f'<triangle v1="%d" v2="%d" v3="%d" pid="{number + 1}" p1="%d" p2="%d" p3="%d"/>'
        rows = np.concatenate([rows, painted[rows]], axis=1)
        given = f' pid="{number + 1}" pindex="0"'
    vertices = '<vertex x="%.9g" y="%.9g" z="%.9g"/>' * len(points) % tuple(points.ravel().tolist())
    triangles = line * len(rows) % tuple(rows.ravel().tolist())
    return (
        f'{group}<object id="{number}" type="model" name={quoteattr(_plain(name))}{given}><mesh>'
        f"<vertices>{vertices}</vertices><triangles>{triangles}</triangles></mesh></object>"
    )


def _plain(name: object) -> str:
    """A name without the characters that XML cannot hold."""
    return "".join(letter for letter in str(name) if letter.isprintable())


def _painted(mesh: Any, number: int) -> tuple[str, Any]:
    """A group of the distinct colours of a mesh, and the place in it of each vertex."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    found = colours(mesh)
    if found is None:
        return "", None
    distinct, places = np.unique(np.asarray(found), axis=0, return_inverse=True)
    text = "".join(f'<m:color color="{_hex(colour / 255.0)}"/>' for colour in distinct)
    return f'<m:colorgroup id="{number}">{text}</m:colorgroup>', places.reshape(-1)


def _items(scene: Any, numbers: dict[str, int], factor: float) -> list[str]:
    """Where each mesh stands: rows of the transposed matrix, as the format has it."""
    found = []
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        if name in numbers:
            matrix = matrix.copy()
            matrix[:3, 3] *= factor
            cells = " ".join(f"{cell:.9g}" for cell in matrix[:3].T.ravel())
            found.append(f'<item objectid="{numbers[name]}" transform="{cells}"/>')
    return found


def paint(scene: Any, content: bytes) -> None:
    """Give each mesh of a scene that trimesh read the colour of its object in the package.

    Objects are known by name, so those that share one stay as they are.
    """
    from trimesh.visual import TextureVisuals  # noqa: PLC0415 - converters come with the first job
    from trimesh.visual.material import PBRMaterial  # noqa: PLC0415 - likewise

    make: Any = PBRMaterial
    look: Any = TextureVisuals
    for name, (label, colour) in _colours_by_object(content).items():
        mesh = scene.geometry.get(name)
        if mesh is not None and hasattr(mesh, "faces"):
            clear = "BLEND" if colour[3] < 255 else None  # noqa: PLR2004 - opaque
            mesh.visual = look(
                material=make(
                    name=label, baseColorFactor=colour, metallicFactor=0.0, alphaMode=clear
                )
            )


def _colours_by_object(content: bytes) -> dict[str, tuple[str, list[int]]]:
    from lxml import etree  # noqa: PLC0415 - converters come with the first job

    found: dict[str, tuple[str, list[int]]] = {}
    names: list[str] = []
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for part in archive.namelist():
            if not part.lower().endswith(".model"):
                continue
            root = etree.fromstring(archive.read(part), parser)
            groups = {
                group.get("id"): [entry for entry in group if entry.get(_key(group))]
                for group in root.iter(f"{{{_CORE}}}basematerials", f"{{{_PAINT}}}colorgroup")
            }
            for thing in root.iter(f"{{{_CORE}}}object"):
                name = thing.get("name") or str(thing.get("id"))
                names.append(name)
                if thing.find(f".//{{{_CORE}}}triangle[@pid]") is not None:
                    continue  # coloured by its triangles
                group, place = groups.get(thing.get("pid"), []), thing.get("pindex") or "0"
                if place.isdigit() and int(place) < len(group):
                    entry = group[int(place)]
                    text = str(entry.get("displaycolor") or entry.get("color"))
                    found[name] = (str(entry.get("name") or text), _bytes(text))
    return {name: look for name, look in found.items() if names.count(name) == 1}


def _key(group: Any) -> str:
    return "color" if str(group.tag).endswith("colorgroup") else "displaycolor"


def _bytes(text: str) -> list[int]:
    """``#RRGGBB`` or ``#RRGGBBAA`` as four numbers; grey when it is neither."""
    if not re.fullmatch("#([0-9a-fA-F]{6}|[0-9a-fA-F]{8})", text):
        return [200, 200, 200, 255]
    return list(bytes.fromhex(text[1:].ljust(8, "f")))
