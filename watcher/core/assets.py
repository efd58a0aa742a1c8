"""Which files belong together: the names that OBJ, MTL, glTF, GLB, DAE and FBX files call for.

Imports ``fbx``, ``xmlnames`` and the standard library's data types. Invariant: a name that comes
out as a reference is relative, uses ``/``, and stays inside the main file's folder; every other
name is only told.

Formats: Wavefront OBJ and MTL specifications (B1 and 5.0, with the common PBR additions), glTF 2.0
sections 3.6.1, 3.8 and 4.4 (Khronos Group).
"""

from __future__ import annotations

import json
import posixpath
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Any
from urllib.parse import unquote

from watcher.core import fbx, xmlnames

_MTLLIB = re.compile(rb"^[ \t]*mtllib[ \t]+(.*)$", re.MULTILINE | re.IGNORECASE)
_CONTINUED = re.compile(rb"\\\r?\n")
_LIBRARIES = re.compile(r'"([^"]+)"|(\S.*?\.mtl)(?=\s|$)|(\S.*)', re.IGNORECASE)
# ``map_aat`` is an option of the material and no file
_MAP = re.compile(r"(?:map_(?!aat\b)\w+|bump|disp|decal|refl|norm)\s+(.*)", re.IGNORECASE)
_WORD = re.compile(r"\S+")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SINGLE = frozenset(
    [
        "-blendu",
        "-blendv",
        "-bm",
        "-boost",
        "-cc",
        "-clamp",
        "-colorspace",
        "-imfchan",
        "-texres",
        "-type",
    ]
)
_VECTORS = frozenset({"-o", "-s", "-t"})  # one to three numbers
_IMAGES = ("png", "jpg", "jpeg", "tga", "bmp", "tif", "tiff", "dds", "ktx", "ktx2", "webp", "gif")
PARTS = frozenset(("mtl", "bin", *_IMAGES, "exr", "hdr", "psd"))
_LEAST = {b"v": 3, b"vn": 3, b"vt": 1, b"f": 3, b"l": 2, b"p": 1}


@dataclass(frozen=True, slots=True)
class Limits:
    """How many bytes are held at most: one read, one line (a longer one is a comment to us), and
    the JSON of a glTF file."""

    chunk: int = 1 << 20
    longest_line: int = 1 << 20
    largest_json: int = 128 << 20


LIMITS = Limits()


class Kind(StrEnum):
    """What a referenced file is to the one that names it."""

    MATERIAL = "material"
    TEXTURE = "texture"
    BUFFER = "buffer"
    PART = "part"


@dataclass(frozen=True, slots=True)
class Reference:
    """A name as a file uses it, with ``/``, relative to that file's folder.

    ``guessed``: the file gave a name elsewhere; this is what it would be called beside it.
    """

    name: str
    kind: Kind
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class Findings:
    """What one file says: the names it needs and what is wrong with it, as sentences.

    ``cut``: it ends within a record, so that its list of names proves nothing.
    """

    references: tuple[Reference, ...] = ()
    warnings: tuple[str, ...] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Closure:
    """Everything a main file needs. ``found`` maps each name, relative to the main file's folder,
    to the path of the file; ``missing`` are the names without a file."""

    found: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    cut: bool = False  # the main file itself ends within a record


def has_references(name: str) -> bool:
    """Whether files of this name may call for others."""
    return _suffix(name) in _READERS


def may_be_part(name: str) -> bool:
    """Whether files of this name are what others call for: materials, textures, buffers."""
    return _suffix(name) in PARTS


def references(name: str, stream: IO[bytes], limits: Limits = LIMITS) -> Findings:
    """The names that a file calls for, read from its bytes in flat memory (glTF: its JSON)."""
    reader = _READERS.get(_suffix(name))
    return reader(stream, limits) if reader is not None else Findings()


def looks_cut_short(tail: bytes) -> bool:
    """Whether an OBJ file that ends with these bytes ends within a record (``f 33``)."""
    if tail.endswith((b"\n", b"\r")):
        return False
    words = tail.rpartition(b"\n")[2].split()
    if not words:
        return False
    least = _LEAST.get(words[0].lower(), 0)
    return len(words) - 1 < least or (bool(least) and words[-1].endswith((b"/", b"-", b"e")))


def closure(
    main: str,
    read: Callable[[str], Findings],
    find: Callable[[str, str], str | None],
) -> Closure:
    """Follow the references of ``main`` and of what they name, each file once.

    Args:
        main: the main file's path.
        read: the findings of a path.
        find: the path of a name as seen from a directory, or None.
    """
    directory = posixpath.dirname(main)
    found: dict[str, str] = {}
    missing: dict[str, None] = {}
    warnings: dict[str, None] = {}
    todo = [("", main)]
    cut = False
    while todo:
        base, path = todo.pop()
        findings = read(path)
        cut = cut or findings.cut
        warnings.update(dict.fromkeys(findings.warnings))
        for reference in findings.references:
            name = posixpath.normpath(posixpath.join(posixpath.dirname(base), reference.name))
            if name in found or name in missing:
                continue
            if _outside(name):
                warnings[_leads_out(name)] = None
            elif (part := _spelled(find, directory, name)) is None:
                missing |= {} if reference.guessed else {name: None}
            elif part != main:
                found[name] = part
                todo.append((name, part))
    return Closure(found, tuple(missing), tuple(warnings), cut)


def _spelled(find: Callable[[str, str], str | None], directory: str, name: str) -> str | None:
    """A name as exporters write it: as it is, percent-encoded, or in Latin-1."""
    spellings = [name, unquote(name)]
    raw = name.encode("utf-8", "surrogateescape")
    spellings += [raw.decode("latin-1")] if "\udc80" <= max(name, default="") <= "\udcff" else []
    found = (find(directory, one) for one in dict.fromkeys(spellings) if "\0" not in one)
    return next((path for path in found if path is not None), None)


# ---------------------------------------------------------------- formats
def _obj(stream: IO[bytes], limits: Limits) -> Findings:
    names: list[str] = []
    tail = b""
    for block, complete in _blocks(stream, limits):
        tail = block if not complete else tail
        # one letter is looked for ten times as fast as a word, and numbers hold no m
        if (b"m" in block and b"mtllib" in block) or (b"M" in block and b"MTLLIB" in block):
            for line in _MTLLIB.findall(_CONTINUED.sub(b" ", block)):
                names += _libraries(_text(line))
    found = _named(names, Kind.MATERIAL)
    if not looks_cut_short(tail):
        return found
    return Findings(found.references, (*found.warnings, "the OBJ file looks cut short"), cut=True)


def _blocks(stream: IO[bytes], limits: Limits) -> Iterator[tuple[bytes, bool]]:
    """Blocks of whole lines, then the last line if it has no newline (False)."""
    carry = b""
    while chunk := stream.read(limits.chunk):
        block = carry + chunk
        cut = _line_end(block)
        carry = block[cut:]
        if len(carry) > limits.longest_line:
            carry = b"#"  # no record is that long: the rest of the line is a comment to us
        if cut:
            yield block[:cut], True
    if carry:
        yield carry, False


def _line_end(block: bytes) -> int:
    """Where the last line that no backslash continues ends."""
    cut = block.rfind(b"\n") + 1
    while cut and block.endswith((b"\\\n", b"\\\r\n"), 0, cut):
        cut = block.rfind(b"\n", 0, cut - 1) + 1
    return cut


def _libraries(rest: str) -> list[str]:
    """The names behind ``mtllib``: several, quoted, or one with spaces."""
    return [next(filter(None, match.groups())).strip() for match in _LIBRARIES.finditer(rest)]


def _mtl(stream: IO[bytes], limits: Limits) -> Findings:
    names = []
    for block, _ in _blocks(stream, limits):
        for line in _text(_CONTINUED.sub(b" ", block)).splitlines():
            match = _MAP.match(line.strip())
            if match is not None and (name := _texture(match[1])):
                names.append(name)
    return _named(names, Kind.TEXTURE)


def _texture(rest: str) -> str:
    """The file name behind the options of a map statement; it may hold spaces."""
    words = [(match[0], match.start()) for match in _WORD.finditer(rest)]
    at = 0
    while at < len(words) and words[at][0].startswith("-"):
        taken = _arguments([word for word, _ in words[at:]])
        if not taken:
            break
        at += taken
    return rest[words[at][1] :].strip().strip('"') if at < len(words) else ""


def _arguments(words: list[str]) -> int:
    """How many words the option at the head takes, itself included; 0 for no option."""
    option = words[0].lower()
    if option in _SINGLE:
        return 2
    if option == "-mm":
        return 3
    if option not in _VECTORS:
        return 0
    taken = 1
    while taken <= 3 and taken < len(words) - 1 and _NUMBER.fullmatch(words[taken]):  # noqa: PLR2004  (u, v, w)
        taken += 1
    return taken


def _gltf(stream: IO[bytes], limits: Limits) -> Findings:
    content = stream.read(limits.largest_json + 1)
    if len(content) > limits.largest_json:
        return Findings(warnings=("the glTF file is too large to look for its parts",))
    return _gltf_json(content)


def _glb(stream: IO[bytes], limits: Limits) -> Findings:
    head = stream.read(20)
    if len(head) < 20 or head[:4] != b"glTF" or head[16:] != b"JSON":  # noqa: PLR2004  (GLB header)
        return Findings(warnings=("the GLB file has no valid header",))
    (length,) = struct.unpack_from("<I", head, 12)
    return _gltf_json(stream.read(min(length, limits.largest_json)))


def _gltf_json(content: bytes) -> Findings:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return Findings(warnings=("the glTF JSON cannot be read: it may be cut short",))
    buffers = _named(_uris(document, "buffers"), Kind.BUFFER)
    images = _named(_uris(document, "images"), Kind.TEXTURE)
    return Findings(buffers.references + images.references, buffers.warnings + images.warnings)


def _uris(document: Any, key: str) -> list[str]:
    """The external names in one array of a glTF document; nothing in it is trusted."""
    items = document.get(key) if isinstance(document, dict) else None
    uris = [item.get("uri") for item in items or () if isinstance(item, dict)]
    return [
        unquote(uri) for uri in uris if isinstance(uri, str) and uri and uri[:5].lower() != "data:"
    ]


_READERS: dict[str, Callable[[IO[bytes], Limits], Findings]] = {
    "obj": _obj,
    "mtl": _mtl,
    "gltf": _gltf,
    "glb": _glb,
    "dae": lambda stream, _: _named(xmlnames.dae(stream), Kind.TEXTURE, beside=True),
    "3dxml": lambda stream, _: _named(xmlnames.plain_3dxml(stream), Kind.PART),
    "fbx": lambda stream, _: _named(fbx.images(stream), Kind.TEXTURE, beside=True),
}


# ---------------------------------------------------------------- names
def _named(names: Iterable[str], kind: Kind, *, beside: bool = False) -> Findings:
    """Sort names into references and warnings, each once; ``beside``: a name elsewhere may lie
    beside the file as well, since exports carry the paths of the machine they were made on."""
    good: dict[str, Reference] = {}
    bad: dict[str, None] = {}
    for raw in names:
        name = posixpath.normpath(raw.replace("\\", "/"))
        if "\0" in name:
            bad[_leads_out(raw)] = None
        elif beside and (_absolute(name) or _outside(name)):
            base = posixpath.basename(name)
            good.setdefault(base, Reference(base, kind, guessed=True))
        elif _absolute(name):
            bad[_leads_out(raw)] = None
        elif name not in (".", ".."):
            good[name] = Reference(name, kind)
    good = {name: one for name, one in good.items() if name not in ("", "..")}
    return Findings(tuple(good.values()), tuple(bad))


def _absolute(name: str) -> bool:
    return name.startswith("/") or _SCHEME.match(name) is not None


def _outside(name: str) -> bool:
    return name == ".." or name.startswith("../")


def _leads_out(name: str) -> str:
    return f"{name!r} is no name inside the file's folder: it is not followed"


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape").rstrip("\r\n \t")


def _suffix(name: str) -> str:
    return name.rpartition(".")[2].lower()
