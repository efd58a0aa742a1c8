"""Receipts beside what was delivered, and over nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = """\
state: ./var
http: off
folders:
  - name: in
    input: ./in
    output: ./out
    done: ./archive
    settle: 0s
    rules:
      - {name: quiet, match: "*.quiet", process: api_test, receipt: true}
      - name: two
        match: "*.two"
        receipt: true
        jobs: [{process: api_test}, {process: sleep}]
      - {name: texts, match: "*.txt", process: pass, receipt: true}
      - {name: others, match: "*", process: pass}
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "watcher.yaml").write_text(CONFIG)
    (tmp_path / "in").mkdir()
    return tmp_path


def once(place):
    done = subprocess.run(
        [sys.executable, "-m", "watcher", "run", "--once"],
        capture_output=True,
        text=True,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr + done.stdout


def receipt(path):
    return json.loads(path.read_text())


def test_a_receipt_takes_the_place_of_its_elder_and_of_nothing_else(place):
    (place / "in" / "a.txt.json").write_text("[]")
    (place / "in" / "b.txt.json").write_text('{"output": "else"}')
    (place / "out" / "c.txt.json").mkdir(parents=True)
    once(place)
    for name in "abcd":
        (place / "in" / f"{name}.txt").write_text(name)
    once(place)
    (place / "in" / "d.txt").write_text("new")
    once(place)
    out = place / "out"
    assert (out / "a.txt.json").read_text() == "[]"
    assert (out / "b.txt.json").read_text() == '{"output": "else"}'
    assert receipt(out / "a.txt (2).json")["output"] == "a.txt"
    assert receipt(out / "c.txt (2).json")["output"] == "c.txt"
    assert receipt(out / "d.txt.json")["source"]["arrival"] == 2
    assert not list(out.glob("d.txt (*"))


def test_a_job_without_outputs_has_a_receipt_in_the_name_of_its_source(place):
    for _ in range(2):
        (place / "in" / "sub").mkdir(exist_ok=True)
        (place / "in" / "sub" / "a.quiet").write_text("x")
        (place / "in" / "b.two").write_text("x")
        once(place)
    made = sorted(str(p.relative_to(place / "out")) for p in (place / "out").rglob("*.json"))
    assert made == ["b.two/api_test.json", "b.two/sleep.json", "sub/a.quiet.json"]
    told = receipt(place / "out" / "sub" / "a.quiet.json")
    assert (told["output"], told["source"]["path"]) == (None, "sub/a.quiet")
    assert (told["process"], told["source"]["arrival"]) == ("api_test", 2)
