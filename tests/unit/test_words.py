"""Names and errors as people are shown them."""

from __future__ import annotations

import subprocess

import pytest

from watcher.core.delivery import quoted
from watcher.core.model import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00e9.txt", "plain \u00e9.txt"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("\udcff\udc80.stl", "\\xff\\x80.stl"),
        ("\ud800", "\\ud800"),
        ("\u202egnp", "\\u202egnp"),
    ],
)
def test_what_cannot_be_shown_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["plain", "it's", "a\nb", "\udcff\u00e9", "$(id) `x`", "\x1b' \""])
def test_a_shell_reads_a_quoted_word_as_it_was(text: str) -> None:
    told = subprocess.run(
        ["bash", "-c", f"printf %s {quoted(text)}"], capture_output=True, check=True
    )
    assert told.stdout == text.encode("utf-8", "surrogateescape")
