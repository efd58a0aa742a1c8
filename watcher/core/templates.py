"""Path templates of ``deliver``: what they may say, and their expansion inside a root.

Imports the standard library's data types, ``fields`` and ``errors``. Invariant: ``expand`` gives a
relative path without empty, ``.`` or ``..`` components, whatever the names in it are.
"""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import lru_cache
from string import Formatter

from watcher.core import fields
from watcher.errors import NameTooLong, OutsideRoot

FIELDS: dict[str, str] = {
    "name": "the source's file name",
    "stem": "its name without the last extension",
    "parent": "its folder below the input, `.` at the top",
    "relpath": "its path below the input",
    "hash": "xxh3_128 of its content, 32 hex digits",
    "date": "when it was accepted, as strftime writes it: {date:%Y-%m-%d}",
    "version": "its arrival under this path, 1 for the first; {version:03} pads it",
    "output": "the output's path below the job's outputs",
    "output_stem": "the output's file name without extension",
    "ext": "the output's extension without the dot",
    "rule": "the rule's name",
    "job": "the job's label",
}
OF_OUTPUTS = frozenset({"output", "output_stem", "ext"})
_PARENT = "\1"  # while a template is judged
_DIRECTIVE = re.compile(r"%[aAbBdeFGHIjmMpSuUVwWyYzZ%]")
LONGEST = 255  # bytes of one component, on every Linux file system in use


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The values of the fields for one output.

    ``path`` is the source below its input, ``output`` the output below its job's outputs, ``at``
    the wall time of acceptance, shown in ``zone`` (None: this machine's). ``groups`` are what the
    named groups of the rule's regex found. ``folder``: the source is a folder, whose dots are no
    extension.
    """

    path: str
    output: str
    rule: str
    job: str
    digest: str
    at: float
    zone: tzinfo | None = None
    version: int = 1
    folder: bool = False
    groups: Mapping[str, str] = field(default_factory=dict)


def default_template(*, single: bool) -> str:
    """The template where the rule has none; ``single``: one job that made one output."""
    return "{parent}/{stem}.{ext}" if single else "{parent}/{name}/{output}"


def problems(template: str, groups: Collection[str] = ()) -> tuple[str, ...]:
    """All that is wrong with a template, in words; nothing when it can be used. ``groups`` are the
    named groups of the rule's regex, which are fields as well."""
    try:
        pieces = _pieces(template)
    except ValueError as error:
        return (f"{error} (double a brace that stands for itself)",)
    found = [_field_problem(field, spec, groups) for _, field, spec in pieces if field is not None]
    path = "".join(text + _stand_in(field, spec) for text, field, spec in pieces)
    last = path.rpartition("/")[2]
    told = "it names a folder; end it with a file name" if last == _PARENT else _path_problem(path)
    return tuple(problem for problem in (*found, told) if problem)


def _stand_in(field: str | None, spec: str) -> str:
    """What stands for a field while the shape of the path is judged."""
    if field == "date":
        return f"x{spec}"  # its own text may hold slashes
    return {None: "", "parent": _PARENT}.get(field, "x")


def _field_problem(field: str, spec: str, groups: Collection[str]) -> str:
    known = [*FIELDS, *groups]
    if field not in known:
        near = difflib.get_close_matches(field, known, n=1)
        hint = f"did you mean {{{near[0]}}}?" if near else f"known: {' '.join(known)}"
        return f"unknown field {{{field}}}; {hint}"
    if field == "version" and spec and not spec.isdecimal():
        return "{version} takes a number of digits, such as {version:03}"
    if spec and field not in {"date", "version"}:
        return f"{{{field}}} takes no format; only {{date:...}} and {{version:03}} do"
    if field == "date" and (unknown := _DIRECTIVE.sub("", spec).partition("%"))[1]:
        return f"{{date:{spec}}} has an unknown directive %{unknown[2][:1]}"
    if "{" in spec:
        return f"{{{field}:{spec}}} has a field inside a field"
    return ""


def _path_problem(path: str) -> str:
    if not path.strip("/."):
        return "it names no file" if ".." not in path else "it leads out of the output folder"
    if path.startswith("/"):
        return "it must be relative to the output folder"
    if ".." in path.split("/"):
        return "it leads out of the output folder"
    if path.endswith("/"):
        return "it names a folder; end it with a file name such as {name}"
    return "it holds a NUL character" if "\0" in path else ""


@lru_cache(maxsize=1024)  # a template comes again with each of its rule's files
def _pieces(template: str) -> tuple[tuple[str, str | None, str], ...]:
    """(literal, field, format) in order. Raises ``ValueError`` for unbalanced braces."""
    return tuple(
        # a conversion such as ``!r`` is left in the name, so that it is an unknown field
        (text, f"{field}!{conversion}" if conversion else field, spec or "")
        for text, field, spec, conversion in Formatter().parse(template)
    )


def expand(template: str, names: Names) -> str:
    """The path below the output folder for one output.

    Raises:
        OutsideRoot: a value leads out of the folder, or nothing is left of the path.
        NameTooLong: a component has more than 255 bytes.
        ValueError, KeyError: the template has ``problems``, which loading refuses.
    """
    text = ""
    values = _values(names)
    for literal, name, spec in _pieces(template):
        text += literal
        if name == "date":
            text += fields.dated(spec, names.at, names.zone)
        elif name == "version":
            text += fields.numbered(spec, values[name])
        elif name is not None:
            # an output without an extension does not end in a dot
            text = text.removesuffix(".") if name == "ext" and not values[name] else text
            text += values[name]
    return _inside(text)


def source_fields(names: Names) -> dict[str, str]:
    """The values of all fields that speak of the source, its rule and its job; no date."""
    return {name: text for name, text in _values(names).items() if name not in OF_OUTPUTS}


def suffixed(path: str, suffix: str) -> str:
    """A path with ``suffix`` after its last component, which is cut where the two would be longer
    than a file system takes; a mark of the whole name then keeps cut names apart."""
    parent, slash, name = path.rpartition("/")
    if _bytes(name) + _bytes(suffix) <= LONGEST:
        return path + suffix
    raw = name.encode("utf-8", "surrogateescape")
    mark = f"~{zlib.crc32(raw):08x}{suffix}"
    kept = raw[: max(0, LONGEST - _bytes(mark))]
    if raw[len(kept)] & 0xC0 == 0x80:  # noqa: PLR2004  (UTF-8: never cut inside a character)
        kept = kept.rstrip(bytes(range(0x80, 0xC0)))[:-1]
    return parent + slash + kept.decode("utf-8", "surrogateescape") + mark


def numbered(path: str, number: int) -> str:
    """A path with a number before its extension: ``a (2).glb``."""
    parent, slash, name = path.rpartition("/")
    stem, extension = _split(name)
    end = f".{extension}" if extension else ""
    if _bytes(end) > LONGEST // 2:  # no extension that anybody goes by
        stem, end = name, ""
    return suffixed(parent + slash + stem, f" ({number}){end}")


def _values(names: Names) -> dict[str, str]:
    parent, _, name = names.path.rpartition("/")
    output = names.output.rpartition("/")[2]
    return {
        **names.groups,
        "name": name,
        "stem": name if names.folder else _split(name)[0],
        "parent": parent or ".",
        "relpath": names.path,
        "hash": names.digest,
        "output": names.output,
        "output_stem": _split(output)[0],
        "ext": _split(output)[1],
        "rule": names.rule,
        "job": names.job,
        "version": str(names.version),
    }


def _split(name: str) -> tuple[str, str]:
    """Stem and extension without its dot; leading and trailing dots belong to the
    stem, so that a file passed on keeps its name."""
    stem, dot, extension = name.rpartition(".")
    return (stem, extension) if dot and extension.strip() and stem.strip(".") else (name, "")


def _inside(text: str) -> str:
    """Prove a path lexically inside its root, in its shortest form."""
    components = [c for c in text.split("/") if c not in {"", "."}]
    if text.startswith("/") or ".." in components or "\0" in text:
        raise OutsideRoot("the name leads out of the output folder", where=repr(text))
    if not components:
        raise OutsideRoot("nothing is left of the name", where=repr(text))
    for component in components:
        length = _bytes(component)
        if length > LONGEST:
            raise NameTooLong(
                f"a name of {length} bytes, {LONGEST} fit the file system", where=repr(text)
            )
    return "/".join(components)


def _bytes(component: str) -> int:
    try:
        return len(component.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise OutsideRoot("the name is not valid Unicode", where=repr(component)) from None
