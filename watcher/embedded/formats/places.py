"""Points that lie at one place, found by their exact bits.

Imports nothing of ours; numpy on first use. Invariant: no two places are ever taken as one,
however their hashes fall.
"""

from __future__ import annotations

from typing import Any

_MIXED = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)  # odd, bits at random


def bits(points: Any) -> tuple[Any, Any]:
    """What points are compared by.

    Args:
        points: n x 3 floats, of which 32 bits count; 0 and -0 are one.

    Returns:
        The n x 3 bits of the coordinates, and n numbers of 64 bits to sort them by.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    words = np.ascontiguousarray(points.astype("f4") + np.float32(0)).view(np.uint32)
    keys = words[:, 0] * np.uint64(_MIXED[0])
    keys += words[:, 1] * np.uint64(_MIXED[1])
    keys += words[:, 2] * np.uint64(_MIXED[2])
    return words, keys


def starts(ordered: Any) -> Any:
    """Where each place starts in sorted bits (n x 3)."""
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    changes = np.empty(len(ordered), dtype=bool)
    changes[:1] = True
    np.any(ordered[1:] != ordered[:-1], axis=1, out=changes[1:])
    return np.flatnonzero(changes)


def welded(points: Any) -> tuple[Any, Any]:
    """The places of points in the order of their first appearance, and the place of each point.

    Two places whose hashes are alike may leave one of them in several rows: the shape is the same.

    Args:
        points: n x 3 floats of 32 bits.

    Returns:
        m x 3 floats, and n integers below m.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    words, keys = bits(points)
    order = np.argsort(keys)
    begins = starts(words[order])
    firsts = np.minimum.reduceat(order, begins) if len(order) else order
    appear = np.argsort(firsts)
    number = np.empty(len(firsts), dtype=np.int64)
    number[appear] = np.arange(len(firsts))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.repeat(number, np.diff(begins, append=len(order)))
    return points[firsts[appear]], place
