"""Where the camera of each thumbnail stands.

Imports numpy on first use. Invariant: every view holds the whole model, with the model's own up
axis pointing up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

FIELD_OF_VIEW = 28.0
_MARGIN = 1.12
_DIRECTIONS = {
    "iso": (1.0, -1.25, 0.85),
    "x": (1.0, 0.0, 0.0),
    "y": (0.0, -1.0, 0.0),
    "z": (0.0, 0.0, 1.0),
}
NAMES = tuple(_DIRECTIONS)


@dataclass(frozen=True)
class View:
    """A camera: where it stands, what it looks at, which way is up; in the model's numbers."""

    origin: tuple[float, ...]
    target: tuple[float, ...]
    up: tuple[float, ...]


def upright(points: Any, up: str) -> Any:
    """The points with z pointing up: models with another axis up are turned."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    if up == "z":
        return points
    if up == "x":
        return points[:, [1, 2, 0]]
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def guess_up(low: Any, high: Any) -> str:
    """The up axis of a model whose format does not tell: z if it stands on the plane z = 0.

    Exporters of OBJ differ. A model that rests on a ground plane gives its up axis away; without
    that hint it is y, as most OBJ writers have it.
    """
    spans = [max(float(b - a), 1e-12) for a, b in zip(low, high, strict=True)]
    lift = [abs(float(a)) / span for a, span in zip(low, spans, strict=True)]
    return "z" if lift[2] < 0.05 <= lift[1] else "y"  # noqa: PLR2004 - 5 % of the height


def view(name: str, points: Any, aspect: float) -> View:
    """The camera ``name`` (iso, x, y, z) that just holds all ``points``.

    Args:
        name: one of ``NAMES``.
        points: n x 3, z up; the corners of the convex hull or of the box are enough.
        aspect: width of the picture over its height.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    away = np.array(_DIRECTIONS[name])
    away /= np.linalg.norm(away)
    up = np.array([0.0, 1.0, 0.0] if name == "z" else [0.0, 0.0, 1.0])
    right = np.cross(up, away)
    right /= np.linalg.norm(right)
    above = np.cross(away, right)
    half = math.tan(math.radians(FIELD_OF_VIEW) / 2) / _MARGIN
    across, upward = half * max(aspect, 1.0), half / min(aspect, 1.0)
    centre, distance = _fit(points, (right, above, away), (across, upward))
    return View(tuple(centre + distance * away), tuple(centre), tuple(up))


def _fit(points: Any, axes: Any, slopes: tuple[float, float]) -> tuple[Any, float]:
    """The centre and distance at which each point lies within the slopes of the picture's edges."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    local = points @ np.stack(axes, axis=1)
    deep = local[:, 2]
    centre = (local.min(axis=0) + local.max(axis=0)) / 2
    distance = -math.inf
    for axis, slope in enumerate(slopes):
        # The two planes through the outermost points meet where a camera would just see them.
        high = (local[:, axis] / slope + deep).max()
        low = (-local[:, axis] / slope + deep).max()
        centre[axis] = (high - low) / 2 * slope
        distance = max(distance, (high + low) / 2)
    span = float(np.linalg.norm(local.max(axis=0) - local.min(axis=0))) or 1.0
    distance = max(distance - centre[2], span * 0.6)
    return np.stack(axes, axis=1) @ centre, distance
