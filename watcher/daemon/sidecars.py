"""Reads sidecars: a few parameters of one asset, in YAML or JSON.

Imports PyYAML and ``core``. Invariant: at most 64 KiB are read, and only what the rule allows
comes out; everything else is a fault in words.
"""

from __future__ import annotations

from typing import Any

import yaml

from watcher.core.allowed import violations
from watcher.core.model import printable
from watcher.core.ports import Files
from watcher.core.settings import Folder, Rule

LARGEST = 64 << 10
_SHOWN = 5  # faults told of one sidecar


def read(files: Files, folder: Folder, rule: Rule, path: str) -> tuple[dict[str, Any], str]:
    """The parameters of a sidecar, and what is wrong with it (then there are none)."""
    if not path:
        return {}, ""
    with files.open(folder.input, path) as stream:
        content = stream.read(LARGEST + 1)
    called = f"sidecar {printable(path)}"
    try:
        given = _mapping(content)
    except ValueError as error:
        return {}, f"{called} {error}"
    faults = list(violations(rule.allow, given))[:_SHOWN]
    return ({}, f"{called}: {'; '.join(faults)}") if faults else (given, "")


def _mapping(content: bytes) -> dict[str, Any]:
    """What a sidecar holds. Raises ``ValueError`` in words."""
    if len(content) > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 10} KiB")
    try:
        given = yaml.safe_load(content.decode("utf-8-sig"))  # JSON is YAML
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise ValueError(f"cannot be read as YAML or JSON{line}") from error
    if given is not None and not isinstance(given, dict):
        raise ValueError("must hold parameters as `key: value`")
    return given or {}
