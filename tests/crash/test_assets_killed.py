"""SIGKILL at steps of folders, chains and markers: an asset comes to its one end as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MORTAL = Path(__file__).with_name("mortal.py")
STRIDE = 5  # every so many steps: each costs two starts and the rest that a folder waits for
CONFIG = """
state: ./var
http: off
scheduler: {workers: 1}
folders:
  - name: in
    input: ./in
    output: ./out
    done: ./archive
    failed: ./failed
    settle: 50ms
    rules:
      - name: marked
        match: "*.dat"
        done_file: "{name}.done"
        process: pass
      - name: sets
        match: "*"
        bundle: folder
        root_file: "*.main"
        wait_for_parts: 100ms
        command: [sh, -c, "cp '{input}' one.out"]
        keep: false
        then: {command: [sh, -c, "cp '{input}' two.out"]}
        deliver: "{stem}/{output}"
"""
DROPPED = {
    "good/a.main": "good",
    "good/deep/b.prt": "part",
    "lacks/c.prt": "part",
    "lacks/deep/d.prt": "part",
    "x.dat": "data",
    "x.dat.done": "",
}


class Studio:
    def __init__(self, root: Path) -> None:
        self.root = root
        for name, content in DROPPED.items():
            (root / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "in" / name).write_text(content)
        (root / "watcher.yaml").write_text(CONFIG)

    def start(self, *command) -> int:
        with (self.root / "log").open("a") as log:
            return subprocess.run(
                [sys.executable, *map(str, command)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                timeout=100,
            ).returncode

    def mortal(self, at: int, when: str) -> int:
        return self.start(MORTAL, self.root / "watcher.yaml", at, when)

    def finish(self) -> int:
        return self.start("-m", "watcher", "run", "--once", "-c", self.root / "watcher.yaml")

    def names(self, folder: str) -> list[str]:
        base = self.root / folder
        return sorted(str(path.relative_to(base)) for path in base.rglob("*") if path.is_file())

    def account(self) -> None:
        log = (self.root / "log").read_text()
        assert self.names("out") == ["good/two.out", "x.dat"], log
        whole = [name for name in DROPPED if not name.startswith("lacks")]
        assert self.names("archive") == sorted(whole), log
        lacking = [name for name in DROPPED if name.startswith("lacks")]
        assert self.names("failed") == sorted(["lacks.error.txt", *lacking]), log
        assert not list((self.root / "in").iterdir()), log
        assert self.names("var/staging") == [], log


@pytest.mark.timeout(900)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_steps_every_asset_comes_to_its_one_end(tmp_path, when):
    first = Studio(tmp_path / "whole")
    assert first.mortal(0, "never") == 0
    first.account()
    steps = int((first.root / "log").read_text().splitlines()[-1])
    assert steps > 15
    stride = int(os.environ.get("STRIDE", STRIDE))
    for at in range(1 + (when == "after"), steps + 1, stride):
        studio = Studio(tmp_path / f"{at}")
        assert studio.mortal(at, when) in (-9, 0)
        assert studio.finish() in (0, 1)
        studio.account()
