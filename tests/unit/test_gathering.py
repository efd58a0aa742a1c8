"""Which files are one unit: folders, sequences, main files with members; markers and sidecars."""

from __future__ import annotations

import pytest

from tests import build
from watcher.core import bundles, companions, frames
from watcher.core.bundles import Unit
from watcher.core.model import FileState, Fingerprint, Part
from watcher.core.rules import NoRule, Seen
from watcher.core.settings import Allowed, Bundle, Match
from watcher.core.verdict import Verdict, verdict

FOLDER = Bundle(kind="folder")
FRAMES = Bundle(kind="sequence")
PARTS = Bundle(kind="pattern", main=("*.asm",), members=("*.prt", "*.asm"))


def rule(name: str, *globs: str, **keys):
    return build.rule(name=name, match=Match(globs=globs or ("*",)), **keys)


def unit(folder, path: str):
    found = bundles.taker(folder, path, 1)
    return (found.rule.name, found.anchor, found.lone) if isinstance(found, Unit) else str(found)


# ------------------------------------------------------------------ units
def test_a_folder_takes_what_no_rule_before_it_takes():
    folder = build.folder(rule("zip", "*.zip"), rule("all", bundle=FOLDER), rule("rest"))
    assert unit(folder, "a/b/x.png") == ("all", "a", False)
    assert unit(folder, "a/x.zip") == ("zip", "a/x.zip", False)
    assert unit(folder, "x.png") == ("rest", "x.png", False)
    assert bundles.gathers(folder)
    assert bundles.wanted(folder, "a/x", 1)
    alone = build.folder(rule("all", bundle=FOLDER))
    assert "takes folders" in unit(alone, "x.png")
    assert not bundles.wanted(alone, "x.png", 1)
    assert bundles.unit_rule(folder, "x.zip", 1) is folder.rules[0]
    assert isinstance(bundles.unit_rule(alone, "x.png", 1), NoRule)


def test_a_folder_is_taken_by_its_name_or_by_any_file_in_it():
    files = {"a/x.asm": Seen(1), "a/y.txt": Seen(1), "a/z.zip": Seen(1)}
    by_file = build.folder(rule("zip", "*.zip"), rule("asm", "*.asm", bundle=FOLDER))
    zips, asm = by_file.rules
    assert bundles.shares(by_file, files) == {
        "a/z.zip": zips, "a/x.asm": asm, "a/y.txt": asm,
    }  # fmt: skip
    by_name = build.folder(rule("named", "a", bundle=FOLDER))
    assert all(one is by_name.rules[0] for one in bundles.shares(by_name, files).values())
    other = build.folder(rule("other", "b", bundle=FOLDER), rule("txt", "*.txt"))
    shares = bundles.shares(other, files)
    assert shares["a/y.txt"] is other.rules[1]
    assert isinstance(shares["a/x.asm"], NoRule)


def test_a_sequence_is_called_after_its_frames():
    folder = build.folder(rule("frames", "*.exr", bundle=FRAMES))
    assert unit(folder, "s/a.0001.exr") == ("frames", "s/a.#.exr", False)
    assert "no number" in unit(folder, "plain.exr")
    made = Unit(folder.rules[0], "x")
    assert made.kind == "sequence"
    assert bundles.anchor(build.rule(), "a.txt") == "a.txt"
    assert bundles.matches("*.exr", "s/A.EXR")


def test_members_wait_for_a_main_file_and_go_on_without():
    folder = build.folder(rule("asm", "*.asm", bundle=PARTS), rule("rest"))
    asm, rest = folder.rules
    assert unit(folder, "d/top.asm") == ("asm", "d/top.asm", False)
    assert unit(folder, "d/a.prt") == ("asm", "d/a.prt", True)
    assert unit(folder, "d/x.txt") == ("rest", "d/x.txt", False)
    assert bundles.after(folder, asm, "a.prt", 1) is rest
    assert bundles.lone(asm, "a.prt")
    assert not bundles.lone(asm, "a.asm")
    assert not bundles.lone(rest, "a.prt")
    assert "is not the main file '*.asm'" in str(bundles.refused(asm, "a.txt", 1))
    assert bundles.shares(folder, {"d/a.prt": Seen(1)}) == {"d/a.prt": asm}


# ------------------------------------------------------------------ main files
@pytest.mark.parametrize(
    ("keys", "paths", "main"),
    [
        ({}, ["a/z.stl", "a/deep/x.gltf"], "a/deep/x.gltf"),
        ({}, ["a/deep/x.obj", "a/y.obj"], "a/y.obj"),
        ({}, ["a/b", "a/a"], "a/a"),
        ({"root_file": "*.txt"}, ["a/x.gltf", "a/b/t.txt"], "a/b/t.txt"),
        ({"root_file": "b/*.txt"}, ["a/t.txt", "a/b/t.txt"], "a/b/t.txt"),
        ({"bundle": Bundle(kind="folder", main=("*.stl",))}, ["a/x.gltf", "a/y.stl"], "a/y.stl"),
        ({"match": Match(globs=("*.png",))}, ["a/x.gltf", "a/y.png"], "a/y.png"),
    ],
)
def test_the_main_file_of_a_folder(keys, paths, main):
    assert bundles.main_of(build.rule(**{"bundle": FOLDER, **keys}), paths) == main


def test_a_main_file_that_lacks_is_named_by_its_pattern():
    wanted = build.rule(bundle=FOLDER, root_file="*.asm")
    assert bundles.lacks_main(wanted, ["a/x.txt"]) == "*.asm"
    assert bundles.lacks_main(wanted, ["a/x.asm"]) == ""
    several = build.rule(bundle=Bundle(kind="folder", main=("*.a", "*.b")))
    assert bundles.lacks_main(several, ["a/x.b"]) == ""
    assert bundles.lacks_main(several, ["a/x.c"]) == "*.a"
    assert bundles.lacks_main(build.rule(bundle=FOLDER), ["a/x"]) == ""


def test_names_inside_a_unit_and_its_title():
    folder = build.rule(bundle=FOLDER)
    assert bundles.within(folder, "a/b/main.obj", "a/t.png") == "t.png"
    assert bundles.title(folder, "a/b/main.obj") == "a"
    plain = build.rule()
    assert bundles.within(plain, "a/main.obj", "a/t/x.png") == "t/x.png"
    assert bundles.within(plain, "main.obj", "main.obj") == "main.obj"
    assert bundles.title(plain, "a/main.obj") == "a/main.obj"
    assert bundles.title(build.rule(bundle=FRAMES), "a/s.01.exr") == "a/s.exr"


# ------------------------------------------------------------------ frames
@pytest.mark.parametrize(
    ("path", "number", "title"),
    [
        ("s/a.0001.exr", 1, "s/a.exr"),
        ("a_010.png", 10, "a.png"),
        ("0042.exr", 42, "0042.exr"),
        ("s/0042.exr", 42, "s/s.exr"),
        ("v2/a1b.007.final.exr", 7, "v2/a1b.final.exr"),
        ("plain.exr", None, "plain.exr"),
    ],
)
def test_the_number_of_a_frame(path, number, title):
    assert frames.number(path) == number
    assert frames.title(path) == title


def test_fields_of_a_sequence():
    assert frames.fields(["a.%.009.x", "a.%.010.x"])["frames"] == "a.%%.%03d.x"
    assert frames.fields(["9.x", "10.x"]) == {
        "first": "9", "last": "10", "count": "2", "frames": "%d.x",
    }  # fmt: skip
    assert frames.fields(["x"]) == {}
    assert frames.anchor("x") == "x"


def test_gaps_are_named_as_files():
    found = {number: f"s/a.{number:03}.x" for number in (3, 4, 6, 9)}
    assert frames.gaps(found) == ("a.005.x", "a.007-008.x")
    assert frames.gaps(found, 1, 10) == ("a.001-002.x", "a.005.x", "a.007-008.x", "a.010.x")
    assert frames.gaps({1: "1.x"}) == ()


# ------------------------------------------------------------------ companions
def test_markers_and_sidecars_are_no_arrivals():
    marked = rule("m", done_file="{name}.done")
    folder = build.folder(marked, rule("s", allow={"a": Allowed(anything=True)}))
    assert "marker of rule m" in companions.of(folder, "sub/a.step.done")
    assert companions.of(folder, "a.step.watch.YAML") == "a sidecar: it belongs to a.step"
    assert companions.of(folder, "a.step") == ""
    assert companions.of(build.folder(), "a.step.watch.yaml") == ""
    assert companions.of(build.folder(), "a.step.done") == ""


def test_where_markers_and_sidecars_lie():
    plain = rule("m", done_file="{stem}.ok", allow={"a": Allowed(anything=True)})
    assert companions.markers(plain, "d/a.step") == ("d/a.ok",)
    assert companions.sidecars(plain, "d/a.step")[0] == "d/a.step.watch.yaml"
    whole = rule("f", done_file="{name}.done", bundle=FOLDER)
    assert companions.markers(whole, "set/b/x") == ("set.done", "set/set.done")
    assert companions.markers(rule("none"), "a") == ()
    assert companions.sidecars(rule("none"), "a") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{name}.done", ""),
        ("ready/{stem}.ok", ""),
        ("{ext}.x", "knows {name} and {stem}"),
        ("{name}", "must differ"),
        ("/x", "beside the file"),
        ("[x", "not closed"),
    ],
)
def test_what_can_be_a_marker(text, said):
    found = companions.problem(text)
    assert (said in found) if said else found == ""


# ------------------------------------------------------------------ a changed part
def test_a_part_that_changes_is_a_change_of_the_whole():
    part = Part("b", "b", Fingerprint(1, 1))
    record = build.file(FileState.WORKING, parts=(part,), digest="d")
    same = build.asset(parts=(part,), whole=True)
    grown = build.asset(parts=(part, Part("c", "c", Fingerprint(1, 1))), whole=True)
    assert verdict(record, same) is Verdict.SAME
    assert verdict(record, grown) is Verdict.REPLACED
    assert verdict(record, build.asset(parts=())) is Verdict.SAME  # its own parts may come and go
