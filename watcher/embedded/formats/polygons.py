"""Polygons in numbers: rows of text to arrays, faces to triangles, indices held to their bounds.

Imports ``watcher.embedded.script``; numpy on first use. Invariant: an index that leaves its list
fails the job, and every polygon of n corners becomes n - 2 triangles.
"""

from __future__ import annotations

import contextlib
from typing import Any

from watcher.embedded.script import JobFailure


def numbers(rows: list[bytes], what: str, where: str) -> Any:
    """The words of all rows as one flat array of floats.

    Raises:
        JobFailure: a word is no number; the text names the row.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    joined = b" ".join(rows)
    with contextlib.suppress(ValueError, DeprecationWarning):
        found = np.fromstring(joined, dtype=np.float64, sep=" ") if joined.strip() else np.zeros(0)
        if len(found) == sum(len(row.split()) for row in rows):
            return found
    wrong = next((row for row in rows if not _is_numeric(row)), b"")
    shown = wrong.decode("utf-8", "replace").strip()[:60]
    raise JobFailure(f"{what} {shown!r} is not made of numbers", where=where)


def _is_numeric(row: bytes) -> bool:
    try:
        return all(word is not None for word in map(float, row.split()))
    except ValueError:
        return False


def table(rows: list[bytes], what: str, where: str, least: int) -> Any:
    """Rows of numbers as a table; rows longer than the shortest lose their tail.

    Raises:
        JobFailure: a row has fewer than ``least`` numbers, or a word is no number.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    counts = [len(row.split()) for row in rows]
    width = min(counts, default=least)
    if width < least:
        shown = rows[counts.index(width)].decode("utf-8", "replace").strip()[:60]
        raise JobFailure(f"{what} {shown!r} needs {least} numbers", where=where)
    if width != max(counts, default=width):
        rows = [b" ".join(row.split()[:width]) for row in rows]
    return np.reshape(numbers(rows, what, where), (len(rows), width))


def fans(counts: Any) -> Any:
    """Triangles of polygons that stand one after another: m x 3 places in the flat corner list.

    Args:
        counts: the corners of each polygon; those below three give nothing.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    counts = np.asarray(counts, dtype=np.int64)
    starts = np.cumsum(counts) - counts
    each = np.maximum(counts - 2, 0)
    first = np.repeat(starts, each)
    step = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
    return np.stack([first, first + step + 1, first + step + 2], axis=1)


def inside(indices: Any, count: int, what: str, where: str) -> None:
    """Prove that zero-based ``indices`` stay below ``count``.

    Raises:
        JobFailure: one does not; numbers are told as the file counts them, from zero.
    """
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= count):
        wrong = int(indices.max()) if int(indices.max()) >= count else int(indices.min())
        raise JobFailure(
            f"a face refers to {what} {wrong}, and there are {count}",
            where=where,
            fix="export it again from its source",
        )
