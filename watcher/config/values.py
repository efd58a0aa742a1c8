"""Durations, sizes, environment variables: what stands in a value, and what it means.

Imports the standard library only. Invariant: a value is either understood or refused with a
``ValueError`` that says in words what would be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

DURATION = r"(?:\d+(?:\.\d+)?\s*(?:ms|s|m|h|d|w)\s*)+|\d+(?:\.\d+)?"
SIZE = r"\d+(?:\.\d+)?\s*(?:[kKmMgGtT](?:i?[bB])?|[bB])?"
LONGEST = 100 * 365.25 * 86400  # seconds; clocks and timers overflow somewhere beyond
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_INNER = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def duration(value: object) -> float:
    """Seconds of ``1s``, ``500ms``, ``1h30m``, ``90d`` or a plain number of seconds."""
    text = _number_or_text(value)
    if text is None or not re.fullmatch(DURATION, text):
        raise ValueError(f"{_shown(value)} is not a duration such as 500ms, 1s, 2m, 1h30m or 90d")
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?", text)
    total = sum(float(number) * _SECONDS[unit or "s"] for number, unit in parts)
    if total > LONGEST:
        raise ValueError(f"{_shown(value)} is longer than a hundred years")
    return float(f"{total:.12g}")  # 0.1 s is 0.1 and not 100 times 0.001


def size(value: object) -> int:
    """Bytes of ``10MB`` (powers of 1000), ``1.5 GiB`` (of 1024) or a plain number of bytes."""
    text = _number_or_text(value)
    if text is None or not re.fullmatch(SIZE, text):
        raise ValueError(f"{_shown(value)} is not a size such as 64k, 10MB or 1.5 GiB")
    number, unit = re.fullmatch(r"([\d.]+)\s*([a-zA-Z]*)", text).groups()  # type: ignore[union-attr]  # SIZE says so
    letter = unit.lower().removesuffix("b").removesuffix("i")
    base = 1024 if "i" in unit.lower() else 1000
    return round(float(number) * int(base ** _POWERS[letter]))


def _number_or_text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return f"{value:f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return f"{str(value).lower()} (yes, no, on and off are booleans)"
    return "a mapping or list" if isinstance(value, dict | list) else f"{value!r}"


def expanded(text: str, environ: Mapping[str, str]) -> str:
    """``text`` with ``${VAR}`` and ``${VAR:-default}`` filled in; ``$${`` stands for ``${``.

    The default serves where the variable is unset or empty. Raises ``ValueError`` naming the
    variable that is missing; values are never in the message.
    """

    def fill(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        inner = _INNER.fullmatch(found[1]) if found[2] else None
        if inner is None:
            raise ValueError("`${` must go on as ${NAME} or ${NAME:-default} (`$${` for itself)")
        name, default = inner.groups()
        held = environ.get(name)
        if default is not None:
            if "${" in default:
                raise ValueError("a default cannot hold another `${...}`")
            return held or default
        if held is None:
            raise ValueError(f"the environment variable {name} is not set")
        return held

    return _VARIABLE.sub(fill, text)


def one_variable(text: str) -> bool:
    """Whether a text is one ``${...}`` and nothing else."""
    found = _VARIABLE.fullmatch(text)
    return found is not None and found[0] != "$${"


def listen(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9410`` or ``[::1]:9410``."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/\s]+)):(\d{1,5})", text)
    if not found or int(found[3]) > 65535:  # noqa: PLR2004  (the largest port)
        raise ValueError(f"{text!r} is not an address such as 127.0.0.1:9410 or [::1]:9410")
    return found[1] or found[2], int(found[3])
