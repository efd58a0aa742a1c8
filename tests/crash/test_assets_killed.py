"""SIGKILL at steps of folders, chains and markers: an asset comes to its one end as a whole."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.zygote import Zygote

STRIDE = 4  # every so many steps
AT_ONCE = 4  # studios: they wait more than they work
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
    def __init__(self, root: Path, zygote: Zygote) -> None:
        self.root, self.zygote = root, zygote
        for name, content in DROPPED.items():
            (root / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "in" / name).write_text(content)
        (root / "watcher.yaml").write_text(CONFIG)

    def mortal(self, at: int, when: str) -> int:
        words = [self.root / "watcher.yaml", at, when]
        return self.zygote.wait(self.zygote.begin("mortal", self.root, words))

    def finish(self) -> int:
        return self.zygote.wait(self.zygote.begin("run", self.root, ["run", "--once"]))

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


@pytest.fixture
def zygote():
    made = Zygote()
    yield made
    made.close()


@pytest.mark.timeout(900)
def test_killed_at_steps_every_asset_comes_to_its_one_end(tmp_path, zygote):
    first = Studio(tmp_path / "whole", zygote)
    assert first.mortal(0, "never") == 0
    first.account()
    steps = int((first.root / "log").read_text().splitlines()[-1])
    assert steps > 15

    def die(at: int) -> None:
        studio = Studio(tmp_path / f"{at}", zygote)
        assert studio.mortal(at, "after") in (-9, 0)
        assert studio.finish() in (0, 1)
        studio.account()

    with ThreadPoolExecutor(AT_ONCE) as several:
        list(several.map(die, range(1, steps + 1, int(os.environ.get("STRIDE", STRIDE)))))
