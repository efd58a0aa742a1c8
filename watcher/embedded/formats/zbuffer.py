"""Thumbnails without Mitsuba: a plain z-buffer with flat shading.

Imports ``surfaces`` and ``views``; numpy on first use. Invariant: same cameras and the same
kind of picture as the path tracer (linear, premultiplied): only the look differs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from watcher.embedded.formats.surfaces import Surface
from watcher.embedded.formats.views import FIELD_OF_VIEW, View

_OVERSAMPLE = 2
_GAMMA = 2.2
_SAMPLES = 1 << 21  # pixels tried in one go: some 100 MB


def render(surfaces: list[Surface], camera: View, size: tuple[int, int]) -> Any:
    """One picture: height x width x 4 floats, linear colour, premultiplied alpha."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    width, height = size[0] * _OVERSAMPLE, size[1] * _OVERSAMPLE
    picture = np.zeros((height, width, 4))
    depth = np.full((height, width), np.inf)
    for surface in surfaces:
        points, colours = _project(surface, camera, (width, height)), _shade(surface, camera)
        for some, span in _batches(points, (width, height)):
            _fill(picture, depth, (points[some], colours[some]), span)
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


def _shade(surface: Surface, camera: View) -> Any:
    """One colour per triangle: Lambert's law, light over the left shoulder, both sides lit."""
    import numpy as np  # noqa: PLC0415 - see render

    corners = surface.vertices[surface.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = normal / np.where(length > 0, length, 1.0)
    axes = _axes(camera)
    normal *= np.where((normal @ axes[2])[:, None] < 0, -1.0, 1.0)
    light = np.array([-0.5, 0.6, 0.65]) @ axes
    lit = 0.3 + 0.75 * np.clip(normal @ light, 0, None)
    return _colours(surface) ** _GAMMA * lit[:, None]


def _colours(surface: Surface) -> Any:
    import numpy as np  # noqa: PLC0415 - see render

    if surface.texture is not None:
        pixels = np.asarray(surface.texture, dtype=float) / 255.0
        at = surface.uv[surface.faces].mean(axis=1) % 1.0
        column = (at[:, 0] * pixels.shape[1]).astype(int).clip(0, pixels.shape[1] - 1)
        row = ((1 - at[:, 1]) * pixels.shape[0]).astype(int).clip(0, pixels.shape[0] - 1)
        return pixels[row, column]
    colour = np.asarray(surface.colour, dtype=float)
    if colour.ndim == 2:  # noqa: PLR2004 - one colour per vertex
        return colour[surface.faces].mean(axis=1)
    return np.broadcast_to(colour, (len(surface.faces), 3))


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


def _fill(picture: Any, depth: Any, batch: tuple[Any, Any], span: tuple[int, int]) -> None:
    """Draw triangles where they are nearer than what is there (edge functions, Pineda 1988)."""
    import numpy as np  # noqa: PLC0415 - see render

    corners, colours = batch
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
    depth.ravel()[place[order]] = distance[order]
    picture.reshape(-1, 4)[place[order], :3] = colours[which[order]]
    picture.reshape(-1, 4)[place[order], 3] = 1.0
