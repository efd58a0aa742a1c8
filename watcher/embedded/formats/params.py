"""The params of a job.

Imports the standard library and ``watcher.embedded.script``. Invariant: a value of a wrong type
fails the job and names what would be right; a key that means nothing is a warning, since rules may
share their params with processes of the real scheduler. Nothing is ignored in silence.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable
from typing import Any

from watcher.embedded.script import JobFailure

_SHOWN = 60
_COLOUR = re.compile("#([0-9a-fA-F]{3}){1,2}")
_NAME = re.compile(r"[^\\/:*?\"<>|\x00-\x1f]{1,120}")


class Params:
    """Typed access to the params of one job.

    Args:
        given: what the job was sent; None counts as empty.
        valid: every key that the process knows.
        warn: told of each key that is not in ``valid``.

    Raises:
        JobFailure: not an object.
    """

    def __init__(self, given: Any, valid: tuple[str, ...], warn: Callable[[str], None]) -> None:
        if given is not None and not isinstance(given, dict):
            raise JobFailure(f"params must be an object such as {{}}, not {_short(given)}")
        self._given: dict[str, Any] = given or {}
        for key in self._given:
            if key not in valid:
                hint = _hint(key, valid)
                warn(f"the parameter {_short(key)} is not known and was ignored; {hint}")

    def number(self, key: str, usual: float, most: float) -> float:
        """A number from 0 to ``most``."""
        value = self._given.get(key, usual)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise JobFailure(f"{key} must be a number from 0 to {most:g}, not {_short(value)}")
        return value

    def whole(self, key: str, usual: int, limits: tuple[int, int]) -> int:
        """A whole number within ``limits``, both included."""
        value = self._given.get(key, usual)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        low, high = limits
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            limit = f"a whole number from {low} to {high}"
            raise JobFailure(f"{key} must be {limit}, not {_short(value)}")
        return value

    def choice(self, key: str, usual: str, valid: tuple[str, ...]) -> str:
        """One of ``valid``, in any case, with or without a leading dot."""
        value = self._given.get(key, usual)
        if not isinstance(value, str):
            raise JobFailure(f"{key} must be one of {', '.join(valid)}, not {_short(value)}")
        plain = value.strip().lower().removeprefix(".")
        if plain not in valid:
            raise JobFailure(f"the {key} {_short(value)} is not known", fix=_hint(value, valid))
        return plain

    def file_name(self, key: str, usual: str, extension: str) -> str:
        """A file name without folders; ``extension`` at its end, with its dot, is taken away."""
        value = self._given.get(key, usual)
        if not isinstance(value, str) or not _NAME.fullmatch(value) or value.startswith("."):
            raise JobFailure(
                f"{key} must be a plain file name without folders, not {_short(value)}"
            )
        plain = value[: -len(extension) - 1]
        return plain if plain and value.lower().endswith(f".{extension}") else value

    def colour(self, key: str, usual: str, words: tuple[str, ...]) -> str:
        """A colour as ``#rrggbb`` or ``#rgb``, or one of ``words``."""
        value = self._given.get(key, usual)
        if value in words or (isinstance(value, str) and _COLOUR.fullmatch(value)):
            return str(value)
        valid = f"#rrggbb or {' or '.join(words)}"
        raise JobFailure(f"{key} must be {valid}, not {_short(value)}")


def _short(value: object) -> str:
    """A value as JSON has it, not too long to read."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _hint(value: object, valid: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(str(value), valid, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}valid: {', '.join(valid) or 'none'}"
