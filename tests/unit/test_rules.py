"""Which rule takes a file: patterns, conditions, ignored names, and the reasons in words."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from watcher.core import globs, magic
from watcher.core.rules import NoRule, Seen, choose, groups, ignored, needs_head, takes_all
from watcher.core.settings import Folder, JobSpec, Match, Rule


def rule(name: str, **match) -> Rule:
    return Rule(name=name, match=Match(**match), jobs=(JobSpec(label="x", process="x"),))


def folder(*rules: Rule, **keys) -> Folder:
    root = Path("/drop")
    return Folder(
        name="f", input=root, output=root / "o", failed=root / "x", rules=tuple(rules), **keys
    )


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.step", "a.step"),
        ("*.step", "deep/er/A.STEP"),
        ("*.{step,stp}", "a.stp"),
        ("{a,b{c,d}}.x", "bd.x"),
        ("shots/*.exr", "shots/a.exr"),
        ("./shots/*.exr", "shots/a.exr"),
        ("**/x.obj", "x.obj"),
        ("**/x.obj", "a/b/x.obj"),
        ("a/**/b", "a/b"),
        ("a/**/b", "a/c/d/b"),
        ("a/**", "a/b/c"),
        ("a/", "a/b"),
        ("**/**/x", "x"),
        ("**", "any/thing"),
        ("[ab]?.x", "B1.x"),
        ("[!ab].x", "c.x"),
        ("[]].x", "].x"),
        ("[a-c].x", "B.x"),
        ("[a-].x", "-.x"),
        ("[*].x", "*.x"),
        ("[{].x", "{.x"),
        ("*a*b*c", "xaxbxc"),
        ("a**c", "abc"),
        ("*.st?p", "line\nbreak.step"),
        ("gr\u00fcn?.x", "GRU\u0308N\u00df.x"),  # composed pattern, decomposed name, one sharp s
        ("stra\u00dfe", "STRA\u1e9eE"),
        ("a\\b", "a\\b"),
        ("*.x", "bad\udcff.x"),
        ("\u0130.x", "\u0130.x"),  # neither form of this letter is one character
    ],
)
def test_a_pattern_matches(pattern: str, path: str) -> None:
    assert globs.matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.step", "a.stepx"),
        ("*.step", "a.step/b"),
        ("shots/*.exr", "shots/deep/a.exr"),
        ("shots/*.exr", "x/shots/a.exr"),
        ("a/**", "a"),
        ("a/**/b", "a"),
        ("x/**/b", "a/b"),
        ("[!ab].x", "a.x"),
        ("?", "ab"),
        ("*a*b", "ba"),
    ],
)
def test_a_pattern_does_not_match(pattern: str, path: str) -> None:
    assert not globs.matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "empty"),
        ("{a,b", "not closed"),
        ("a}", "without an opening"),
        ("[a", "not closed"),
        ("[z-a]", "backwards"),
        ("/a", "below the input"),
        ("../a", "below the input"),
        ("a//b", "empty folder"),
        ("{a,b}" * 12, "1000"),
    ],
)
def test_a_faulty_pattern_is_told_in_words(pattern: str, words: str) -> None:
    assert words in globs.problem(pattern)


def test_a_sound_pattern_has_no_problem() -> None:
    assert globs.problem("**/*.{a,[bc]}") == ""


def test_stars_do_not_blow_up() -> None:
    began = time.thread_time()
    assert not globs.matches("*a" * 60 + "b", "a" * 250)
    assert not globs.matches("**/a/" * 30 + "b", "a/" * 200 + "c")
    assert time.thread_time() - began < 10


def test_the_first_rule_that_matches_takes_the_file() -> None:
    step, rest = rule("step", globs=("*.step",)), rule("rest", globs=("*",))
    assert choose(folder(step, rest), "a.STEP", 1) is step
    assert choose(folder(step, rest), "a.obj", 1) is rest


def test_every_refusal_has_its_reason() -> None:
    f = folder(
        rule("name", globs=("*.step", "*.stp")),
        rule("path", globs=("cad/*",)),
        rule("regex", regex="^shots/"),
        rule("small", min_size=10),
        rule("large", max_size=3),
        rule("not", exclude=Match(globs=("*.obj",))),
    )
    refused = choose(f, "a.obj", 5)
    assert isinstance(refused, NoRule)
    assert dict(refused.reasons) == {
        "name": "name does not match '*.step' or '*.stp'",
        "path": "path does not match 'cad/*'",
        "regex": "path does not match regex '^shots/'",
        "small": "smaller than min_size (5 < 10 bytes)",
        "large": "larger than max_size (5 > 3 bytes)",
        "not": "excluded by not",
    }
    assert str(refused).startswith("matches no rule (name: name does not match")


def test_a_folder_without_rules_says_so() -> None:
    assert str(choose(folder(), "a", 1)) == "matches no rule: the folder has none"


def test_all_conditions_must_hold() -> None:
    both = rule("r", globs=("*.x",), regex="V[0-9]", min_size=2, max_size=4)
    assert choose(folder(both), "a/v1.x", 3) is both
    excluding = rule("r", exclude=Match(globs=("*.y",)))
    assert choose(folder(excluding), "a.x", 3) is excluding


@pytest.mark.parametrize(
    "path",
    [
        ".hidden",
        ".git/config",
        "a/.a.step.Xy12Qz",
        "a.step.part",
        "a.FILEPART",
        "a.crdownload",
        "a.!qB",
        "a.tmp",
        "a.step~",
        "~$a.xlsx",
        "Thumbs.db",
        "sub/@eaDir/a.step",
        "#recycle/a.step",
        "$RECYCLE.BIN/a",
        "System Volume Information/a",
        "lost+found/a",
        "a.step.error.txt",
        "._a.step",
        "desktop.ini",
    ],
)
def test_junk_is_ignored_at_any_depth(path: str) -> None:
    assert "built-in pattern" in (ignored(folder(), path) or "")


@pytest.mark.parametrize("path", ["a.step", "parts/b.obj", "a.error.txt.obj", "tmp/a.step"])
def test_real_drops_are_not_ignored(path: str) -> None:
    assert ignored(folder(ignore=("*.bak", "old/**")), path) is None


def test_own_patterns_extend_the_built_in_ones() -> None:
    f = folder(ignore=("*.bak", "old/**", "wip"))
    assert ignored(f, "a/b.bak") == "ignored by pattern '*.bak'"
    assert ignored(f, "old/a/b.step") == "ignored by pattern 'old/**'"
    assert ignored(f, "a/wip/c.step") == "ignored by pattern 'wip'"


def test_a_flat_folder_leaves_sub_folders_alone() -> None:
    flat = folder(recursive=False)
    assert "recursive" in (ignored(flat, "a/b") or "")
    assert ignored(flat, "b") is None


def test_a_rule_that_takes_all_is_known() -> None:
    assert takes_all(Match(globs=("*.x", "*")))
    assert not takes_all(Match(globs=("*",), max_size=0))
    assert not takes_all(Match(globs=("*.x",)))
    assert not takes_all(Match(exclude=Match(globs=("*",))))


def test_age_and_content_hold_until_somebody_looked() -> None:
    old = rule("old", min_age=60.0)
    new = rule("new", max_age=60.0)
    zipped = rule("zip", content=("zip", "0x8950"))
    assert choose(folder(old), "a", 1) is old
    assert "younger than min_age" in str(choose(folder(old), "a", Seen(1, 59.0)))
    assert "older than max_age" in str(choose(folder(new), "a", Seen(1, 61.0)))
    assert choose(folder(zipped), "a", Seen(1, 0.0, b"PK\x03\x04...")) is zipped
    assert choose(folder(zipped), "a", Seen(1, 0.0, b"\x89PNG")) is zipped
    assert "content does not begin as zip or 0x8950" in str(
        choose(folder(zipped), "a", Seen(1, 0.0, b"glTF"))
    )
    assert needs_head(folder(old, zipped))
    assert not needs_head(folder(old))


def test_not_excludes_only_what_was_looked_at() -> None:
    plain = rule("plain", globs=("*",), exclude=Match(content=("zip",), min_age=1.0))
    assert choose(folder(plain), "a", 1) is plain
    assert choose(folder(plain), "a", Seen(1, 2.0, b"PK\x03\x04")) is not plain
    assert choose(folder(plain), "a", Seen(1, 2.0, b"text")) is plain
    assert not takes_all(plain.match)


def test_path_speaks_of_the_whole_path() -> None:
    deep = rule("deep", paths=("incoming/*.step",))
    assert choose(folder(deep), "incoming/a.step", 1) is deep
    assert "path does not match" in str(choose(folder(deep), "x/incoming/a.step", 1))
    assert choose(folder(rule("top", paths=("*.step",))), "a/b.step", 1).reasons


def test_named_groups_of_the_regex_are_found() -> None:
    match = Match(regex=r"(?<show>\w+)/(?P<shot>\d+)(?P<tail>x)?")
    assert groups(match, "abc/010.exr") == {"show": "abc", "shot": "010", "tail": ""}
    assert groups(Match(), "abc") == {}
    assert groups(match, "abc") == {}


def test_signs_of_content_are_checked() -> None:
    assert magic.begins(b"ISO-10303-21;", "step")
    assert magic.begins(b"solid cube", "solid")
    for wrong in ("0xzz", "0x", "x" * 600):
        with pytest.raises(ValueError):
            magic.signs(wrong)
