"""What a sidecar may set: choices, ranges, anything; and what it set that it may not.

Imports ``settings`` and the standard library's data types. Invariant: only plain values (texts,
numbers, flags, and lists of these) ever come out of a sidecar.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from watcher.core.settings import Allowed

_RANGE = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*\.\.\s*(-?\d+(?:\.\d+)?)\s*")
_LONGEST = 1000  # characters of a text, entries of a list


def allowed(value: Any) -> Allowed:
    """What the configuration allows: a list of values, ``64..4096``, or ``any``.

    Raises:
        ValueError: in words.
    """
    if value == "any":
        return Allowed(anything=True)
    if isinstance(value, list):
        if not value or not all(_plain(one) for one in value):
            raise ValueError("needs at least one value, each a text, a number or a flag")
        return Allowed(choices=tuple(value))
    found = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a list of values, a range such as 64..4096, or `any`")
    low, high = float(found[1]), float(found[2])
    if low > high:
        raise ValueError(f"{value} is empty: the first is larger than the last")
    return Allowed(low=low, high=high, whole="." not in found[1] + found[2])


def violations(allow: Mapping[str, Allowed], given: Mapping[Any, Any]) -> Iterator[str]:
    """What a sidecar may not say, in words."""
    for key, value in given.items():
        if not isinstance(key, str) or key not in allow:
            near = difflib.get_close_matches(str(key), allow, n=1)
            hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(allow)}"
            yield f"{key!r} may not be set here; {hint}"
        elif fault := _fault(allow[key], value):
            yield f"{key} must be {fault}, not {_shown(value)}"


def _fault(rule: Allowed, value: Any) -> str:
    if rule.choices:
        fits = any(type(value) is type(one) and value == one for one in rule.choices)
        return "" if fits else f"one of {', '.join(str(one) for one in rule.choices)}"
    if rule.anything:
        return (
            "" if _plain(value) or _list(value) else "a text, a number, a flag or a list of these"
        )
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and rule.low <= value <= rule.high and (not rule.whole or isinstance(value, int)):
        return ""
    kind = "a whole number" if rule.whole else "a number"
    return f"{kind} from {rule.low:g} to {rule.high:g}"


def _plain(value: Any) -> bool:
    return isinstance(value, int | float | bool) or (
        isinstance(value, str) and len(value) <= _LONGEST
    )


def _list(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _LONGEST and all(map(_plain, value))


def _shown(value: Any) -> str:
    return repr(value)[:60] if _plain(value) else f"a {type(value).__name__}"
