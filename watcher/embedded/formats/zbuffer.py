"""Thumbnails without Mitsuba: a plain z-buffer.

Imports ``surfaces`` and ``views``; numpy on first use. Invariant: same cameras and the same
kind of picture as the path tracer (linear, premultiplied): only the look differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from watcher.embedded.formats.surfaces import Surface
from watcher.embedded.formats.views import FIELD_OF_VIEW, View

_OVERSAMPLE = 2
_GAMMA = 2.2
_SHEEN = 0.02  # what even black throws back
_SAMPLES = 1 << 21  # pixels tried in one go: some 100 MB


def render(surfaces: list[Surface], camera: View, size: tuple[int, int]) -> Any:
    """One picture: height x width x 4 floats, linear colour, premultiplied alpha."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    width, height = size[0] * _OVERSAMPLE, size[1] * _OVERSAMPLE
    picture = np.zeros((height, width, 4))
    depth = np.full((height, width), np.inf)
    for surface in surfaces:
        points, light = _project(surface, camera, (width, height)), _light(surface, camera)
        paint = _paint(surface)
        for some, span in _batches(points, (width, height)):
            _fill(picture, depth, (points[some], light[some], some), span, paint)
    blocks = picture.reshape(size[1], _OVERSAMPLE, size[0], _OVERSAMPLE, 4)
    return blocks.mean(axis=(1, 3))


def _axes(camera: View) -> Any:
    import numpy as np  # noqa: PLC0415 - see render

    away = np.array(camera.origin) - np.array(camera.target)
    away /= np.linalg.norm(away)
    right = np.cross(camera.up, away)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(away, right), away])


def _project(surface: Surface, camera: View, size: tuple[int, int]) -> Any:
    """Triangle corners as x, y in pixels and depth; the far ones first do not matter."""
    import numpy as np  # noqa: PLC0415 - see render

    local = (surface.vertices - np.array(camera.origin)) @ _axes(camera).T
    scale = min(size) / 2 / math.tan(math.radians(FIELD_OF_VIEW) / 2)
    deep = np.maximum(-local[:, 2], 1e-9)
    x = size[0] / 2 + local[:, 0] / deep * scale
    y = size[1] / 2 - local[:, 1] / deep * scale
    return np.stack([x, y, deep], axis=1)[surface.faces]


def _light(surface: Surface, camera: View) -> Any:
    """Light at each corner: Lambert's law, light over the left shoulder, both sides lit."""
    import numpy as np  # noqa: PLC0415 - see render

    corners = surface.vertices[surface.faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    flat = flat / np.where(length > 0, length, 1.0)
    axes = _axes(camera)
    normal = np.repeat(flat[:, None], 3, axis=1)
    if surface.normals is not None:
        normal = surface.normals[surface.faces]
    away = (flat @ axes[2] < 0)[:, None, None]
    normal = np.where(away, -normal, normal)
    return 0.3 + 0.75 * np.clip(normal @ (np.array([-0.5, 0.6, 0.65]) @ axes), 0, None)


def _paint(surface: Surface) -> Callable[[Any, Any], Any]:
    """A function from triangles and places in them (k, and k x 3 shares) to k x 4 colours."""
    import numpy as np  # noqa: PLC0415 - see render

    if surface.texture is not None:
        pixels = np.asarray(surface.texture.convert("RGBA"), dtype=np.uint8)
        high, wide = pixels.shape[:2]

        def textured(which: Any, shares: Any) -> Any:
            at = (surface.uv[surface.faces[which]] * shares[:, :, None]).sum(axis=1) % 1.0
            column = (at[:, 0] * wide).astype(int).clip(0, wide - 1)
            row = ((1 - at[:, 1]) * high).astype(int).clip(0, high - 1)
            return pixels[row, column] / 255.0

        return textured
    colour = np.asarray(surface.colour, dtype=float)

    def coloured(which: Any, shares: Any) -> Any:
        if colour.ndim == 1:
            rgb = np.broadcast_to(colour, (len(which), 3))
        else:
            rgb = (colour[surface.faces[which]] * shares[:, :, None]).sum(axis=1)
        return np.concatenate([rgb, np.ones((len(which), 1))], axis=1)

    return coloured


def _batches(points: Any, size: tuple[int, int]) -> Iterator[tuple[Any, tuple[int, int]]]:
    """Triangles on the picture in batches of like span (powers of two, in pixels)."""
    import numpy as np  # noqa: PLC0415 - see render

    low, high = points[:, :, :2].min(axis=1), points[:, :, :2].max(axis=1)
    shown = ((high > 0) & (low < size)).all(axis=1)
    extent = np.minimum(high, size) - np.maximum(low, 0) + 2
    powers = np.ceil(np.log2(np.maximum(extent, 1))).astype(int)
    powers[~shown] = -1
    for across, down in {tuple(pair) for pair in np.unique(powers, axis=0).tolist()} - {(-1, -1)}:
        alike = np.flatnonzero((powers == (across, down)).all(axis=1))
        step = max(1, _SAMPLES >> (across + down))
        for start in range(0, len(alike), step):
            yield alike[start : start + step], (1 << across, 1 << down)


def _fill(
    picture: Any,
    depth: Any,
    batch: tuple[Any, Any, Any],
    span: tuple[int, int],
    paint: Callable[[Any, Any], Any],
) -> None:
    """Draw triangles where they are nearer than what is there (edge functions, Pineda 1988)."""
    import numpy as np  # noqa: PLC0415 - see render

    corners, light, numbers = batch
    height, width = depth.shape
    low = np.floor(corners[:, :, :2].min(axis=1)).clip(0)
    column = low[:, 0, None, None] + np.arange(span[0])[None, None, :]
    row = low[:, 1, None, None] + np.arange(span[1])[None, :, None]
    ax, ay, az, bx, by, bz, cx, cy, cz = (c[:, None, None] for c in corners.reshape(-1, 9).T)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    area = np.where(area == 0, np.inf, area)  # seen from its edge: nowhere
    x, y = column + 0.5, row + 0.5
    v = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
    w = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
    u = 1 - v - w
    near = u * az + v * bz + w * cz
    inside = (u >= 0) & (v >= 0) & (w >= 0) & np.isfinite(area) & (column < width) & (row < height)
    which, down, right = np.nonzero(inside)
    place = (low[which, 1].astype(int) + down) * width + low[which, 0].astype(int) + right
    distance = near[inside]
    nearer = np.flatnonzero(distance < depth.ravel()[place])
    order = nearer[np.argsort(-distance[nearer], kind="stable")]  # the nearest is written last
    shares = np.stack([u[inside][order], v[inside][order], w[inside][order]], axis=1)
    colour = paint(numbers[which[order]], shares)
    solid = colour[:, 3] > 0.5  # noqa: PLR2004 - holes are holes, there are no half tones here
    order, colour, shares = order[solid], colour[solid], shares[solid]
    lit = (light[which[order]] * shares).sum(axis=1, keepdims=True)
    depth.ravel()[place[order]] = distance[order]
    flat = picture.reshape(-1, 4)
    flat[place[order], :3] = (colour[:, :3] ** _GAMMA + _SHEEN) * lit
    flat[place[order], 3] = 1.0
