"""Thumbnails and the small preview of a model.

Imports this package's modules; numpy, PIL and the renderers on first use. Invariant: a picture is
always made: where Mitsuba cannot be imported, the z-buffer draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from watcher.embedded.formats import pathtrace, zbuffer
from watcher.embedded.formats.surfaces import Surface, surfaces
from watcher.embedded.formats.views import NAMES, View, view
from watcher.embedded.formats.write import glb_of

Draw = Callable[[View, tuple[int, int], int], Any]
PREVIEW_TRIANGLES = 500_000
TRANSPARENT = "transparent"
PLAIN = "drawn plainly: Mitsuba cannot be loaded; install it, and the system library libatomic1"
_MOST_CORNERS = 20_000
_FEW = 80  # blocks of so many corners give no more than that together


def draw_all(
    scene: Any,
    up: str,
    folder: Path,
    *,
    size: tuple[int, int],
    samples: int,
    background: str,
    warn: Callable[[str], None],
) -> Iterator[tuple[str, str]]:
    """Write ``iso.png``, ``x.png``, ``y.png`` and ``z.png``; gives each (view, file) when done.

    Args:
        scene: a trimesh scene.
        up: its up axis (``x``, ``y``, ``z``, ``?``).
        folder: where the pictures go.
        size: width and height in pixels.
        samples: light paths per pixel of iso, half as many elsewhere; 0 draws by z-buffer.
        background: ``#rrggbb`` or ``transparent``.
        warn: told when the pictures are plainer than they could be.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    shown = surfaces(scene, up, fine=1 / max(size))
    _centre(shown)
    corners = np.concatenate([surface.vertices for surface in shown])
    corners = _outline(corners)
    draw = renderer(shown, samples, warn)
    for name in NAMES:
        share = samples if name == "iso" else (samples + 1) // 2
        picture = draw(view(name, corners, size[0] / size[1]), size, share)
        _save(picture, folder / f"{name}.png", background)
        yield name, f"{name}.png"


def renderer(shown: list[Surface], samples: int, warn: Callable[[str], None]) -> Draw:
    """The path tracer, or the z-buffer where Mitsuba is missing or ``samples`` is 0."""

    def plain(camera: View, size: tuple[int, int], _samples: int) -> Any:
        return zbuffer.render(shown, camera, size)

    def traced(camera: View, size: tuple[int, int], share: int) -> Any:
        return pathtrace.render(staged, camera, size, share)

    if not samples:
        return plain
    try:
        staged = pathtrace.stage(shown)
    except ImportError:
        warn(PLAIN)
        return plain
    return traced


def _centre(shown: list[Surface]) -> None:
    """Move and scale everything to about one unit around the origin.

    Renderers count in 32 bits: a small part far away from the origin would dissolve.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    low = np.min([surface.vertices.min(axis=0) for surface in shown], axis=0)
    high = np.max([surface.vertices.max(axis=0) for surface in shown], axis=0)
    size = float(np.linalg.norm(high - low)) or 1.0
    for surface in shown:
        surface.vertices = (surface.vertices - (low + high) / 2) / size


def _outline(points: Any) -> Any:
    """Enough points to fit a camera to: all of them, or the extremes of each block of them along
    many directions."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    if len(points) <= _MOST_CORNERS:
        return points
    directions = np.random.default_rng(1).normal(size=(60, 3)).astype("f4")
    found = []
    for start in range(0, len(points), _MOST_CORNERS):
        some = points[start : start + _MOST_CORNERS]
        reach = directions @ some.T.astype("f4")
        found.append(some[np.unique([reach.argmax(axis=1), reach.argmin(axis=1)])])
    return _outline(np.concatenate(found)) if len(found) > _FEW else np.concatenate(found)


def _save(picture: Any, path: Path, background: str) -> None:
    """Over the background, in sRGB; highlights are rolled off instead of cut."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job
    from PIL import Image, ImageColor  # noqa: PLC0415 - likewise

    alpha = picture[..., 3:4].clip(0, 1)
    light = np.nan_to_num(picture[..., :3]).clip(0, None)
    light = light / np.where(alpha > 0, alpha, 1)
    light = np.where(light > 0.7, 0.7 + 0.3 * np.tanh((light - 0.7) / 0.3), light)  # noqa: PLR2004
    colour = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)  # noqa: PLR2004 - IEC 61966-2-1
    if background == TRANSPARENT:
        pixels = np.concatenate([colour, alpha], axis=2)
    else:
        behind = np.array(ImageColor.getrgb(background)[:3]) / 255.0
        pixels = colour * alpha + behind * (1 - alpha)
    Image.fromarray((pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8)).save(path)


def preview(scene: Any, metres: float, up: str = "y") -> bytes:
    """A GLB of at most 500 000 triangles, with ``up`` turned to y.

    A scene above that is decimated mesh by mesh, each by the same share; decimated meshes keep
    their plain colour and lose textures.
    """
    placed = [scene.geometry[scene.graph[node][1]] for node in scene.graph.nodes_geometry]
    total = sum(len(getattr(part, "faces", ())) for part in placed)
    if total > PREVIEW_TRIANGLES:
        scene = scene.copy()
        for name, part in list(scene.geometry.items()):
            if len(getattr(part, "faces", ())):
                scene.geometry[name] = _decimated(part, 1 - PREVIEW_TRIANGLES / total)
    return glb_of(scene, metres, up)


def _decimated(mesh: Any, reduction: float) -> Any:
    import fast_simplification  # noqa: PLC0415 - only for models above the limit
    import trimesh  # noqa: PLC0415 - converters come with the first job

    points, faces = fast_simplification.simplify(
        mesh.vertices, mesh.faces, target_reduction=reduction
    )
    colour = getattr(getattr(mesh.visual, "material", None), "main_color", None)
    colours = None if colour is None else [colour] * len(faces)
    return trimesh.Trimesh(points, faces, face_colors=colours, process=False)
