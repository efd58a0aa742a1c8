"""Is a file whole? The promises of each format, held against size, first and last bytes.

Imports the standard library, ``kinds`` and ``watcher.embedded.script``. Invariant: pure, and
nothing is ever allocated for a count that a file merely declares.

Formats: STL 84 + 50 n bytes (binary) or ``endsolid`` (ASCII); PLY header counts; OFF counts on its
first line (Geomview); GLB 12-byte header (glTF 2.0, 4.4); STEP ISO 10303-21; IGES 5.3 ``T`` record.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable

from watcher.embedded.formats.kinds import Format, Sample
from watcher.embedded.script import JobFailure

AGAIN = "copy it again from its source"
STL_HEADER = 84
_STL_TRIANGLE = 50
_IGES_RECORD = 73
_PLY_BYTES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "int32", "uint32", "float", "float32"), 4),
    **dict.fromkeys(("double", "float64"), 8),
}


def cut_short(name: str, promise: str) -> JobFailure:
    """The failure of a file that ends too early: ``promise`` tells what it said and what it has."""
    return JobFailure(f"the copy seems cut short: {promise}", where=name, fix=AGAIN)


def check(sample: Sample, known: Format) -> None:
    """Hold a file against its format.

    Raises:
        JobFailure: it breaks a promise of its format; the text names the promise.
    """
    test = _CHECKS.get(known.name)
    if test is not None:
        test(sample)


def stl(sample: Sample) -> None:
    """Binary: 84 + 50 n bytes for n triangles. ASCII: the last words are ``endsolid``."""
    if is_binary_stl(sample.head, sample.size):
        return
    if is_ascii_stl(sample.head):
        if b"endsolid" not in sample.tail.lower():
            raise cut_short(sample.name, "ASCII STL ends with 'endsolid', and this file does not")
        return
    if sample.size < STL_HEADER:
        raise cut_short(sample.name, f"binary STL has 84 bytes at least, this has {sample.size}")
    count = _stl_count(sample.head)
    held = (sample.size - STL_HEADER) // _STL_TRIANGLE
    promise = f"the file promises {count} triangles and holds {held}"
    if held < count:
        raise cut_short(sample.name, promise)
    if held == count and count:
        return  # a few bytes of the exporter's own stand behind the last triangle
    if not count:
        raise JobFailure("the STL file holds no triangles", where=sample.name, fix=AGAIN)
    raise JobFailure(f"the STL file is damaged: {promise}", where=sample.name, fix=AGAIN)


def is_ascii_stl(head: bytes) -> bool:
    """ASCII STL begins with ``solid`` and has no zero byte in its text."""
    return head.lstrip()[:5].lower() == b"solid" and b"\0" not in head[:512]


def is_binary_stl(head: bytes, size: int) -> bool:
    """Whether the size is that of as many triangles as the header promises."""
    count = _stl_count(head)
    return count > 0 and size == STL_HEADER + _STL_TRIANGLE * count


def _stl_count(head: bytes) -> int:
    if len(head) < STL_HEADER:
        return 0
    (count,) = struct.unpack_from("<I", head, 80)
    return int(count)


def ply(sample: Sample) -> None:
    """The elements that the header declares must fit into the bytes behind it."""
    header, mark, _ = sample.head.partition(b"end_header")
    if not mark:
        raise cut_short(sample.name, "the PLY header has no 'end_header'")
    room = sample.size - len(header) - len(mark)  # the last row may lack its line end
    binary = b"ascii" not in header.splitlines()[1]
    for name, count, smallest in ply_elements(header, binary=binary, where=sample.name):
        held = room // smallest
        if count > held:
            raise cut_short(
                sample.name,
                f"the file promises {count} elements '{name}' and has room for at most {held}",
            )
        room -= count * smallest


def ply_elements(header: bytes, *, binary: bool, where: str) -> list[tuple[str, int, int]]:
    """Name, count and smallest size in bytes of each element that a PLY header declares."""
    elements: list[tuple[str, int, int]] = []
    for line in header.decode("latin-1").splitlines():
        words = line.split()
        if words[:1] == ["element"]:
            elements.append((words[1], _number(words[-1], where), 0))
        elif words[:1] == ["property"] and elements:
            name, count, size = elements[-1]
            elements[-1] = (name, count, size + _ply_property(words, binary=binary, where=where))
    return [(name, count, max(size, 1)) for name, count, size in elements]


def _number(word: str, where: str) -> int:
    if not word.isdigit():
        raise JobFailure(f"the header counts '{word[:40]}', not a number", where=where, fix=AGAIN)
    return int(word)


def _ply_property(words: list[str], *, binary: bool, where: str) -> int:
    sizes = [_PLY_BYTES.get(word, 0) for word in words[1:-1] if word != "list"]
    if not sizes or 0 in sizes:
        raise JobFailure(f"unknown PLY property '{' '.join(words)[:60]}'", where=where, fix=AGAIN)
    is_face_list = words[1] == "list" and words[-1] in {"vertex_indices", "vertex_index"}
    if not binary:
        return 2  # a digit and what ends it
    if words[1] == "list":
        return sizes[0] + (3 * sizes[-1] if is_face_list else 0)
    return sizes[0]


def rows_of_ply(sample: Sample, lines: Iterable[bytes]) -> None:
    """An ASCII PLY has as many rows behind its header as its counts add up to."""
    header = sample.head.partition(b"end_header")[0]
    counts = ply_elements(header, binary=False, where=sample.name)
    promised = sum(count for _, count, _ in counts)
    rows = iter(lines)
    for line in rows:
        if line.strip() == b"end_header":
            break
    held = sum(1 for line in rows if line.strip())
    if held < promised:
        raise cut_short(sample.name, f"the file promises {promised} rows and holds {held}")


def rows_of_off(sample: Sample, lines: Iterable[bytes]) -> None:
    """OFF declares vertices and faces at its start: one row each must follow."""
    rows = (row for line in lines if (row := line.partition(b"#")[0].strip()))
    words = re.sub(rb"^\w*OFF", b"", next(rows, b"")).split() or next(rows, b"").split()
    if len(words) < 2:  # noqa: PLR2004 - vertices and faces; the edge count is often left out
        raise cut_short(sample.name, "the counts of vertices and faces are missing")
    vertices, faces = (_number(word.decode("latin-1"), sample.name) for word in words[:2])
    _room_for_rows(sample, vertices + faces)
    rest = sum(1 for _ in rows)
    if rest < vertices + faces:
        noun, promised, held = "faces", faces, rest - vertices
        if held < 0:
            noun, promised, held = "vertices", vertices, rest
        raise cut_short(sample.name, f"the file promises {promised} {noun} and holds {held}")


def _room_for_rows(sample: Sample, rows: int) -> None:
    if rows * 2 > sample.size:
        promise = f"the file promises {rows} rows, more than its {sample.size} bytes can hold"
        raise cut_short(sample.name, promise)


def glb(sample: Sample) -> None:
    """The header's total length is the file's size, and the version is 2."""
    if len(sample.head) < 20:  # noqa: PLR2004 - file header (12) and chunk header (8)
        raise cut_short(sample.name, f"GLB has at least 20 bytes, and this has {sample.size}")
    version, length = struct.unpack_from("<II", sample.head, 4)
    if version != 2:  # noqa: PLR2004 - version 1 was never a standard
        raise JobFailure(
            f"it is glTF version {version}, and version 2 is needed", where=sample.name
        )
    if length > sample.size:
        raise cut_short(sample.name, f"the file promises {length} bytes and holds {sample.size}")


def step(sample: Sample) -> None:
    """The exchange structure closes with ``END-ISO-10303-21;``."""
    if b"END-ISO-10303-21" not in sample.tail:
        promise = "STEP and IFC end with 'END-ISO-10303-21;', and this file does not"
        raise cut_short(sample.name, promise)


def iges(sample: Sample) -> None:
    """The last record has ``T`` in column 73."""
    last = sample.tail.rstrip().splitlines()[-1:] or [b""]
    if last[0][_IGES_RECORD - 1 : _IGES_RECORD] != b"T":
        raise cut_short(sample.name, "IGES ends with a record marked T, and this file does not")


def collada(sample: Sample) -> None:
    """The document closes its root element."""
    _closed(sample, b"COLLADA")


def x3d(sample: Sample) -> None:
    """The document closes its root element."""
    _closed(sample, b"X3D")


def _closed(sample: Sample, root: bytes) -> None:
    if b"</" + root not in sample.tail:
        name = root.decode()
        raise cut_short(sample.name, f"the document ends with '</{name}>', and this does not")


def unfinished_obj(tail: bytes) -> bool:
    """Whether the last line of an OBJ file stops amid its words.

    Only a hint, since OBJ counts nothing: fewer numbers than the statement needs, or a face corner
    with fewer parts than the corner before it.
    """
    if tail.endswith((b"\n", b"\r")):
        return False
    words = (tail.splitlines() or [b""])[-1].split()
    if not words:
        return False
    needed = {b"v": 3, b"vn": 3, b"vt": 2, b"f": 3}.get(words[0], 0)
    corners_differ = words[0] == b"f" and words[-1].count(b"/") < words[1].count(b"/")
    return len(words) - 1 < needed or corners_differ or words[-1].endswith((b"/", b"-"))


_CHECKS: dict[str, Callable[[Sample], None]] = {
    "stl": stl,
    "ply": ply,
    "glb": glb,
    "step": step,
    "ifc": step,
    "iges": iges,
    "dae": collada,
    "x3d": x3d,
}
