"""Params and commands speak of the file: templates, named groups, and braces that stay braces."""

from __future__ import annotations

import pytest

from watcher.core import fields, params
from watcher.core.model import FileRecord, FileState, Fingerprint, Part
from watcher.core.settings import Bundle, JobSpec, Match, Rule


def file(path: str, **keys) -> FileRecord:
    return FileRecord(
        id=1, folder="f", path=path, arrival=3, state=FileState.ACCEPTED, rule="r",
        print=Fingerprint(1, 1), accepted_at=86400.0, **keys,
    )  # fmt: skip


def filled(given: dict, path: str = "shots/sh010_v03.step", regex: str = "") -> dict:
    spec = JobSpec(label="job", process="x", params=given)
    return params.effective(
        Rule(name="r", match=Match(regex=regex), jobs=(spec,)), spec, file(path)
    )


def test_fields_are_filled_at_any_depth_and_other_values_left():
    assert filled({"a": ["{stem}", 1], "b": {"c": "{parent}/{name}"}, "d": None}) == {
        "a": ["sh010_v03", 1],
        "b": {"c": "shots/sh010_v03.step"},
        "d": None,
    }
    assert filled({"v": "{version}", "w": "v{version:03}", "day": "{date:%Y}"}) == {
        "v": "3",
        "w": "v003",
        "day": "1970",
    }


def test_named_groups_are_fields_and_a_lone_number_is_one():
    regex = r"sh(?<shot>\d+)_v(?P<v>\d+)(?P<none>x)?"
    found = filled(
        {"shot": "{shot}", "width": "{w}", "label": "shot {shot}, v{v}{none}"},
        "sh10_v03.step",
        regex,
    )
    assert found == {"shot": 10, "width": "{w}", "label": "shot 10, v03"}
    assert params.number("03") == "03"
    assert params.number("0.5") == 0.5
    assert params.number("a.5") == "a.5"


def test_unknown_braces_stay_and_a_value_is_never_read_again():
    assert filled({"a": "{nothing} {{stem}} {stem:x}"}) == {"a": "{nothing} {stem} {stem:x}"}
    assert filled({"a": "{stem}"}, "{name}.step") == {"a": "{name}"}
    assert fields.fill("{version:x}", {"version": "3"}, 0.0) == "3"


@pytest.mark.parametrize(
    ("given", "word"),
    [({"a": "{stme}"}, "did you mean {stem}"), ({"a": [{"b": "{hash}"}]}, "not known before")],
)
def test_typing_errors_in_params_are_told(given, word):
    assert word in " ".join(params.problems(given, frozenset({"stem", "hash"})))


def test_braces_of_another_language_are_no_problem():
    given = {"a": "{0} {{stme}} { x } {colour}", "b": 3}
    assert not list(params.problems(given, frozenset({"stem"})))


def test_a_sequence_has_fields_of_its_own():
    part = Part("s.02.exr", "s.02.exr", Fingerprint(1, 1))
    marker = Part("s.done", "", Fingerprint(1, 1))
    spec = JobSpec(label="job", process="x", params={"a": "{first}-{last}", "n": "{count}"})
    rule = Rule(name="r", match=Match(), jobs=(spec,), bundle=Bundle(kind="sequence"))
    told = params.effective(rule, spec, file("s.01.exr", parts=(part, marker)))
    assert told == {"a": "1-2", "n": 2}
