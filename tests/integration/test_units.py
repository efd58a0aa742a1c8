"""Units of many files in the real intake: what grows, what is alone, what is not taken at all."""

from __future__ import annotations

import threading
import time

import pytest

from tests.integration.test_intake import KnownFiles, running
from watcher.core.model import FileRecord, FileState, Part
from watcher.core.settings import Allowed, Bundle, JobSpec, Match, Rule
from watcher.daemon import assembly
from watcher.daemon.sightings import Arrival


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(assembly, "REST", 0.3)


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "in"
    path.mkdir()
    return path


def rule(name: str, *globs: str, process: str = "p", **keys) -> Rule:
    keys = {"wait_for_parts": 0.5, **keys}
    jobs = (JobSpec(label="j", process=process),)
    return Rule(name=name, match=Match(globs=globs or ("*",)), jobs=jobs, **keys)


def put(root, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def arrived(box) -> dict[str, tuple[str, list[str]]]:
    """Main files with their rule and the names of their parts."""
    box.wait_idle()
    assets = [one.asset for one in box.heard.of(Arrival)]
    return {a.path: (a.rule, sorted(part.name for part in a.parts)) for a in assets}


class Live(KnownFiles):
    """A ledger that knows what arrived."""

    def __init__(self):
        super().__init__()
        del self.live  # the parent's dictionary; here it is the port's method
        self.records = {}

    def live(self, _folder, paths):
        return {path: self.records[path] for path in paths if path in self.records}


def live_ledger():
    made = Live()
    made.known = lambda *_: set()
    made.directories = lambda _: iter(())
    return made


def test_a_folder_of_two_rules_and_of_none(root):
    put(root, "one/a.asm", "one/b.txt", "two/c.obj", "two/t.prt", "three/d.bin", "three/e.txt")
    rules = (
        rule("asm", "*.asm", bundle=Bundle(kind="folder")),
        rule("obj", "*.obj", bundle=Bundle(kind="folder")),
        rule("txt", "*.txt", process="pass"),
    )
    with running(root, rules=rules) as box:
        assert arrived(box) == {
            "one/a.asm": ("asm", ["b.txt"]),
            "two/c.obj": ("obj", ["t.prt"]),
            "three/e.txt": ("txt", []),
        }


def test_a_released_file_may_itself_have_more(root):
    put(root, "x/m.mtl", "x/s.01.png", "x/s.02.png", "x/a.part1", "x/main.top")
    (root / "x" / "a.obj").write_text("mtllib m.mtl\nv 0 0 0\n")
    rules = (
        rule("none", "*.nothing", bundle=Bundle(kind="folder")),
        rule("seq", "*.png", bundle=Bundle(kind="sequence")),
        rule("top", bundle=Bundle(kind="pattern", main=("*.top",), members=("*.part1",))),
        rule("obj", "*.obj"),
    )
    with running(root, rules=rules) as box:
        assert arrived(box) == {
            "x/s.01.png": ("seq", ["s.02.png"]),
            "x/main.top": ("top", ["a.part1"]),
            "x/a.obj": ("obj", ["m.mtl"]),
        }


def test_a_member_without_a_main_file(root):
    bundle = Bundle(kind="pattern", main=("*.top",), members=("*.prt", "*.cgr"))
    put(root, "a.prt", "b.cgr", "d/c.prt")
    rules = (rule("asm", "*.top", "*.prt", bundle=bundle), rule("rest", "d/*"))
    with running(root, rules=rules) as box:
        found = arrived(box)
        assert found == {"a.prt": ("asm", []), "d/c.prt": ("rest", [])}
        lone = next(one.asset for one in box.heard.of(Arrival) if one.asset.path == "a.prt")
        assert lone.missing == ("*.top",)
        # its main file comes after all
        put(root, "z.top")
        box.wait_paths(["z.top"])


def test_a_member_that_goes_while_it_waits_is_nobody(root):
    bundle = Bundle(kind="pattern", main=("*.top",), members=("*.prt",))
    with running(root, rules=(rule("asm", "*.top", bundle=bundle, wait_for_parts=2.0),)) as box:
        put(root, "a.prt")
        (root / "a.prt").unlink()
        box.wait_idle()
        assert box.heard.of(Arrival) == []


def test_a_unit_that_is_known_is_no_news(root):
    put(root, "s.1.exr", "s.2.exr")
    ledger = live_ledger()
    with running(root, ledger, rules=(rule("seq", bundle=Bundle(kind="sequence")),)) as box:
        first = box.heard.of(Arrival)[0].asset
        ledger.records[first.path] = FileRecord(
            id=1, folder="in", path=first.path, arrival=1, state=FileState.DELIVERED, rule="seq",
            print=first.print, parts=first.parts,
        )  # fmt: skip
        box.intake.rescan()
        box.wait_idle()
        assert len(box.heard.of(Arrival)) == 1
        put(root, "s.3.exr")
        box.heard.wait(lambda: len(box.heard.of(Arrival)) > 1)
        last = box.heard.of(Arrival)[-1].asset
        assert [part.path for part in last.parts] == ["s.2.exr", "s.3.exr"]
        assert all(isinstance(part, Part) for part in last.parts)


def test_a_sidecar_that_comes_later_points_at_its_file(root):
    with running(root, rules=(rule("s", "*.step", allow={"w": Allowed(anything=True)}),)) as box:
        put(root, "a.step")
        box.wait_paths(["a.step"])
        (root / "a.step.watch.yaml").write_text("w: 3")
        (root / "nobody.step.watch.yaml").write_text("w: 3")
        (root / "dir").mkdir()
        (root / "dir.watch.yaml").write_text("w: 3")
        box.heard.wait(lambda: len(box.heard.of(Arrival)) > 1)
        box.wait_idle()
        last = box.heard.of(Arrival)[-1].asset
        assert last.params == {"w": 3}
        assert [part.name for part in last.parts] == [""]


def test_a_folder_is_not_at_rest_while_a_copy_writes_under_another_name(root, monkeypatch):
    monkeypatch.setattr(assembly, "REST", 1.0)  # for less, a writer may be held up
    put(root, "set/a.bin")
    stop = threading.Event()

    def copying():
        number = 0
        while not stop.is_set():
            (root / "set" / ".b.bin.Xy12").write_text(str(number := number + 1))
            time.sleep(0.05)
        (root / "set" / ".b.bin.Xy12").rename(root / "set" / "b.bin")

    writer = threading.Thread(target=copying)
    writer.start()
    with running(root, quiet=False, rules=(rule("f", bundle=Bundle(kind="folder")),)) as box:
        time.sleep(1.5)
        assert box.heard.of(Arrival) == []
        stop.set()
        writer.join()
        box.wait_paths(["set/a.bin"])
        assert arrived(box) == {"set/a.bin": ("f", ["b.bin"])}


def test_a_marker_is_waited_for_and_counted(root):
    put(root, "a.dat", "set/x")
    rules = (
        rule("m", "*.dat", done_file="{name}.ok", process="pass"),
        rule("f", bundle=Bundle(kind="folder"), done_file="DONE"),
    )
    with running(root, rules=rules) as box:
        assert box.heard.of(Arrival) == []
        assert box.intake.parked() == 2
        put(root, "a.dat.ok", "set/DONE")
        box.wait_paths(["a.dat", "set/x"])
        assert box.intake.parked() == 0
