"""Which formats there are, and which one a file is.

Imports the standard library and ``watcher.embedded.script``. Invariant: pure; a file is taken for
what its first bytes say whenever they say it beyond doubt, and a name that lies is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from watcher.embedded.script import JobFailure


@dataclass(frozen=True)
class Format:
    """One input format.

    Attributes:
        name: the extension that stands for it, without dot.
        title: what people call it.
        engine: who reads it: ``gltf``, ``mesh`` (trimesh), ``cad`` (OpenCASCADE) or ``assimp``.
        up: the axis that points up in what its reader gives, ``y`` or ``z``; ``?`` when exporters
            differ. Assimp turns what it reads so that y is up.
    """

    name: str
    title: str
    engine: str
    up: str


@dataclass(frozen=True)
class Sample:
    """What a check may know of a file: its name, its size in bytes, its first and last bytes."""

    name: str
    size: int
    head: bytes
    tail: bytes


FORMATS = {
    "glb": Format("glb", "GLB", "gltf", "y"),
    "gltf": Format("gltf", "glTF", "gltf", "y"),
    "obj": Format("obj", "OBJ", "mesh", "?"),
    "stl": Format("stl", "STL", "mesh", "z"),
    "ply": Format("ply", "PLY", "mesh", "z"),
    "off": Format("off", "OFF", "mesh", "z"),
    "3mf": Format("3mf", "3MF", "mesh", "z"),
    "dae": Format("dae", "COLLADA", "mesh", "y"),
    "step": Format("step", "STEP", "cad", "z"),
    "iges": Format("iges", "IGES", "cad", "z"),
    "fbx": Format("fbx", "FBX", "assimp", "y"),
    "3ds": Format("3ds", "3DS", "assimp", "y"),
    "x3d": Format("x3d", "X3D", "assimp", "y"),
    "ifc": Format("ifc", "IFC", "assimp", "y"),
    "3dxml": Format("3dxml", "3DXML", "mesh", "z"),
    "xyz": Format("xyz", "XYZ", "mesh", "z"),
}
ALIASES = {"stp": "step", "igs": "iges"}
PIXYZ_ONLY = {
    "pxz": "Pixyz",
    "catpart": "CATIA",
    "catproduct": "CATIA",
    "cgr": "CATIA",
    "prt": "NX or Creo",
    "asm": "Creo or Solid Edge",
    "neu": "Creo",
    "xas": "Creo",
    "xpr": "Creo",
    "jt": "JT",
    "sldprt": "SolidWorks",
    "sldasm": "SolidWorks",
    "par": "Solid Edge",
    "psm": "Solid Edge",
    "ipt": "Inventor",
    "iam": "Inventor",
    "x_t": "Parasolid",
    "x_b": "Parasolid",
    "sat": "ACIS",
    "sab": "ACIS",
    "vda": "VDA-FS",
    "model": "CATIA V4",
    "session": "CATIA V4",
    "rvt": "Revit",
    "dwg": "AutoCAD",
    "3dm": "Rhino",
    "e57": "E57",
    "csb": "CSB",
}
_MODEL_MAGICS = (
    (re.compile(rb"glTF"), "glb"),
    (re.compile(rb"ISO-10303-21\s*;.{0,8000}FILE_SCHEMA\s*\(\s*\(\s*'IFC", re.DOTALL), "ifc"),
    (re.compile(rb"ISO-10303-21\s*;"), "step"),
    (re.compile(rb"Kaydara FBX Binary"), "fbx"),
    (re.compile(rb"ply\r?\n\s*format"), "ply"),
    (re.compile(rb"<(\?xml.{0,2000}?)?<?COLLADA[\s>]", re.DOTALL), "dae"),
    (re.compile(rb"<(\?xml.{0,2000}?)?<?X3D[\s>]", re.DOTALL), "x3d"),
)
_ALIEN_MAGICS = (
    (re.compile(rb"\x89PNG"), "a PNG image"),
    (re.compile(rb"\xff\xd8\xff"), "a JPEG image"),
    (re.compile(rb"GIF8"), "a GIF image"),
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"(?is)(<!--.{0,500}?-->\s*)?<(!doctype\s+html|html)"), "a web page"),
    (re.compile(rb"\x1f\x8b"), "a gzip archive"),
    (re.compile(rb"7z\xbc\xaf"), "a 7-Zip archive"),
    (re.compile(rb"Rar!"), "a RAR archive"),
    (re.compile(rb"\x7fELF|MZ"), "a program"),
    (re.compile(rb"SQLite format 3"), "a database"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive"),
)
_ZIPPED = {"3mf", "3dxml"}
_OPENINGS = {
    "glb": rb"glTF",
    "3mf": rb"PK\x03\x04",
    "3dxml": rb"PK\x03\x04",
    "ply": rb"ply\s",
    "fbx": rb"Kaydara FBX Binary|;|FBXHeader",
    "3ds": rb"MM",
    "gltf": rb"\{",
    "dae": rb"<",
    "x3d": rb"<",
    "step": rb"(/\*.{0,4000}?\*/\s*)*ISO-10303-21\s*;",
    "off": rb"(#[^\n]*\n\s*)*(ST)?C?N?4?n?OFF\b",
}


def extension(name: str) -> str:
    """The extension of a file name in lower case, without Creo's version number (``.prt.7``)."""
    stem = re.sub(r"(\.(?:prt|asm|neu))\.\d+$", r"\1", name.lower())
    return stem.rpartition(".")[2] if "." in stem else ""


def opening(head: bytes) -> bytes:
    """The first bytes without the byte order mark and white space that text may begin with."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()


def content(head: bytes) -> str:
    """What the first bytes are beyond doubt: a format's name, or words for what is no model."""
    start = opening(head)
    for magic, name in (*_MODEL_MAGICS, *_ALIEN_MAGICS):
        if magic.match(start):
            return name
    return ""


def identify(sample: Sample) -> Format:
    """The format of a file, from its extension and its first bytes.

    Raises:
        JobFailure: empty, named for what it is not, unknown, or of a format that needs Pixyz.
    """
    name = ALIASES.get(extension(sample.name), extension(sample.name))
    if name in PIXYZ_ONLY:
        raise _pixyz_only(sample.name, name)
    if not sample.size:
        raise JobFailure(
            "the file is empty (0 bytes)", where=sample.name, fix="copy it again from its source"
        )
    known = FORMATS.get(name)
    if known is None:
        return _by_content(sample)
    _refuse_misnamed(sample, known)
    return known


def _pixyz_only(where: str, name: str) -> JobFailure:
    return JobFailure(
        f"{PIXYZ_ONLY[name]} files (.{name}) cannot be read by the embedded scheduler",
        where=where,
        fix="a Pixyz Scheduler can: set scheduler.url to one, or export the model as STEP",
    )


def _by_content(sample: Sample) -> Format:
    found = content(sample.head)
    if found in FORMATS:
        return FORMATS[found]
    holds = f"it holds {found}" if found else "its content is not one of them either"
    raise JobFailure(
        f"no model format is known by this name, and {holds}",
        where=sample.name,
        fix="give it the extension of its format: " + ", ".join([*FORMATS, *ALIASES]),
    )


def _refuse_misnamed(sample: Sample, known: Format) -> None:
    found = content(sample.head)
    if found == known.name or (known.name in _ZIPPED and found == "a ZIP archive"):
        return
    if not found and re.match(_OPENINGS.get(known.name, b""), opening(sample.head), re.DOTALL):
        return
    if found in FORMATS:
        article = f"a {FORMATS[found].title} model"
    else:
        article = found or f"something that does not begin like {known.title}"
    raise JobFailure(
        f"the name says {known.title}, but the file holds {article}",
        where=sample.name,
        fix="drop the right file, or give it the extension of what it is",
    )
