"""Image sequences: the number in a frame's name, first and last, and the gaps between.

Imports the standard library's data types only. Invariant: the frame number is the last run of
digits before the extension; names that differ in it alone are one sequence.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

_NUMBER = re.compile(r"(\d+)(?=\D*$)", re.ASCII)
_SPARE = " ._-"


def _split(path: str) -> tuple[str, str, str] | None:
    """Before the number, the number, after it."""
    folder, name = posixpath.split(path)
    stem, extension = posixpath.splitext(name)
    found = _NUMBER.search(stem)
    if found is None:
        return None
    before = posixpath.join(folder, stem[: found.start()])
    return before, found[1], stem[found.end() :] + extension


def number(path: str) -> int | None:
    """The number of a frame; None when the name has none."""
    parts = _split(path)
    return int(parts[1]) if parts is not None else None


def anchor(path: str) -> str:
    """The name of the sequence that a frame belongs to: ``#`` stands for the number."""
    parts = _split(path)
    return f"{parts[0]}#{parts[2]}" if parts is not None else path


def title(path: str) -> str:
    """The name of a sequence without its number: ``shot.exr`` of ``shot.0001.exr``; a sequence of
    bare numbers is called after its folder."""
    parts = _split(path)
    if parts is None:
        return path
    folder, stem = posixpath.split(parts[0])
    kept = stem.rstrip(_SPARE) or posixpath.basename(folder)
    return posixpath.join(folder, kept + parts[2]) if kept else path


def fields(paths: Iterable[str]) -> dict[str, str]:
    """What templates can say of a sequence: ``first``, ``last``, ``count``, and ``frames``, its
    names as printf writes them (``shot.%04d.exr``)."""
    found = {int(parts[1]): parts for path in paths if (parts := _split(path)) is not None}
    if not found:
        return {}
    before, _, behind = found[min(found)]
    widths = {len(parts[1]) for parts in found.values()}
    form = f"%0{min(widths)}d" if len(widths) == 1 and min(widths) > 1 else "%d"
    name = posixpath.basename(before).replace("%", "%%") + form + behind.replace("%", "%%")
    return {
        "first": str(min(found)),
        "last": str(max(found)),
        "count": str(len(found)),
        "frames": name,
    }


FIELDS = frozenset({"first", "last", "count", "frames"})


def gaps(
    found: Mapping[int, str], least: int | None = None, most: int | None = None
) -> tuple[str, ...]:
    """The frames that lack between first and last, as names; neighbours as ``a.0003-0007.exr``.

    ``least`` and ``most`` are the frames that must be there; None: the first and last found.
    """
    low = min(found) if least is None else least
    high = max(found) if most is None else most
    parts = _split(found[min(found)])
    assert parts is not None  # noqa: S101  (frames have numbers)
    width = len(parts[1])
    lacking = []
    start = None
    for frame in (*range(low, high + 1), high + 1):
        if frame <= high and frame not in found:
            start = frame if start is None else start
        elif start is not None:
            span = f"{start:0{width}}" + (f"-{frame - 1:0{width}}" if frame - 1 > start else "")
            lacking.append(f"{posixpath.basename(parts[0])}{span}{parts[2]}")
            start = None
    return tuple(lacking)
