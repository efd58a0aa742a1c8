"""A file that comes again unchanged, as its rule wants it: seen through the commands."""

from __future__ import annotations

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
      - {name: texts, match: "*.txt", process: pass, on_repeat: POLICY}
"""


def watcher(*words: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "watcher", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("policy", "delivered", "planned"),
    [
        ("skip", ["a.txt"], "it is not converted again"),
        ("version", ["a (2).txt", "a.txt"], "names of their own"),
        ("again", ["a.txt"], "a.txt"),
    ],
)
def test_an_unchanged_file_that_comes_again(tmp_path, policy, delivered, planned):
    (tmp_path / "watcher.yaml").write_text(CONFIG.replace("POLICY", policy))
    (tmp_path / "in").mkdir()
    drop = tmp_path / "in" / "a.txt"
    drop.write_text("one")
    watcher("run", "--once", cwd=tmp_path)
    drop.write_text("one")
    assert planned in watcher("plan", cwd=tmp_path)
    watcher("run", "--once", cwd=tmp_path)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.txt")) == delivered
    assert (tmp_path / "archive" / "a.txt").read_text() == "one"
    assert not drop.exists()
    told = watcher("explain", "in/a.txt", cwd=tmp_path)
    assert ("not converted again" in told) is (policy == "skip")
    drop.write_text("two")
    watcher("run", "--once", cwd=tmp_path)
    assert (tmp_path / "out" / "a.txt").read_text() == "two"
