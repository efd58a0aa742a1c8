"""STEP and IGES through OpenCASCADE (cascadio).

Imports the standard library and ``checks``; cascadio on first use. Invariant: what comes out is GLB
in metres, whatever unit the file states.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Callable
from typing import Any, Literal

from watcher.embedded.formats.checks import AGAIN
from watcher.embedded.script import JobFailure

FINENESS = 0.001
_LOOK_AT = 64 << 20
_ANGLE = 0.35
_NO_MEMORY = 3
_POINT = re.compile(
    rb"CARTESIAN_POINT\s*\(\s*'[^']*'\s*,\s*\(\s*([-+.\dEe]+)\s*,\s*([-+.\dEe]+)\s*,\s*([-+.\dEe]+)"
)
_METRE = re.compile(rb"SI_UNIT\s*\(\s*(\.MILLI\.|\.CENTI\.|\$)\s*,\s*\.METRE\.\s*\)")
_INCH = re.compile(rb"CONVERSION_BASED_UNIT\s*\(\s*'INCH'", re.IGNORECASE)
_PLACE = re.compile(r"=>\[[\d:]+\]")
_MILLIMETRES = {b".MILLI.": 1.0, b".CENTI.": 10.0, b"$": 1000.0}


def tolerance(content: bytes) -> float:
    """The chord tolerance in millimetres: a thousandth of the diagonal of the file's points.

    Files whose points cannot be seen in their text (IGES) get OpenCASCADE's usual 0.1 mm.
    """
    points = _POINT.findall(content[:_LOOK_AT])
    if not points:
        return 0.1
    spans = []
    for axis in zip(*points, strict=True):
        numbers = [float(word) for word in axis]
        spans.append(max(numbers) - min(numbers))
    return max(math.hypot(*spans) * millimetres(content) * FINENESS, 1e-4)


def millimetres(content: bytes) -> float:
    """How many millimetres the length unit of a STEP file has; 1 when it states none."""
    if _INCH.search(content):
        return 25.4
    found = _METRE.search(content)
    return _MILLIMETRES[found[1]] if found else 1.0


def to_glb(content: bytes, kind: Literal["step", "iges"], name: str) -> bytes:
    """GLB of a STEP or IGES file (``kind`` says which), with names and colours as far as they go.

    Raises:
        JobFailure: OpenCASCADE cannot read it.
    """
    import cascadio  # noqa: PLC0415 - 60 MB of OpenCASCADE: only for jobs that need it

    fine = tolerance(content)
    result = _apart(
        lambda: cascadio.load(content, file_type=kind, tol_linear=fine, tol_angular=_ANGLE), name
    )
    if not result:
        raise JobFailure(
            f"OpenCASCADE finds no readable {kind.upper()} geometry in it",
            where=name,
            fix=f"{AGAIN}, or export it again",
        )
    return bytes(result)


def _apart(work: Callable[[], bytes], name: str) -> bytes:
    """The result of ``work`` done in a fork: OpenCASCADE crashes on some damaged files.

    Raises:
        JobFailure: the fork crashed.
        MemoryError: it needed too much.
    """
    source, sink = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it runs nothing but OpenCASCADE
        pid = os.fork()
    if not pid:
        _work(work, source, sink)
    os.close(sink)
    with os.fdopen(source, "rb") as stream:
        result = stream.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == _NO_MEMORY:
        raise MemoryError
    if code:
        raise JobFailure("OpenCASCADE crashed on it: the file seems damaged", where=name, fix=AGAIN)
    return result


def _work(work: Callable[[], bytes], source: int, sink: int) -> None:
    """In the fork: do it, hand the result over, end."""
    code = 1
    try:
        os.close(source)
        with os.fdopen(sink, "wb") as stream:
            stream.write(work() or b"")
        code = 0
    except MemoryError:
        code = _NO_MEMORY
    finally:
        os._exit(code)


def name_parts(tree: dict[str, Any]) -> bool:
    """Give parts that OpenCASCADE named by their place (``=>[0:1:1:2]``) the name of their mesh.

    Returns:
        Whether there were any.
    """
    nodes, meshes = tree.get("nodes", []), tree.get("meshes", [])
    nameless = [node for node in nodes if _PLACE.fullmatch(str(node.get("name", "")))]
    for node in nameless:
        inner = [node, *(nodes[at] for at in node.get("children", []))]
        found = [meshes[part["mesh"]].get("name") for part in inner if "mesh" in part]
        node["name"] = str(found[0]) if found and found[0] else "part"
    return bool(nameless)
