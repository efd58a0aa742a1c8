"""Sources that cannot be removed, and names in the output that are taken."""

from __future__ import annotations

import pytest

from tests.e2e.place import Place, drop, tree

CONFLICTS = """\
state: ./var
http: off
folders:
  - name: in
    input: ./in
    output: ./out
    done: ./archive
    failed: ./failed
    settle: 0s
    rules:
"""
POLICIES = ("own", "replace", "rename", "skip", "fail")


@pytest.mark.parametrize("done", ["delete", "./archive"])
def test_a_source_that_cannot_be_removed_is_converted_once(tmp_path, mounts, done):
    place = Place(tmp_path, prefix=mounts.prefix, settle="0s", scan_every="1s", done=done)
    (tmp_path / "go").touch()
    mounts.run("mount", "-t", "tmpfs", "none", place.inp)
    inp = mounts.see(place.inp)
    drop(inp / "a.slow", b"a")
    drop(inp / "b.dat", b"b")
    mounts.run("mount", "-o", "remount,ro", place.inp)
    for _ in range(2):  # a restart does not convert it again either
        with place.running():
            place.wait(lambda: len(tree(place.out)) == 2, "both are delivered")
            place.wait(
                lambda: all("read-only" in str(row["reason"]) for row in place.told().values()),
                "and it is told why they stay",
            )
            assert {row["state"] for row in place.told().values()} == {"delivered"}
    with place.running():
        mounts.run("mount", "-o", "remount,rw", place.inp)
        place.wait(lambda: tree(inp) == {}, "now they can go")
        place.wait(lambda: {r["state"] for r in place.told().values()} == {"archived"})
    assert sorted(tree(place.out).values()) == [b"a", b"b"]
    assert (tmp_path / "runs").read_bytes() == b"a\n"
    if done != "delete":
        assert sorted(tree(place.archive).values()) == [b"a", b"b"]


def test_a_taken_name_is_dealt_with_as_the_rule_says(tmp_path):
    place = Place(tmp_path)
    rules = [
        f'      - {{name: {p}, match: "*.{p}", process: pass, on_conflict: {p}}}\n'
        for p in POLICIES
    ]
    place.config.write_text(CONFLICTS + "".join(rules))
    place.out.mkdir()
    for policy in POLICIES:
        (place.out / f"a.{policy}").write_bytes(b"theirs")
        drop(place.inp / f"a.{policy}", b"ours")
    assert place.once() == 1  # one of them is to fail
    assert tree(place.out) == {
        "a.own": b"theirs",
        "a (2).own": b"ours",
        "a.replace": b"ours",
        "a.rename": b"theirs",
        "a (2).rename": b"ours",
        "a.skip": b"theirs",
        "a.fail": b"theirs",
    }
    assert set(tree(place.failed)) == {"a.fail", "a.fail.error.txt"}
    assert b"exists in the output folder" in tree(place.failed)["a.fail.error.txt"]
    assert set(tree(place.archive)) == {f"a.{policy}" for policy in POLICIES if policy != "fail"}
    # what it delivered itself it replaces, and never what others put there meanwhile
    for policy in POLICIES:
        drop(place.inp / f"a.{policy}", b"newer")
    assert place.once() == 1
    found = tree(place.out)
    assert {found[f"a.{p}"] for p in ("own", "rename", "skip", "fail")} == {b"theirs"}
    assert found["a.replace"] == found["a (3).own"] == found["a (3).rename"] == b"newer"
    assert found["a (2).own"] == found["a (2).rename"] == b"ours"
