"""Final names, receipts and the text beside a failed file."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests import build
from watcher.core.delivery import Clashing, error_text, plan, quoted, stamp, targets
from watcher.core.model import FileState, Fingerprint, JobState, Output, Part

STEP = {"path": "sub/a.step", "digest": "d" * 32, "accepted_at": build.NOW}


def staged(*names: str, **keys):
    outputs = tuple(Output(name, 3, f"digest of {name}") for name in names)
    return build.job(JobState.STAGED, **{"outputs": outputs, **keys})


def work(*jobs, **keys):
    return build.work(FileState.WORKING, *jobs, **{**STEP, **keys})


def places(planned) -> list[str]:
    return [place.target for place in planned.places]


def test_one_output_takes_the_sources_name_and_several_a_folder_of_it():
    assert places(plan(work(staged("x.glb")), build.rule(), {})) == ["sub/a.glb"]
    planned = plan(work(staged("x.glb", "y/z.png")), build.rule(), {})
    assert places(planned) == ["sub/a.step/x.glb", "sub/a.step/y/z.png"]


def test_a_recorded_name_is_kept_and_an_output_left_alone_is_not_published():
    kept = Output("x.glb", 3, "1", "old/x.glb")
    left = Output("y.glb", 3, "2", "", published=True)
    planned = plan(work(build.job(JobState.STAGED, outputs=(kept, left))), build.rule(), {})
    assert places(planned) == ["old/x.glb"]
    assert planned.outputs == ((kept, left),)


def test_two_outputs_on_one_path_are_refused_naming_the_template():
    planned = plan(work(staged("x.glb", "y.glb")), build.rule(deliver="{stem}.glb"), {})
    assert isinstance(planned, Clashing)
    for word in ("'a.glb'", "echo/x.glb", "echo/y.glb", "'{stem}.glb'"):
        assert word in planned.reason


@pytest.mark.parametrize(
    ("specs", "names"),
    [
        (("one", "one"), ("a.txt", "a.txt")),
        (("one", "two"), ("a.txt", "b/a.txt")),
        (("", "two"), ("a.txt", "a.txt")),
    ],
    ids=["one process twice", "other names", "a script and a process"],
)
def test_equal_bytes_on_one_path_are_refused_unless_two_processes_name_them_alike(specs, names):
    made = [Output(name, 3, "same") for name in names]
    jobs = [
        build.job(JobState.STAGED, outputs=(one,), id=11 + at, index=at, label=f"j{at}")
        for at, one in enumerate(made)
    ]
    planned = plan(work(*jobs), build.rule(*specs, deliver="{stem}.{ext}"), {})
    assert isinstance(planned, Clashing)
    assert "'a.txt'" in planned.reason


def test_the_same_bytes_of_two_jobs_are_published_once():
    one = staged("metadata.json")
    other = staged("metadata.json", id=12, index=1, label="two")
    planned = plan(work(one, other), build.rule("one", "two"), {})
    assert places(planned) == ["sub/a.step/metadata.json"]


def test_a_template_that_leads_out_is_refused_in_words():
    planned = plan(work(staged("x"), path=".."), build.rule(deliver="{name}"), {})
    assert isinstance(planned, Clashing)
    assert "leads out" in planned.reason
    assert targets(work(staged("x"), path=".."), build.rule(deliver="{name}")) == []


@pytest.mark.parametrize(
    ("policy", "owner", "expected"),
    [
        ("own", "sub/a.step", True),
        ("own", "other.step", False),
        ("own", None, False),
        ("replace", None, True),
        ("rename", "sub/a.step", False),
    ],
)
def test_only_its_own_is_replaced_unless_told(policy, owner, expected):
    owned = {"sub/a.glb": owner} if owner else {}
    (place,) = plan(work(staged("x.glb")), build.rule(on_conflict=policy), owned).places
    assert place.replace is expected


def test_a_repeats_outputs_get_the_arrivals_number():
    rule = build.rule(on_repeat="version")
    planned = plan(work(staged("x.glb"), arrival=3), rule, {}, repeat=True)
    assert places(planned) == ["sub/a (3).glb"]
    assert targets(work(staged("x.glb"), arrival=3), rule, repeat=True) == ["sub/a (3).glb"]


def test_a_template_that_tells_the_version_is_left_to_it():
    rule = build.rule(on_repeat="version", deliver="{stem}-v{version}.{ext}")
    planned = plan(work(staged("x.glb"), arrival=3), rule, {}, repeat=True)
    assert places(planned) == ["a-v3.glb"]


def test_a_receipt_tells_where_an_output_comes_from():
    part = Part("sub/a.mtl", "a.mtl", Fingerprint(1, 1))
    one = staged("x.glb", remote="r1", attempt=1, warnings=("w2",), submitted_at=build.NOW)
    of = work(one, parts=(part,), warnings=("w1",))
    ((target, text),) = plan(of, build.rule(receipt=True), {}).receipts
    told = json.loads(text)
    assert target == "sub/a.glb.json"
    assert told["output"] == "sub/a.glb"
    assert told["source"]["path"] == "sub/a.step"
    assert told["source"]["parts"] == ["sub/a.mtl"]
    assert told["source"]["accepted"] == "2025-06-15T15:06:40Z"
    assert (told["job"]["id"], told["job"]["attempts"]) == ("r1", 2)
    assert told["warnings"] == ["w1", "w2"]


def test_an_output_left_alone_has_no_receipt():
    left = Output("y.glb", 3, "2", "", published=True)
    of = work(build.job(JobState.STAGED, outputs=(left,)))
    assert plan(of, build.rule(receipt=True), {}).receipts == ()


@pytest.mark.parametrize(
    ("specs", "expected"),
    [(("one",), ["sub/a.step.json"]), (("one", "two"), ["sub/a.step/j0.json"])],
    ids=["alone", "beside another"],
)
def test_a_job_without_outputs_has_a_receipt_too(specs, expected):
    jobs = [
        staged(*["x.glb"][:at], id=11 + at, index=at, label=f"j{at}") for at in range(len(specs))
    ]
    told = plan(work(*jobs), build.rule(*specs, receipt=True), {}).receipts
    assert [target for target, _ in told][:1] == expected
    assert json.loads(told[0][1])["output"] is None


def test_a_receipt_never_takes_the_place_of_an_output():
    rule = build.rule(receipt=True, deliver="{output}")
    planned = plan(work(staged("a.glb", "a.glb.json")), rule, {})
    assert isinstance(planned, Clashing)
    assert "its receipt" in planned.reason


def test_never_has_no_stamp():
    assert stamp(0.0) == ""


def test_the_error_text_says_what_why_which_job_and_what_to_do():
    part = Part("t.png", "t.png", Fingerprint(1, 1))
    jobs = (
        build.job(JobState.FAILED, remote="r1", attempt=2, error="no geometry"),
        build.job(JobState.FAILED, id=12, index=1, label="two", remote="", error=""),
    )
    of = build.work(
        FileState.FAILED, *jobs, **STEP, reason="no geometry", warnings=("odd",), parts=(part,)
    )
    text = error_text(of, build.folder(), "/etc/watcher.yaml", build.NOW + 5)
    for line in (
        "sub/a.step was not converted.",
        "Why:     no geometry",
        "Failed:  2025-06-15T15:06:45Z",
        "Job:     echo, job r1, attempt 2: no geometry",
        "Job:     two, attempt 1: failed",
        "Warning: odd",
        "Parts:   t.png",
        "    watcher retry -c /etc/watcher.yaml /studio/input/sub/a.step",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize("name", ["plain", "two words", "it's", "a\nb", "tab\t$x", "\udcff.step"])
def test_a_quoted_name_is_what_a_shell_reads(name):
    shown = subprocess.run(["bash", "-c", f"printf %s {quoted(name)}"], capture_output=True)
    assert shown.stdout == name.encode("utf-8", "surrogateescape")
