"""Files that speak of others: markers that say "complete", sidecars that say "with these params".

Imports ``fields``, ``globs``, ``settings``. Invariant: a companion is never an arrival of its own;
it belongs to the asset, goes where the asset goes, and is not sent with the job.
"""

from __future__ import annotations

import posixpath
import re

from watcher.core import fields, globs
from watcher.core.bundles import kind, title, top
from watcher.core.settings import Folder, Rule

_SIDECAR = re.compile(r"(.+)\.watch\.(?:ya?ml|json)", re.IGNORECASE | re.DOTALL)
SUFFIXES = (".watch.yaml", ".watch.yml", ".watch.json")
_FIELD = re.compile(r"\{\w+\}")


def of(folder: Folder, path: str) -> str:
    """Why a file is no arrival of its own, in words; empty when it may be one."""
    if sidecar_of(folder, path):
        return f"a sidecar: it belongs to {sidecar_of(folder, path)}"
    for rule in folder.rules:
        if rule.done_file and globs.matches(_shape(rule.done_file), path):
            return f"a marker of rule {rule.name}: it says that another file is complete"
    return ""


def sidecar_of(folder: Folder, path: str) -> str:
    """The path that a sidecar speaks of; empty where no rule takes params from sidecars."""
    found = _SIDECAR.fullmatch(path) if any(rule.allow for rule in folder.rules) else None
    return found[1] if found is not None else ""


def sidecars(rule: Rule, main: str) -> tuple[str, ...]:
    """Where a unit's sidecar may lie: beside the folder, the main file or the sequence."""
    if not rule.allow:
        return ()
    names = dict.fromkeys((title(rule, main), main))
    return tuple(name + suffix for name in names for suffix in SUFFIXES)


def markers(rule: Rule, main: str) -> tuple[str, ...]:
    """Where the marker of a unit may lie, given its main file; a folder's beside it or inside."""
    if not rule.done_file:
        return ()
    named = title(rule, main)
    name = posixpath.basename(named)
    values = {"name": name, "stem": posixpath.splitext(name)[0]}
    text = posixpath.normpath(fields.fill(rule.done_file, values, 0.0))
    places = [posixpath.join(posixpath.dirname(named), text)]
    if kind(rule) == "folder":
        places.append(posixpath.join(top(main), text))
    return tuple(places)


def _shape(done_file: str) -> str:
    """The pattern of a marker's name, wherever it lies."""
    name = posixpath.basename(done_file)
    return _FIELD.sub("*", name)


def problem(done_file: str) -> str:
    """What is wrong with a marker's template, in words."""
    name = posixpath.basename(done_file)
    unknown = set(fields.named(done_file)) - {"name", "stem"}
    if unknown:
        return f"knows {{name}} and {{stem}}, not {{{min(unknown)}}}"
    if not _FIELD.sub("", name).strip("."):
        return "must differ from the file's own name, such as {name}.done"
    if done_file.startswith("/") or ".." in done_file.split("/"):
        return "must lie beside the file or below it"
    return globs.problem(_shape(done_file))
