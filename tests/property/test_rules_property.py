"""Patterns and templates against anything that can be typed or dropped."""

from __future__ import annotations

import fnmatch
import time
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from watcher.core import globs
from watcher.core.templates import FIELDS, Names, expand
from watcher.errors import FileError

PIECES = st.lists(
    st.sampled_from(["*", "?", "a", "b", "[ab]", "[!a]", "."]), min_size=1, max_size=9
)
WORDS = st.text(alphabet="ab.c", min_size=1, max_size=9)
NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=20)


@given(PIECES, WORDS)
def test_a_component_matches_as_fnmatch_does(pieces: list[str], word: str) -> None:
    pattern = "".join(pieces)
    if pattern not in {".", ".."}:
        assert globs.matches(pattern, word) == fnmatch.fnmatchcase(word, pattern)


@given(st.lists(st.sampled_from(["**", "a", "*", "b"]), min_size=2, max_size=6), st.data())
def test_deep_patterns_match_as_a_plain_recursion_does(components: list[str], data) -> None:
    path = data.draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6))
    pattern = "/".join(components)
    assert globs.matches(pattern, "/".join(path)) == plainly(components, path)


def plainly(components: list[str], path: list[str]) -> bool:
    if not components:
        return not path
    if components == ["**"]:
        return bool(path)
    if components[0] == "**":
        return any(plainly(components[1:], path[i:]) for i in range(len(path) + 1))
    fits = bool(path) and components[0] in {"*", path[0]}
    return fits and plainly(components[1:], path[1:])


@given(st.text(max_size=30), NAMES)
def test_any_text_is_a_pattern_or_told_why_not(pattern: str, name: str) -> None:
    began = time.thread_time()
    if not globs.problem(pattern):
        assert globs.matches(pattern, name) in {True, False}
    assert time.thread_time() - began < 10


@given(NAMES)
def test_a_name_matches_itself_however_it_is_cased(name: str) -> None:
    literal = "".join(f"[{c}]" if c in "*?[{}" else c for c in globs.fold(name))
    if not globs.problem(literal):
        assert globs.matches(literal, name)


@given(
    st.lists(st.sampled_from([*(f"{{{f}}}" for f in FIELDS), "/", "x", ".", ".."]), min_size=1),
    st.text(min_size=1, max_size=20),
    st.text(min_size=1, max_size=20),
)
def test_no_value_leads_out_of_the_root(pieces: list[str], path: str, output: str) -> None:
    values = Names(path=path, output=output, rule="r", job="j", digest="00", at=0.0, zone=UTC)
    try:
        target = expand("".join(pieces), values)
    except FileError:
        return
    assert not target.startswith("/")
    assert "\0" not in target
    assert not {"", ".", ".."} & set(target.split("/"))
    assert all(len(c.encode("utf-8", "surrogateescape")) <= 255 for c in target.split("/"))
