"""The images that FBX files name, in the binary and the text form.

Imports the standard library's data types only. Invariant: names of images that are embedded are
left out; a record that ends outside its parent ends the search, and nothing large is read.

Format: as described by the Blender Foundation ("FBX binary file format specification"): records of
end offset, number and length of properties, name; 64-bit lengths from version 7500 on.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

MAGIC = b"Kaydara FBX Binary  \x00\x1a\x00"
_WIDE = 7500
_LONGEST = 4096  # bytes of a name
_LINE = re.compile(
    rb'^\s*(?:(?P<kind>Video|Texture)\s*:|RelativeFilename\s*:\s*"(?P<name>[^"]*)"'
    rb'|(?P<content>Content)\s*:\s*,?\s*"?(?P<data>[^"\s]?))',
)


@dataclass(frozen=True, slots=True)
class _Record:
    """One record: its name, where its properties and its children begin, where it ends."""

    name: bytes
    properties: int
    count: int
    children: int
    end: int


def images(stream: IO[bytes]) -> list[str]:
    """The relative names of external images, each once."""
    head = stream.read(27)
    if head[: len(MAGIC)] == MAGIC and len(head) == 27:  # noqa: PLR2004  (magic and version)
        (version,) = struct.unpack_from("<I", head, 23)
        pairs = _binary(stream, wide=version >= _WIDE)
    else:
        stream.seek(0)
        pairs = _text(stream)
    named: dict[str, None] = {}
    embedded: set[str] = set()
    for name, inside in pairs:
        if inside:
            embedded.add(name)
        elif name:
            named[name] = None
    return [name for name in named if name not in embedded]


# ---------------------------------------------------------------- binary
def _binary(stream: IO[bytes], *, wide: bool) -> Iterator[tuple[str, bool]]:
    size = stream.seek(0, 2)  # from the end
    for top in _records(stream, 27, size, wide=wide):
        if top.name == b"Objects":
            for one in _records(stream, top.children, top.end, wide=wide):
                if one.name in (b"Video", b"Texture"):
                    yield _object(stream, one, wide=wide)


def _object(stream: IO[bytes], record: _Record, *, wide: bool) -> tuple[str, bool]:
    """The name that an object gives, and whether it holds the image itself."""
    name, embedded = "", False
    for field in _records(stream, record.children, record.end, wide=wide):
        if field.name == b"RelativeFilename":
            name = _string(stream, field).decode("utf-8", "surrogateescape")
        elif field.name == b"Content":
            embedded = field.count > 0 and field.children - field.properties > 5  # noqa: PLR2004  (type and length alone)
    return name, embedded


def _records(stream: IO[bytes], start: int, end: int, *, wide: bool) -> Iterator[_Record]:
    form = "<QQQB" if wide else "<IIIB"
    length = struct.calcsize(form)
    while start + length <= end:
        stream.seek(start)
        until, count, size, name_length = struct.unpack(form, stream.read(length))
        if not until or until > end or until <= start:
            return
        name = stream.read(name_length)
        properties = start + length + name_length
        yield _Record(name, properties, count, min(properties + size, until), until)
        start = until


def _string(stream: IO[bytes], record: _Record) -> bytes:
    stream.seek(record.properties)
    head = stream.read(5)
    if len(head) < 5 or head[:1] != b"S":  # noqa: PLR2004  (type and length)
        return b""
    (length,) = struct.unpack_from("<I", head, 1)
    return stream.read(length) if length <= _LONGEST else b""


# ---------------------------------------------------------------- text
def _text(stream: IO[bytes]) -> Iterator[tuple[str, bool]]:
    """Line by line; a new object ends the one before it."""
    name, embedded, begun = "", False, False
    for line in iter(lambda: stream.readline(_LONGEST), b""):
        embedded |= begun and line.lstrip().startswith(b'"')
        found = _LINE.match(line)
        begun = found is not None and found["content"] is not None
        if found is None:
            continue
        if found["kind"]:
            yield name, embedded
            name, embedded = "", False
        elif found["name"] is not None:
            name = found["name"].decode("utf-8", "surrogateescape")
        elif found["data"]:
            embedded = True
    yield name, embedded
