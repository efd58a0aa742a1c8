"""A scene as flat arrays that a renderer can take: triangles, colours, textures, dots for points.

Imports ``pixels``, ``places`` and ``views``; numpy, PIL and trimesh on first use. Invariant: z is
up, instances are placed, a surface has a texture with coordinates, a colour per vertex, or one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from watcher.embedded.formats import pixels, places
from watcher.embedded.formats.views import guess_up, upright

PLAIN = (0.62, 0.66, 0.70)
MOST_DOTS = 20_000
_LARGEST_TEXTURE = 2048
_MANY_FINE = 100_000  # triangles; fewer are smoothed sooner than set apart
_ALIKE = 0.866
_MOST_NEIGHBOURS = 16
_BLOCK = 1 << 14  # places reckoned at once: a few MB


@dataclass
class Surface:
    """Triangles of one look.

    Attributes:
        vertices: n x 3 floats.
        faces: m x 3 integers.
        colour: red, green, blue (sRGB, 0 to 1), for the whole or per vertex (n x 3).
        normals: n x 3 floats to shade smoothly, or None for facets.
        uv: n x 2 floats, None without texture.
        texture: a PIL image, None without.
        metallic: 0 to 1.
        roughness: 0 to 1.
        opacity: 0 to 1, for the whole.
        holes: whether the texture's alpha counts.
    """

    vertices: Any
    faces: Any
    colour: Any
    normals: Any = None
    uv: Any = None
    texture: Any = None
    metallic: float = 0.0
    roughness: float = 0.5
    opacity: float = 1.0
    holes: bool = False


def surfaces(scene: Any, up: str, fine: float = 0.0) -> list[Surface]:
    """Every placed mesh, curve and point of a trimesh scene, turned so that z is up.

    Args:
        scene: a trimesh scene.
        up: its up axis (``x``, ``y``, ``z``, ``?``).
        fine: the share of the whole below which a triangle is too small for its edges to be seen.
            Where there are very many of those they stay facets: to smooth them takes longer than to
            draw them.
    """
    axis = guess_up(*scene.bounds) if up == "?" else up
    size = float(scene.scale) or 1.0
    found = []
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        geometry = scene.geometry[name]
        if len(getattr(geometry, "faces", ())):
            found += _mesh(geometry, matrix, axis, fine * size)
        elif len(geometry.vertices):
            found.append(_dots(geometry, matrix, axis, size))
    return found


def _place(points: Any, matrix: Any, axis: str) -> Any:
    return upright(points @ matrix[:3, :3].T + matrix[:3, 3], axis)


def _mesh(mesh: Any, matrix: Any, axis: str, fine: float) -> list[Surface]:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    vertices, faces = np.asarray(mesh.vertices, dtype=float), np.asarray(mesh.faces)
    if np.linalg.det(matrix[:3, :3]) < 0:
        faces = faces[:, ::-1]
    surface = Surface(_place(vertices, matrix, axis), faces, PLAIN)
    _dress(surface, mesh.visual)
    found = _parted(surface, fine)
    if len(found[0].faces):
        _smooth(found[0])
    return [one for one in found if len(one.faces)]


def _parted(surface: Surface, fine: float) -> list[Surface]:
    """The triangles to be smoothed, and the fine ones where there are very many of them."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    if len(surface.faces) < _MANY_FINE:
        return [surface]
    small = np.ones(len(surface.faces), dtype=bool)
    for along in np.ascontiguousarray(surface.vertices.T):
        corners = along[surface.faces]
        small &= corners.max(axis=1) - corners.min(axis=1) < fine
    if np.count_nonzero(small) < _MANY_FINE:
        return [surface]
    return [replace(surface, faces=surface.faces[which]) for which in (~small, small)]


def _dress(surface: Surface, visual: Any) -> None:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    if visual.kind == "texture":
        _dress_material(surface, visual)
    elif visual.kind == "vertex":
        surface.colour = np.asarray(visual.vertex_colors)[:, :3] / 255.0
    elif visual.kind == "face":
        colours = np.asarray(visual.face_colors)[:, :3] / 255.0
        surface.vertices = surface.vertices[surface.faces].reshape(-1, 3)
        surface.colour = np.repeat(colours, 3, axis=0)
        surface.faces = np.arange(len(surface.vertices)).reshape(-1, 3)


def _dress_material(surface: Surface, visual: Any) -> None:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    material = visual.material
    colour = np.asarray(material.main_color, dtype=float)[:3] / 255.0
    if hasattr(material, "baseColorFactor"):
        # glTF states this factor in linear light; colours are sRGB here.
        colour = np.where(colour <= 0.0031308, 12.92 * colour, 1.055 * colour ** (1 / 2.4) - 0.055)  # noqa: PLR2004 - IEC 61966-2-1
    surface.colour = tuple(colour.clip(0.02, 0.95))
    clear = str(getattr(material, "alphaMode", None) or "OPAQUE").upper() != "OPAQUE"
    if clear:
        # what is nearly invisible is still part of the model
        surface.opacity = max(float(np.asarray(material.main_color)[3]) / 255.0, 0.15)
    surface.metallic = float(_number(material, "metallicFactor", 0.0))
    surface.roughness = float(_number(material, "roughnessFactor", 0.5))
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if image is not None and visual.uv is not None and len(visual.uv) == len(surface.vertices):
        surface.holes = clear and pixels.has_alpha(image)
        image = image.convert("RGBA" if surface.holes else "RGB")
        image.thumbnail((_LARGEST_TEXTURE, _LARGEST_TEXTURE))
        surface.texture, surface.uv = image, np.asarray(visual.uv, dtype=float)[:, :2]


def _number(material: Any, name: str, usual: float) -> float:
    value = getattr(material, name, None)
    return usual if value is None else value


def _smooth(surface: Surface) -> None:
    """Split the triangles apart, with a normal at each corner.

    It is the area-weighted mean of the facets at that place that turn by less than 30 degrees from
    the corner's own, so that hard edges stay hard and flat faces flat. Files' own normals are not
    used: too many are missing or wrong.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    corners = surface.vertices[surface.faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    order, starts = _by_place(surface)
    flat = (flat / (np.abs(flat).max() or 1.0)).astype("f4")  # 32 bits suffice for shading
    summed = np.empty((len(order), 3), dtype="f4")
    summed[order] = _mean_of_alike(flat[order // 3], starts)
    surface.normals = _unit(summed)
    index = surface.faces.reshape(-1)
    surface.vertices = surface.vertices[index]
    if surface.uv is not None:
        surface.uv = surface.uv[index]
    if np.ndim(surface.colour) == 2:  # noqa: PLR2004 - one colour per vertex
        surface.colour = np.asarray(surface.colour)[index]
    surface.faces = np.arange(len(index)).reshape(-1, 3)


def _mean_of_alike(flat: Any, starts: Any) -> Any:
    """Per corner, the sum of the facet normals of its place that point nearly its own way.

    Places of equally many corners are reckoned together, as small matrices.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    counts = np.diff(starts, append=len(flat))
    unit, summed = _unit(flat), flat.copy()
    for size in np.unique(counts[(counts > 1) & (counts <= _MOST_NEIGHBOURS)]).tolist():
        begins = starts[counts == size]
        for first in range(0, len(begins), _BLOCK):
            rows = begins[first : first + _BLOCK, None] + np.arange(size)
            some = unit[rows]
            alike = some @ some.transpose(0, 2, 1) > _ALIKE
            summed[rows] = alike.astype("f4") @ flat[rows]
    crowded = counts > _MOST_NEIGHBOURS
    if crowded.any():
        _add_neighbours(summed, flat, unit, (starts[crowded], counts[crowded]))
    return summed


def _add_neighbours(summed: Any, flat: Any, unit: Any, crowds: tuple[Any, Any]) -> None:
    """The same for places of very many corners, each with its next ones only."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    starts, counts = crowds
    size, first = np.repeat(counts, counts), np.repeat(starts, counts)
    at = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    own = first + at
    for step in range(1, _MOST_NEIGHBOURS):
        partner = first + (at + step) % size
        alike = np.einsum("ij,ij->i", unit[own], unit[partner]) > _ALIKE
        summed[own[alike]] += flat[partner[alike]]


def _unit(vectors: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)


def _by_place(surface: Surface) -> tuple[Any, Any]:
    """The corners sorted so that those at one place stand together, and where each place starts."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    words, keys = places.bits(surface.vertices)
    index = surface.faces.reshape(-1)
    order = np.argsort(keys[index])
    return order, places.starts(words[index[order]])


def _dots(geometry: Any, matrix: Any, axis: str, size: float) -> Surface:
    """Points (and the points of curves) as small balls, fewer and smaller when many."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job
    import trimesh  # noqa: PLC0415 - likewise

    points = _place(np.asarray(geometry.vertices, dtype=float), matrix, axis)
    step = max(1, len(points) // MOST_DOTS)
    colours = np.asarray(getattr(geometry, "colors", ()))
    points = points[::step]
    radius = size * min(max(0.35 / max(len(points), 1) ** 0.5, 0.0025), 0.03)
    level = 2 if len(points) < 500 else 0  # noqa: PLR2004 - few dots are seen as balls
    ball = trimesh.creation.icosphere(subdivisions=level, radius=radius)
    each = len(ball.vertices)
    vertices = (points[:, None, :] + ball.vertices[None]).reshape(-1, 3)
    offsets = np.arange(len(points))[:, None, None] * each
    surface = Surface(vertices, (ball.faces[None] + offsets).reshape(-1, 3), PLAIN)
    if colours.ndim == 2 and len(colours) == len(geometry.vertices):  # noqa: PLR2004 - n x 4
        surface.colour = np.repeat(colours[::step, :3] / 255.0, each, axis=0)
    return surface
