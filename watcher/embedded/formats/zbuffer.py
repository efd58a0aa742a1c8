"""Thumbnails without Mitsuba: a plain z-buffer with flat shading.

Imports ``surfaces`` and ``views``; numpy on first use. Invariant: same cameras and the same
kind of picture as the path tracer (linear, premultiplied): only the look differs.
"""

from __future__ import annotations

import math
from typing import Any

from watcher.embedded.formats.surfaces import Surface
from watcher.embedded.formats.views import FIELD_OF_VIEW, View

_OVERSAMPLE = 2
_GAMMA = 2.2


def render(surfaces: list[Surface], camera: View, size: tuple[int, int]) -> Any:
    """One picture: height x width x 4 floats, linear colour, premultiplied alpha."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    width, height = size[0] * _OVERSAMPLE, size[1] * _OVERSAMPLE
    picture = np.zeros((height, width, 4))
    depth = np.full((height, width), np.inf)
    for surface in surfaces:
        points, colours = _project(surface, camera, (width, height)), _shade(surface, camera)
        for corners, colour in zip(points, colours, strict=True):
            _fill(picture, depth, corners, colour)
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


def _fill(picture: Any, depth: Any, corners: Any, colour: Any) -> None:
    """Draw one triangle where it is nearer than what is there (edge functions, Pineda 1988)."""
    import numpy as np  # noqa: PLC0415 - see render

    height, width = depth.shape
    low = np.floor(corners[:, :2].min(axis=0)).astype(int).clip(0, (width, height))
    high = np.ceil(corners[:, :2].max(axis=0)).astype(int).clip(0, (width, height))
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if (high <= low).any() or area == 0:
        return
    x = np.arange(low[0], high[0])[None, :] + 0.5
    y = np.arange(low[1], high[1])[:, None] + 0.5
    v = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
    w = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
    u = 1 - v - w
    here = (slice(low[1], high[1]), slice(low[0], high[0]))
    near = u * az + v * bz + w * cz
    seen = (u >= 0) & (v >= 0) & (w >= 0) & (near < depth[here])
    depth[here][seen] = near[seen]
    picture[here][seen] = (*colour, 1.0)
