"""What sidecars may set, and what they are told."""

from __future__ import annotations

import pytest

from watcher.core import params
from watcher.core.allowed import allowed, violations
from watcher.core.model import FileRecord, FileState, Fingerprint
from watcher.core.settings import JobSpec, Match, Rule

ALLOW = {
    "extension": allowed(["glb", "gltf", 3, True]),
    "width": allowed("64..4096"),
    "ratio": allowed("-0.5 .. 1.5"),
    "note": allowed("any"),
}


@pytest.mark.parametrize(
    "given",
    [
        {"extension": "gltf", "width": 64, "ratio": 1, "note": ["a", 1, False]},
        {"extension": 3, "width": 4096, "ratio": -0.5, "note": "x"},
        {},
    ],
)
def test_what_is_allowed_passes(given):
    assert not list(violations(ALLOW, given))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"widht": 100}, "'widht' may not be set here; did you mean width?"),
        ({"x": 1}, "'x' may not be set here; allowed: extension, width, ratio, note"),
        ({1: 1}, "1 may not be set here"),
        ({"width": 63}, "width must be a whole number from 64 to 4096, not 63"),
        ({"width": 64.5}, "width must be a whole number"),
        ({"width": True}, "not True"),
        ({"width": "100"}, "not '100'"),
        ({"ratio": 2}, "ratio must be a number from -0.5 to 1.5, not 2"),
        ({"extension": "exe"}, "extension must be one of glb, gltf, 3, True, not 'exe'"),
        ({"extension": 1}, "not 1"),
        ({"note": {"a": 1}}, "not a dict"),
        ({"note": [[1]]}, "not a list"),
        ({"note": "x" * 2000}, "not a str"),
    ],
)
def test_what_is_not_allowed_is_named(given, said):
    assert said in "; ".join(violations(ALLOW, given))


@pytest.mark.parametrize("value", [[], [[1]], "4..1", "4-1", 5, {"a": 1}, None])
def test_what_allows_nothing_is_refused(value):
    with pytest.raises(ValueError, match=r"value|range|empty"):
        allowed(value)


def test_a_sidecars_param_goes_to_the_jobs_that_have_it():
    jobs = (
        JobSpec(label="a", process="x", params={"width": 1, "t": "{stem}"}),
        JobSpec(label="b", process="y"),
    )
    rule = Rule(name="r", match=Match(), jobs=jobs)
    file = FileRecord(
        id=1, folder="f", path="a.step", arrival=1, state=FileState.ACCEPTED, rule="r",
        print=Fingerprint(1, 1), params={"width": 2, "free": "{stem}"},
    )  # fmt: skip
    assert params.effective(rule, jobs[0], file) == {"width": 2, "t": "a", "free": "{stem}"}
    assert params.effective(rule, jobs[1], file) == {"free": "{stem}"}
