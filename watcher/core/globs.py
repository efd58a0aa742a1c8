"""Glob patterns over relative paths, matched in time that no name can blow up.

Imports ``model`` only. Invariant: a pattern that ``problem`` finds no fault with compiles, and
matching costs at most (components of the pattern) x (components of the path) small matches.

The language: ``*`` any run of characters, ``?`` one, ``[abc]`` ``[a-z]`` ``[!abc]`` one of a set,
``{a,b}`` alternatives (nested as well), ``**`` as a whole component any number of folders.
A pattern without ``/`` speaks of the base name, one with ``/`` of the whole path. Case is ignored,
names are compared in NFC. A backslash is an ordinary character; ``[*]`` escapes a star.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from watcher.core.model import nfc

ALTERNATIVES = 1000  # a pattern that braces multiply beyond this is a mistake
DEEP = "**"


@dataclass(frozen=True, slots=True)
class Shape:
    """One alternative of a pattern: its components, None for ``**``. ``whole``: of the path."""

    components: tuple[re.Pattern[str] | None, ...]
    whole: bool


def fold(text: str) -> str:
    """The form in which names are compared: NFC, caseless, one character for one character."""
    if text.isascii():
        return text.lower()
    return nfc("".join(_fold(c) for c in nfc(text)))


def _fold(char: str) -> str:
    # a full casefold makes two characters of some (``ß``), and ``?`` would no longer match them
    return next((c for c in (char.casefold(), char.lower()) if len(c) == 1), char)


def matches(pattern: str, path: str, *, whole: bool = False) -> bool:
    """Whether a relative path with ``/`` matches; ``whole``: all of it, whatever the pattern.

    Raises ``ValueError`` for a faulty pattern.
    """
    folded = fold(path).split("/")
    return any(_fits(shape, folded, whole=whole) for shape in compiled(pattern))


def _fits(shape: Shape, folded: list[str], *, whole: bool) -> bool:
    if shape.whole or whole:
        return _walk(shape.components, folded)
    (component,) = shape.components
    return component is not None and component.fullmatch(folded[-1]) is not None


def any_matches(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one name, without ``/``, matches any of these patterns of names."""
    return _united(patterns).fullmatch(fold(name)) is not None


@lru_cache(maxsize=64)
def _united(patterns: tuple[str, ...]) -> re.Pattern[str]:
    shapes = [shape for pattern in patterns for shape in compiled(pattern)]
    pieces = [one.components[-1] for one in shapes if not one.whole]
    return re.compile("|".join(piece.pattern for piece in pieces if piece is not None))


def problem(pattern: str) -> str:
    """What is wrong with a pattern, in words; empty when nothing is."""
    try:
        compiled(pattern)
    except ValueError as error:
        return str(error)
    return ""


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> tuple[Shape, ...]:
    """All alternatives of a pattern, ready to match. Raises ``ValueError`` in words."""
    if not pattern:
        raise ValueError("an empty pattern matches nothing")
    texts = _alternatives(fold(pattern))
    return tuple(_shape(text) for text in texts)


def _shape(text: str) -> Shape:
    text = text.removeprefix("./")
    whole = "/" in text
    components = text.strip("/").split("/")
    if whole and "" in components:
        raise ValueError("an empty folder name (`//`) matches nothing")
    if text.startswith("/") or any(c in {".", ".."} for c in components):
        raise ValueError("a pattern speaks of paths below the input folder")
    if text.endswith("/"):
        components.append(DEEP)
    return Shape(
        tuple(None if whole and c == DEEP else re.compile(_regex(c)) for c in components), whole
    )


def _walk(components: tuple[re.Pattern[str] | None, ...], names: list[str]) -> bool:
    """Match components against names; ``reach[i]``: the first i names are used up."""
    reach = [True] + [False] * len(names)
    for position, component in enumerate(components):
        if component is None:
            first = reach.index(True) if True in reach else len(reach)
            # at the end of a pattern ``**`` is what lies inside: at least one name
            first += position == len(components) - 1
            reach = [i >= first for i in range(len(reach))]
        else:
            fits = component.fullmatch
            reach = [False, *(reach[i] and bool(fits(n)) for i, n in enumerate(names))]
    return reach[-1]


def _alternatives(text: str) -> list[str]:
    """Expand the braces, innermost first."""
    done: list[str] = []
    todo = [text]
    while todo:
        if len(todo) + len(done) > ALTERNATIVES:
            raise ValueError(f"the braces make more than {ALTERNATIVES} alternatives")
        current = todo.pop()
        span = _innermost(current)
        if span is None:
            done.append(current)
            continue
        start, end = span
        todo.extend(
            current[:start] + choice + current[end + 1 :]
            for choice in current[start + 1 : end].split(",")
        )
    return sorted(set(done))


def _innermost(text: str) -> tuple[int, int] | None:
    """The first pair of braces without one inside. Raises ``ValueError`` when unbalanced."""
    start = None
    for position, char in _outside_sets(text):
        if char == "{":
            start = position
        elif char == "}":
            if start is None:
                raise ValueError("a closing brace without an opening one")
            return start, position
    if start is not None:
        raise ValueError("a brace is not closed")
    return None


def _outside_sets(text: str) -> Iterator[tuple[int, str]]:
    """Characters that do not stand in a ``[...]``, with their positions."""
    position = 0
    while position < len(text):
        if text[position] == "[":
            position = _set_end(text, position) + 1
        else:
            yield position, text[position]
            position += 1


def _set_end(text: str, start: int) -> int:
    """The ``]`` that closes the set at ``start``; a ``]`` right at its begin is a member."""
    first = start + 1 + text.startswith("!", start + 1)
    end = text.find("]", first + 1)
    if end < 0:
        raise ValueError("a `[` is not closed (write `[[]` for the character itself)")
    return end


def _regex(component: str) -> str:
    """A component as a regular expression without backtracking over stars.

    Each fixed piece after a star is taken at its leftmost place, in an atomic group: what matches
    at all matches so, and the time stays a product of the two lengths. Only the last must end it.
    """
    pieces = [""]
    position = 0
    while position < len(component):
        char = component[position]
        if char == "*":
            pieces.append("")
        elif char == "[":
            end = _set_end(component, position)
            pieces[-1] += _set(component[position + 1 : end])
            position = end
        else:
            pieces[-1] += "." if char == "?" else re.escape(char)
        position += 1
    if len(pieces) == 1:
        return f"(?s:{pieces[0]})"
    middle = "".join(f"(?>.*?{piece})" for piece in pieces[1:-1] if piece)
    return f"(?s:{pieces[0]}{middle}.*{pieces[-1]})"


def _set(members: str) -> str:
    """A set as a regular expression. Raises ``ValueError`` for a range that runs backwards."""
    negated, members = members.startswith("!"), members.removeprefix("!")
    text = ""
    position = 0
    while position < len(members):
        if members[position + 1 : position + 2] == "-" and position + 2 < len(members):
            low, high = members[position], members[position + 2]
            if low > high:
                raise ValueError(f"the range {low}-{high} runs backwards")
            text += f"{re.escape(low)}-{re.escape(high)}"
            position += 3
        else:
            text += re.escape(members[position])
            position += 1
    return f"[{'^' if negated else ''}{text}]"
