"""The files that COLLADA and plain 3DXML documents name.

Imports the standard library's data types only. Invariant: the text is searched as it streams by;
only the part that lists images is held, up to a limit, and nothing in it is trusted.

Formats: COLLADA 1.4.1 and 1.5.0 (Khronos; ``library_images``), 3D XML (Dassault; names as URN).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO
from urllib.parse import unquote

_BLOCK = 1 << 20
_LARGEST = 64 << 20  # bytes of one list of images
_IMAGES = (b"<library_images", b"</library_images")
_FROM = re.compile(rb"<init_from[^>]*>\s*(?:<ref[^>]*>)?([^<]*?)\s*<", re.DOTALL)
_URN = re.compile(rb"associatedFile\s*=\s*[\"'](?:urn:3DXML:)?([^\"']+)[\"']")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}
_FILE = re.compile(r"file:(?://(?:localhost)?)?(?=[^/]|/)", re.IGNORECASE)
_OVERLAP = 4096


def dae(stream: IO[bytes]) -> list[str]:
    """The image files of a COLLADA document."""
    return [name for part in _between(stream, *_IMAGES) for name in _names(_FROM, part)]


def plain_3dxml(stream: IO[bytes]) -> list[str]:
    """The representations that a 3DXML document without an archive names; an archive holds its
    own."""
    head = stream.read(4)
    if head.startswith(b"PK"):
        return []
    found: dict[str, None] = {}
    carry = head
    while chunk := stream.read(_BLOCK):
        text = carry + chunk
        found.update(dict.fromkeys(_names(_URN, text)))
        carry = text[-_OVERLAP:]
    found.update(dict.fromkeys(_names(_URN, carry)))
    return [name for name in found if not name.startswith(("#", "urn:"))]


def _between(stream: IO[bytes], start: bytes, end: bytes) -> Iterator[bytes]:
    """The stretches of a stream from ``start`` to ``end``."""
    text, inside = b"", False
    while chunk := stream.read(_BLOCK):
        text += chunk
        while True:
            at = text.find(end if inside else start)
            if at < 0:
                break
            if inside:
                yield text[:at]
            text, inside = text[at + 1 :], not inside
        if not inside:
            text = text[-len(start) :]
        elif len(text) > _LARGEST:
            return
    if inside:
        yield text


def _names(pattern: re.Pattern[bytes], text: bytes) -> Iterator[str]:
    for found in pattern.findall(text):
        name = found.decode("utf-8", "surrogateescape").strip()
        for entity, char in _ENTITIES.items():
            name = name.replace(entity, char)
        if name and not name.lower().startswith(("data:", "http:", "https:")):
            yield unquote(_FILE.sub("", name, count=1))
