"""Sidecars: parameters of one file beside it, within what the rule allows."""

from __future__ import annotations

import json

import pytest

from tests.e2e.test_bundles import below, fill, listed, listing
from tests.e2e.test_studio_rules import studio, watcher

__all__ = ["listing", "studio"]
ALLOW = "allow: {extension: [glb, gltf], width: 64..4096}, params: {extension: glb}"


def test_a_sidecar_overrides_what_its_rule_allows(listing):
    more = '      - {name: rest, match: "*", process: pass, deliver: "rest/{name}"}\n'
    place = listing(f'match: "*.step", {ALLOW}', more)
    fill(place, "a.step", "b.step", "c.step", "d.step")
    (place / "in" / "a.step.watch.yaml").write_text("extension: gltf\nwidth: 100\n")
    (place / "in" / "b.step.watch.json").write_text('{"width": 9000, "heigth": 1}')
    (place / "in" / "c.step.watch.yml").write_text("a: [")
    (place / "in" / "plain.watch.txt").write_text("no sidecar")
    plan = json.loads(watcher("plan", "--json", cwd=place).stdout)
    rows = {row["file"]: row for row in plan}
    assert rows["a.step"]["jobs"][0]["params"] == {"extension": "gltf", "width": 100}
    assert rows["a.step.watch.yaml"]["why"] == "a sidecar: it belongs to a.step"
    assert "width must be" in str(rows["b.step"]["notes"])
    assert watcher("run", "--once", cwd=place).returncode == 1
    assert listed(place, "a.json")["params"] == {"extension": "gltf", "width": 100}
    assert listed(place, "a.json")["names"] == ["a.step"]
    assert listed(place, "d.json")["params"] == {"extension": "glb"}
    assert below(place / "out" / "rest") == ["plain.watch.txt"]
    assert below(place / "archive") == [
        "a.step", "a.step.watch.yaml", "d.step", "plain.watch.txt",
    ]  # fmt: skip
    failed = place / "failed" / "in"
    text = (failed / "b.step.error.txt").read_text()
    assert "sidecar b.step.watch.json: width must be a whole number from 64 to 4096" in text
    assert "'heigth' may not be set here; allowed: extension, width" in text
    assert "cannot be read as YAML or JSON" in (failed / "c.step.error.txt").read_text()
    assert (failed / "b.step.watch.json").exists()
    assert "sidecar: " in watcher("explain", "in/a.step", cwd=place).stdout


def test_a_folder_has_its_sidecar_beside_it(listing):
    place = listing(f'match: "*", bundle: folder, {ALLOW}')
    (place / "in" / "set.watch.yaml").write_text("width: 64")
    fill(place, "set/1.png", "set/1.png.watch.yaml")  # one inside is a file like any other
    assert watcher("run", "--once", cwd=place).returncode == 0
    assert listed(place, "set.json")["params"] == {"extension": "glb", "width": 64}
    assert below(place / "archive") == ["set.watch.yaml", "set/1.png", "set/1.png.watch.yaml"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"x" * 70000, "larger than 64 KiB"),
        (b"- a\n- b", "must hold parameters"),
    ],
)
def test_odd_sidecars_are_told(listing, content, said):
    place = listing(f'match: "*.step", {ALLOW}')
    fill(place, "a.step")
    (place / "in" / "a.step.watch.yaml").write_bytes(content)
    assert watcher("run", "--once", cwd=place).returncode == 1
    assert said in (place / "failed" / "in" / "a.step.error.txt").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("allow: {a: []}", "allow: a needs at least one value"),
        ("allow: {a: 4..1}", "is empty"),
        ("allow: {}", "allows nothing"),
        ("allow: [a]", "allow must be a mapping"),
    ],
)
def test_check_reads_allow(studio, words, said):
    place = studio(f'      - {{match: "*", process: api_test, {words}}}\n')
    done = watcher("check", cwd=place)
    assert done.returncode == 2
    assert said in done.stdout
