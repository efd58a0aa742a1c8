"""Fields in braces inside any text: ``{stem}``, ``{date:%Y}``, ``{{`` for a brace.

Imports the standard library's data types only. Invariant: one pass, so that no value is ever taken
for a field; what is no known field is left as it was written.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, tzinfo

_FIELD = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)(?::([^{}]*))?\}")


def fill(text: str, values: Mapping[str, str], at: float, zone: tzinfo | None = None) -> str:
    """The text with its fields; ``at`` is the wall time that ``{date:...}`` speaks of."""

    def one(found: re.Match[str]) -> str:
        name, form = found.groups()
        if name is None:
            return found[0][0]
        if name == "date":
            return dated(form or "", at, zone)
        if name == "version" and form and name in values:
            return numbered(form, values[name])
        return found[0] if name not in values or form else values[name]

    return _FIELD.sub(one, text)


def dated(form: str, at: float, zone: tzinfo | None) -> str:
    """A wall time as ``strftime`` writes it; None is this machine's zone."""
    moment = datetime.fromtimestamp(at, zone) if zone else datetime.fromtimestamp(at).astimezone()
    return moment.strftime(form or "%Y-%m-%d")


def numbered(form: str, text: str) -> str:
    """A number with as many digits as ``03`` says."""
    return text.zfill(int(form)) if form.isdecimal() else text


def alone(text: str) -> str:
    """The field that a text is and nothing else; empty when it is not one."""
    found = _FIELD.fullmatch(text)
    return (found[1] or "") if found and not found[2] else ""


def named(text: str) -> Iterator[str]:
    """The fields that a text names, known or not."""
    return (found[1] for found in _FIELD.finditer(text) if found[1])


def near(name: str, known: Iterable[str]) -> str:
    """The known field that was probably meant; empty when none is near."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)), "")
