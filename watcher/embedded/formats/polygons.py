"""Polygons in numbers: rows of text to arrays, faces to triangles, indices held to their bounds.

Imports ``watcher.embedded.script``; numpy on first use. Invariant: an index that leaves its list
fails the job, and every polygon of n corners becomes n - 2 triangles.
"""

from __future__ import annotations

import contextlib
from typing import Any

from watcher.embedded.script import JobFailure

_BLANK = tuple(b"\n\t\v\f\r ")  # as ``bytes.split`` has it


def counts(rows: list[bytes]) -> Any:
    """The number of words of each row.

    Args:
        rows: pieces of text of one row or more.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    if not rows:
        return np.zeros(0, dtype=np.int64)
    text = np.frombuffer(b"\n".join([b"", *rows, b""]), dtype=np.uint8)
    kinds = np.zeros(256, dtype=bool)
    kinds[list(_BLANK)] = True
    blank = kinds[text]
    ends = np.flatnonzero(text == _BLANK[0])
    return np.add.reduceat(blank[:-1] & ~blank[1:], ends[:-1], dtype=np.int64)


def numbers(rows: list[bytes], what: str, where: str) -> Any:
    """The words of all rows as one flat array of floats.

    Args:
        rows: pieces of text of one row or more.
        what: what a row is, for the reason of a failure.
        where: the name of the file, likewise.

    Raises:
        JobFailure: a word is no number; the text names the row.
    """
    return _numbers(rows, int(counts(rows).sum()), what, where)


def _numbers(rows: list[bytes], count: int, what: str, where: str) -> Any:
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    joined = b"\n".join(rows)
    with contextlib.suppress(ValueError, DeprecationWarning):
        found = np.fromstring(joined, dtype=np.float64, sep=" ") if count else np.zeros(0)
        if len(found) == count:
            return found
    wrong = next((row for row in joined.split(b"\n") if not _is_numeric(row)), b"")
    shown = wrong.decode("utf-8", "replace").strip()[:60]
    raise JobFailure(f"{what} {shown!r} is not made of numbers", where=where)


def _is_numeric(row: bytes) -> bool:
    try:
        return all(word is not None for word in map(float, row.split()))
    except ValueError:
        return False


def table(rows: list[bytes], what: str, where: str, least: int) -> Any:
    """Rows of numbers as a table; rows longer than the shortest lose their tail.

    Args:
        rows: pieces of text of one row or more.
        what: what a row is, for the reason of a failure.
        where: the name of the file, likewise.
        least: the numbers that a row must have.

    Raises:
        JobFailure: a row has fewer than ``least`` numbers, or a word is no number.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    words = counts(rows)
    width = int(words.min()) if len(words) else least
    if width < least:
        short = b"\n".join(rows).split(b"\n")[int(words.argmin())]
        shown = short.decode("utf-8", "replace").strip()[:60]
        raise JobFailure(f"{what} {shown!r} needs {least} numbers", where=where)
    if (words != width).any():
        rows = [b" ".join(row.split()[:width]) for row in b"\n".join(rows).split(b"\n")]
    return np.reshape(_numbers(rows, len(words) * width, what, where), (len(words), width))


def fans(corners: Any) -> Any:
    """Triangles of polygons that stand one after another: m x 3 places in the flat corner list.

    Args:
        corners: how many each polygon has; those below three give nothing.
    """
    import numpy as np  # noqa: PLC0415 - converters come with the first job

    corners = np.asarray(corners, dtype=np.int64)
    starts = np.cumsum(corners) - corners
    each = np.maximum(corners - 2, 0)
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
