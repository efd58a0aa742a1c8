"""What rules say, driven through the installed command: templates, conditions, windows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.serving import until

ROOT = Path(__file__).parents[2]


def watcher(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "watcher", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture
def studio(tmp_path):
    """A folder `in` with these rules, ready to run."""

    def make(rules: str, folder: str = "") -> Path:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "watcher.yaml").write_text(
            "state: ./var\nhttp: off\nfolders:\n"
            "  - name: in\n    input: ./in\n    output: ./out\n    done: ./archive\n"
            f"    settle: 100ms\n{folder}    rules:\n{rules}"
        )
        return tmp_path

    return make


def closed_now() -> str:
    """A window that opens in two days."""
    day = datetime.now(UTC) + timedelta(days=2)
    return f"{day:%a} 01:00-02:00 UTC"


def test_named_groups_fill_params_and_names(studio):
    place = studio(
        '      - match: {regex: "sh(?<shot>[0-9]+)_v(?<take>[0-9]+)"}\n'
        "        process: sleep\n"
        '        params: {seconds: "{shot}"}\n'
        '        deliver: "{shot}/{stem}_v{version:03}.{ext}"\n'
    )
    (place / "in" / "sh10_v2.txt").write_text("x")
    plan = json.loads(watcher("plan", "--json", cwd=place).stdout)[0]
    assert plan["jobs"][0]["params"] == {"seconds": 10}
    assert plan["jobs"][0]["deliver"].endswith("out/10/sh10_v2_v001.*")


def test_a_closed_window_holds_submission_not_detection(studio):
    place = studio(
        f'      - {{name: nightly, match: "*.txt", process: pass, when: "{closed_now()}"}}\n'
        '      - {name: now, match: "*", process: pass}\n'
    )
    (place / "in" / "late.txt").write_text("x")
    (place / "in" / "soon.bin").write_text("x")
    ended = watcher("run", "--once", cwd=place)
    assert ended.returncode == 1, ended.stderr
    assert (place / "out" / "soon.bin").exists()
    assert (place / "in" / "late.txt").exists()
    assert not (place / "out" / "late.txt").exists()
    states = json.loads(watcher("files", "--json", cwd=place).stdout)
    assert {row["path"]: row["state"] for row in states}["late.txt"] == "accepted"
    told = watcher("explain", "in/late.txt", cwd=place)
    assert "the window opens" in told.stdout
    assert "the window opens" in watcher("plan", cwd=place).stdout


def test_content_decides_where_names_do_not(studio):
    place = studio(
        '      - {name: zips, match: {content: zip}, process: pass, deliver: "zip/{name}"}\n'
        '      - {name: rest, match: {not: {max_size: 0}}, process: pass, deliver: "rest/{name}"}\n'
    )
    (place / "in" / "a.dat").write_bytes(b"PK\x03\x04rest")
    (place / "in" / "b.dat").write_bytes(b"plain")
    (place / "in" / "empty.dat").write_bytes(b"")
    assert watcher("run", "--once", cwd=place).returncode == 0
    assert (place / "out" / "zip" / "a.dat").exists()
    assert (place / "out" / "rest" / "b.dat").exists()
    assert (place / "in" / "empty.dat").exists()


def peak(log: Path) -> dict[str, int]:
    """How many ran at once at most, by their name."""
    now: dict[str, int] = {}
    most: dict[str, int] = {}
    for line in log.read_text().splitlines():
        name, word = line.split()
        now[name] = now.get(name, 0) + (1 if word == "begin" else -1)
        now["all"] = now.get("all", 0) + (1 if word == "begin" else -1)
        for key in (name, "all"):
            most[key] = max(most.get(key, 0), now[key])
    return most


def test_limits_of_rule_and_folder_hold(studio):
    run = (
        'command: [sh, -c, "echo {rule} begin >> {here}/log; until [ -e {here}/go ]; do sleep 0.05;'
        ' done; sleep 0.4; echo {rule} end >> {here}/log; echo > x"]'
    )
    place = studio(
        f'      - {{name: one, match: "a*", max_in_flight: 1, {run}}}\n'
        f'      - {{name: many, match: "*", {run}}}\n',
        "    max_in_flight: 3\n",
    )
    config = place / "watcher.yaml"
    config.write_text(config.read_text() + "scheduler: {workers: 6}\n")
    for number in range(4):
        (place / "in" / f"a{number}").write_text("x")
    for number in range(8):
        (place / "in" / f"b{number}").write_text("x")
    log = place / "log"
    with ThreadPoolExecutor() as pool:
        ran = pool.submit(watcher, "run", "--once", cwd=place)
        try:
            until(
                lambda: ran.done() or (log.exists() and peak(log).get("all", 0) >= 3),
                what="three jobs at once",
            )
        finally:
            (place / "go").touch()
        assert ran.result().returncode == 0
    most = peak(log)
    assert (most["one"], most["all"]) == (1, 3)
    assert most["many"] in {2, 3}


def test_higher_priority_goes_first(studio):
    run = 'command: [sh, -c, "echo {name} >> {here}/log; echo > x"]'
    place = studio(
        f'      - {{name: late, match: "l*", {run}}}\n'
        f'      - {{name: soon, match: "s*", priority: 5, {run}}}\n'
    )
    config = place / "watcher.yaml"
    config.write_text(config.read_text() + "scheduler: {workers: 1, max_in_flight: 1}\n")
    for number in range(3):
        (place / "in" / f"l{number}").write_text("x")
        (place / "in" / f"s{number}").write_text("x")
    assert watcher("run", "--once", cwd=place).returncode == 0
    order = (place / "log").read_text().split()
    # the very first may have begun before the others had settled
    assert {"s0", "s1", "s2"} <= set(order[:4])
