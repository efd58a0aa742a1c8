"""The params of a job, read strictly.

Imports the standard library and ``watcher.embedded.script``. Invariant: an unknown key or a value
of a wrong type fails the job and names what would be right; nothing is ignored in silence.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

from watcher.embedded.script import JobFailure

_NAME = re.compile(r"[^\\/:*?\"<>|\x00-\x1f]{1,200}")


class Params:
    """Typed access to the params of one job.

    Args:
        given: what the job was sent; None counts as empty.
        valid: every key that the process knows.

    Raises:
        JobFailure: not an object, or a key that is not in ``valid``.
    """

    def __init__(self, given: Any, valid: tuple[str, ...]) -> None:
        if given is not None and not isinstance(given, dict):
            raise JobFailure(f"params must be an object, not {type(given).__name__}")
        self._given: dict[str, Any] = given or {}
        for key in self._given:
            if key not in valid:
                raise _unknown("the parameter", key, valid)

    def number(self, key: str, usual: float, most: float) -> float:
        """A number from 0 to ``most``."""
        value = self._given.get(key, usual)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise JobFailure(f"{key} must be a number from 0 to {most:g}, not {value!r}")
        return value

    def whole(self, key: str, usual: int, limits: tuple[int, int]) -> int:
        """A whole number within ``limits``, both included."""
        value = self._given.get(key, usual)
        low, high = limits
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise JobFailure(f"{key} must be a whole number from {low} to {high}, not {value!r}")
        return value

    def choice(self, key: str, usual: str, valid: tuple[str, ...]) -> str:
        """One of ``valid``, in any case, with or without a leading dot."""
        value = self._given.get(key, usual)
        if not isinstance(value, str):
            raise JobFailure(f"{key} must be one of {', '.join(valid)}, not {value!r}")
        plain = value.lower().removeprefix(".")
        if plain not in valid:
            raise _unknown(f"the {key}", value, valid)
        return plain

    def file_name(self, key: str, usual: str) -> str:
        """A file name without folders."""
        value = self._given.get(key, usual)
        if not isinstance(value, str) or not _NAME.fullmatch(value) or value.startswith("."):
            raise JobFailure(f"{key} must be a plain file name without folders, not {value!r}")
        return value

    def colour(self, key: str, usual: str, words: tuple[str, ...]) -> str:
        """A colour as ``#rrggbb``, or one of ``words``."""
        value = self._given.get(key, usual)
        if value in words or (isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value)):
            return str(value)
        raise JobFailure(f"{key} must be #rrggbb or {' or '.join(words)}, not {value!r}")


def _unknown(what: str, value: object, valid: tuple[str, ...]) -> JobFailure:
    near = difflib.get_close_matches(str(value), valid, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    names = ", ".join(valid) or "none"
    return JobFailure(f"{what} {value!r} is not known", fix=f"{hint}valid: {names}")
