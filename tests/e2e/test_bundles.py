"""Many files that are one job: folders, sequences, main files with members, archives, markers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

from tests.e2e.test_studio_rules import ROOT, studio, watcher
from tests.serving import until

__all__ = ["studio"]
MODELS = ROOT / "tests" / "models"
LIST = """\
import os, json
def main(pc, params):
    top = pc.get_input_dir()
    names = sorted(
        os.path.relpath(os.path.join(f, n), top) for f, _, ns in os.walk(top) for n in ns
    )
    told = {"names": names, "main": os.path.relpath(pc.get_input_file(), top), "params": params}
    with open(pc.get_output_dir("told.json"), "w") as file:
        json.dump(told, file)
"""


def listed(place: Path, output: str) -> dict:
    return json.loads((place / "out" / output).read_text())


def files(place: Path) -> dict[str, str]:
    done = watcher("files", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    return {row["path"]: row["state"] for row in rows}


def fill(place: Path, *names: str) -> None:
    for name in names:
        path = place / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def listing(studio):
    """A studio whose rules run a script that lists its inputs."""

    def make(rule: str, more: str = "") -> Path:
        place = studio(f"      - {{{rule}, script: ./list.py, receipt: false}}\n{more}")
        (place / "list.py").write_text(LIST)
        return place

    return make


def test_a_folder_is_one_job_and_moves_as_one(listing):
    place = listing('name: drop, match: "*", bundle: folder, root_file: "*.asm"')
    fill(place, "robot.v2/parts/a.prt", "robot.v2/z.asm", "robot.v2/tex/t.png", "loose.txt")
    plan = watcher("plan", cwd=place).stdout
    assert "robot.v2" in plan
    assert "takes folders" in plan
    assert watcher("run", "--once", cwd=place).returncode == 0
    told = listed(place, "robot.v2.json")
    assert told["names"] == ["parts/a.prt", "tex/t.png", "z.asm"]
    assert told["main"] == "z.asm"
    assert below(place / "archive") == [
        "robot.v2/parts/a.prt", "robot.v2/tex/t.png", "robot.v2/z.asm",
    ]  # fmt: skip
    assert not (place / "in" / "robot.v2").exists()
    assert (place / "in" / "loose.txt").exists()
    assert files(place) == {"robot.v2/z.asm": "archived"}
    assert "archived" in watcher("explain", "in/robot.v2", cwd=place).stdout


def test_a_folder_fails_as_one_and_is_retried_as_one(studio):
    place = studio(
        '      - {name: drop, match: "*", bundle: folder, root_file: "*.asm", wait_for_parts: 1s,'
        " process: pass}\n"
    )
    fill(place, "robot/a.prt", "robot/sub/b.prt")
    assert watcher("run", "--once", cwd=place).returncode == 1
    assert below(place / "failed" / "in") == ["robot.error.txt", "robot/a.prt", "robot/sub/b.prt"]
    assert "*.asm" in (place / "failed" / "in" / "robot.error.txt").read_text()
    # the same again: the second failure keeps beside the first
    fill(place, "robot/a.prt", "robot/sub/b.prt")
    assert watcher("run", "--once", cwd=place).returncode == 1
    assert (place / "failed" / "in" / "robot (2)" / "sub" / "b.prt").exists()
    assert watcher("retry", "in/robot", cwd=place).returncode == 0
    (place / "in" / "robot").mkdir(exist_ok=True)
    fill(place, "robot/top.asm")
    assert watcher("run", "--once", cwd=place).returncode == 0
    assert below(place / "out") == ["robot/a.prt", "robot/sub/b.prt", "robot/top.asm"]
    assert not (place / "failed" / "in" / "robot (2)").exists()


def test_a_folder_that_grows_slowly_is_sent_once(listing):
    place = listing('match: "*", bundle: folder')
    names = [f"set/{number}.png" for number in range(5)]

    def drop():
        for name in names:
            fill(place, name)
            time.sleep(0.7)

    writer = threading.Thread(target=drop)
    writer.start()
    fill(place, "set/0.png")
    assert watcher("run", "--once", cwd=place).returncode == 0
    writer.join()
    assert listed(place, "set.json")["names"] == [f"{number}.png" for number in range(5)]
    assert len(files(place)) == 1


def test_a_folder_that_no_rule_gathers_goes_file_by_file(studio):
    place = studio(
        '      - {name: early, match: "*.zip", process: pass, deliver: "zip/{name}"}\n'
        '      - {name: asm, match: "*.asm", bundle: folder, process: pass,'
        ' deliver: "a/{output}"}\n'
        '      - {name: rest, match: "*", process: pass, deliver: "rest/{relpath}"}\n'
    )
    fill(place, "one/a.txt", "one/b.zip", "two/x.asm", "two/y.txt", "two/z.zip", "top.txt")
    assert watcher("run", "--once", cwd=place).returncode == 0
    assert below(place / "out") == [
        "a/x.asm", "a/y.txt", "rest/one/a.txt", "rest/top.txt", "zip/b.zip", "zip/z.zip",
    ]  # fmt: skip


def test_a_sequence_is_one_job_with_its_frames(listing):
    place = listing(
        'match: "*.exr", bundle: sequence, params: {a: "{first}", b: "{last}", n: "{count}",'
        ' f: "{frames}"}'
    )
    fill(place, *(f"shots/sh.{number:04d}.exr" for number in range(7, 11)))
    assert watcher("run", "--once", cwd=place).returncode == 0
    told = listed(place, "shots/sh.json")
    assert told["names"] == [f"sh.{number:04d}.exr" for number in range(7, 11)]
    assert told["params"] == {"a": 7, "b": 10, "n": 4, "f": "sh.%04d.exr"}
    assert below(place / "archive" / "shots") == told["names"]


def test_gaps_of_a_sequence_are_named(studio):
    place = studio(
        '      - {bundle: {main: "sh.####.exr", first: 1, last: 12}, wait_for_parts: 1s,'
        " process: pass}\n"
    )
    fill(place, *(f"sh.{number:04d}.exr" for number in (2, 3, 5, 9)), "sh.12345.exr")
    assert watcher("run", "--once", cwd=place).returncode == 1
    text = (place / "failed" / "in" / "sh.0002.exr.error.txt").read_text()
    assert "sh.0001.exr, sh.0004.exr, sh.0006-0008.exr, sh.0010-0012.exr" in text
    assert (place / "failed" / "in" / "sh.0009.exr").exists()
    assert (place / "in" / "sh.12345.exr").exists()


def test_a_main_file_takes_its_members_and_waits_for_them(listing):
    more = '      - {name: rest, match: "*", process: pass, deliver: "rest/{name}"}\n'
    place = listing(
        'bundle: {main: "*.CATProduct", with: ["*.CATPart", "*.cgr"]}, wait_for_parts: 1s', more
    )
    fill(place, "a/sub/one.CATPart", "a/top.CATProduct", "a/x.cgr", "b/lonely.catpart")
    fill(place, "c/lacks.CATProduct", "c/x.cgr")
    assert watcher("run", "--once", cwd=place).returncode == 1
    assert listed(place, "a/top.json")["names"] == ["sub/one.CATPart", "top.CATProduct", "x.cgr"]
    assert (place / "out" / "rest" / "lonely.catpart").exists()
    text = (place / "failed" / "in" / "c" / "lacks.CATProduct.error.txt").read_text()
    assert "did not come within 1 s: *.CATPart" in text
    assert (place / "failed" / "in" / "c" / "x.cgr").exists()


def test_an_archive_is_dropped_as_it_is_and_the_rule_chooses(studio):
    place = studio(
        '      - {name: z, match: "*.zip", root_file: "wanted*.obj", process: convert_file,'
        " params: {extension: stl}}\n"
    )
    cube = MODELS / "obj_textured" / "fuze.obj"
    with zipfile.ZipFile(place / "in" / "good.zip", "w") as archive:
        archive.writestr("a/other.gltf", "{}")
        archive.write(cube, "b/Wanted.obj")
    with zipfile.ZipFile(place / "in" / "bad.zip", "w") as archive:
        archive.writestr("x.txt", "x")
    (place / "in" / "cut.zip").write_bytes(b"PK\x03\x04")
    assert watcher("run", "--once", cwd=place).returncode == 1
    assert (place / "out" / "good.stl").stat().st_size > 1000
    failed = place / "failed" / "in"
    assert (
        "no file in the archive matches root_file 'wanted*.obj'; it holds x.txt"
        in (failed / "bad.zip.error.txt").read_text()
    )
    assert (failed / "cut.zip.error.txt").exists()


def test_a_marker_says_when(studio):
    place = studio(
        '      - {name: m, match: "*.dat", done_file: "{name}.done", process: pass}\n'
        '      - {name: d, match: "*", bundle: folder, done_file: "{name}.done", process: pass}\n'
        '      - {name: rest, match: "*", process: pass, deliver: "rest/{name}"}\n'
    )
    fill(place, "a.dat", "b.dat", "b.dat.done", "set/1.png", "other.txt")
    ended = watcher("run", "--once", cwd=place)
    assert ended.returncode == 1
    assert below(place / "out") == ["b.dat", "rest/other.txt"]
    assert below(place / "archive") == ["b.dat", "b.dat.done", "other.txt"]
    plan = watcher("plan", cwd=place).stdout
    assert "waits for a.dat.done" in plan
    assert "waits for set.done" in plan
    fill(place, "a.dat.done", "set.done")
    assert watcher("run", "--once", cwd=place).returncode == 0
    assert below(place / "out") == ["a.dat", "b.dat", "rest/other.txt", "set/1.png"]
    assert not below(place / "in")


def test_a_marker_ends_the_wait_of_a_running_daemon(studio):
    place = studio('      - {match: "*.dat", done_file: "{stem}.ok", process: pass}\n')
    daemon = subprocess.Popen(
        [sys.executable, "-m", "watcher", "run"], cwd=place, stdout=subprocess.DEVNULL
    )
    try:
        fill(place, "a.dat")
        time.sleep(2)
        assert not (place / "out" / "a.dat").exists()
        fill(place, "a.ok")
        until(lambda: below(place / "archive") == ["a.dat", "a.ok"], what="both in the archive")
    finally:
        daemon.terminate()
        daemon.wait(60)


def test_a_late_member_supersedes_what_is_in_work(studio):
    place = studio(
        '      - {match: "*.exr", bundle: sequence,'
        ' command: [sh, -c, "touch {here}/begun; until [ -e {here}/go ]; do sleep 0.1; done;'
        ' ls {input_dir} > n"], deliver: "{stem}"}\n'
    )
    fill(place, "s.2.exr", "s.3.exr")
    with (place / "log").open("w") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "watcher", "run"], cwd=place, stdout=log, stderr=log
        )
    try:
        until((place / "begun").exists, what="the first job")
        fill(place, "s.1.exr")
        accepted = lambda: (place / "log").read_text().count("file.accepted")  # noqa: E731
        until(lambda: accepted() == 2, what="the late member")
        (place / "go").touch()
        until(lambda: len(below(place / "archive")) == 3, what="all in the archive")
    finally:
        (place / "go").touch()
        daemon.terminate()
        daemon.wait(60)
    assert (place / "out" / "s").read_text().split() == ["s.1.exr", "s.2.exr", "s.3.exr"]
    assert below(place / "out") == ["s"]
    assert below(place / "archive") == ["s.1.exr", "s.2.exr", "s.3.exr"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("bundle: folders", "must be folder, sequence"),
        ("bundle: {with: ['*.x']}", "bundle needs `main`"),
        ("bundle: {kind: folder, with: ['*.x']}", "no `with`"),
        ("bundle: {main: '*.x', first: 1}", "frames of a sequence"),
        ("bundle: {kind: sequence, first: 3, last: 1}", "first is after last"),
        ("bundle: {main: '[x'}", "pattern '[x'"),
        ('done_file: "{name}"', "must differ"),
        ('done_file: "{ext}.done"', "knows {name} and {stem}"),
        ('done_file: "../{name}.done"', "beside the file"),
        ("root_file: '{x'", "a brace is not closed"),
    ],
)
def test_check_reads_bundles(studio, words, said):
    place = studio(f'      - {{match: "*", process: pass, {words}}}\n')
    done = watcher("check", cwd=place)
    assert done.returncode == 2
    assert said in done.stdout


def test_real_models_in_a_folder_and_a_sequence_of_pictures(studio):
    place = studio(
        '      - {match: "*", bundle: folder, process: convert_file, params: {extension: glb}}\n'
    )
    shutil.copytree(MODELS / "obj_textured", place / "in" / "fuze")
    shutil.copytree(MODELS / "gltf_multi", place / "in" / "scene" / "deep")
    assert watcher("run", "--once", cwd=place).returncode == 0
    for name in ("fuze.glb", "scene.glb"):
        assert (place / "out" / name).read_bytes()[:4] == b"glTF"
    assert b"image/" in (place / "out" / "fuze.glb").read_bytes()[:20000]


def test_references_of_dae_and_mtl_are_waited_for_and_named(studio):
    place = studio(
        '      - {match: "*.{dae,obj}", process: convert_file, params: {extension: glb},'
        " wait_for_parts: 2s}\n"
    )
    dae = (MODELS / "blue_cube.dae").read_text()
    images = (
        "<library_images><image id='a'><init_from>{}</init_from></image></library_images></COLLADA>"
    )
    lacking = dae.replace("</COLLADA>", images.format("tex\\not%20there.png"))
    (place / "in" / "lacks.dae").write_text(lacking)
    (place / "in" / "whole.dae").write_text(
        dae.replace("</COLLADA>", images.format("file:///C:/work/Wood.PNG"))
    )
    shutil.copy(MODELS / "obj_textured" / "fuze uv.jpg", place / "in" / "wood.png")
    fuze = (MODELS / "obj_textured" / "fuze.obj").read_text()
    (place / "in" / "a.obj").write_text(fuze.replace("fuze.obj.mtl", "M.MTL"))
    (place / "in" / "m.mtl").write_text(
        "newmtl m\nmap_Kd -bm 0.5 -s 1 1 1 fuze UV.jpg\nrefl -type sphere gone.png\n"
    )
    shutil.copy(MODELS / "obj_textured" / "fuze uv.jpg", place / "in" / "fuze uv.jpg")
    assert watcher("run", "--once", cwd=place).returncode == 1
    failed = place / "failed" / "in"
    assert "2 s: tex/not there.png" in (failed / "lacks.dae.error.txt").read_text()
    assert "2 s: gone.png" in (failed / "a.obj.error.txt").read_text()
    assert (failed / "fuze uv.jpg").exists()
    assert (place / "out" / "whole.glb").exists()
    assert (place / "archive" / "wood.png").exists()


def test_members_that_stay_are_no_news_and_what_changes_is(studio):
    place = studio('      - {match: "*", bundle: folder, process: pass}\n', "    scan_every: 1s\n")
    config = place / "watcher.yaml"
    config.write_text(config.read_text().replace("done: ./archive", "done: keep"))
    fill(place, "set/1.png", "set/2.png")
    with (place / "log").open("w") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "watcher", "-v", "run"], cwd=place, stdout=log, stderr=log
        )

    try:
        until((place / "out" / "set" / "2.png").exists, what="the first two")
        scans = (place / "log").read_text().count("scan.done")
        until(lambda: (place / "log").read_text().count("scan.done") > scans + 3, what="more scans")
        assert (place / "log").read_text().count("file.accepted") == 1
        fill(place, "set/3.png")
        until((place / "out" / "set" / "3.png").exists, what="the third")
        assert "set/1.png" in str(files(place))
    finally:
        daemon.terminate()
        daemon.wait(60)


def test_a_delivered_folder_is_deleted_as_one_and_a_tarball_has_its_root(listing):
    place = listing(
        'name: t, match: "*.tgz", root_file: "*.obj"',
        '      - {name: f, match: "*", bundle: folder, process: pass}\n',
    )
    config = place / "watcher.yaml"
    config.write_text(config.read_text().replace("done: ./archive", "done: delete"))
    fill(place, "set/deep/1.png", "set/2.png")
    fill(place, "../packed/a.gltf", "../packed/b.obj")
    with tarfile.open(place / "in" / "pack.tgz", "w:gz") as archive:
        archive.add(place / "packed", "top")
    assert watcher("run", "--once", cwd=place).returncode == 0
    assert below(place / "out") == ["pack.json", "set/2.png", "set/deep/1.png"]
    assert listed(place, "pack.json")["main"] == "top/b.obj"
    assert not list((place / "in").iterdir())


def test_plan_tells_why_and_with_what(studio):
    place = studio(
        '      - {name: asm, bundle: {main: "*.asm", with: ["*.prt"]}, process: pass}\n'
        '      - {name: seq, match: "*.exr", bundle: sequence, process: pass}\n'
        "      - {name: dat, match: {content: zip}, process: pass}\n"
    )
    fill(place, "a/top.asm", "a/1.prt", "b/lone.prt", "s.1.exr", "s.4.exr", "plain.dat", "n.exr")
    rows = {row["file"]: row for row in json.loads(watcher("plan", "--json", cwd=place).stdout)}
    assert rows["a/top.asm"]["parts"] == ["a/1.prt"]
    assert rows["a/1.prt"]["part_of"] == "a/top.asm"
    assert rows["b/lone.prt"]["why"] == "waits for its main file *.asm"
    assert rows["s.1.exr"]["awaits"] == ["s.2-3.exr"]
    assert rows["s.1.exr"]["not"] == {"asm": "is not the main file '*.asm' of the bundle"}
    assert rows["s.4.exr"]["part_of"] == "s.1.exr"
    assert "content does not begin as zip" in rows["plain.dat"]["why"]
    assert "no number" in rows["n.exr"]["why"]
    told = json.loads(watcher("plan", "--json", "--file", "in/x/new.asm", cwd=place).stdout)
    assert (told[0]["rule"], told[0]["awaits"]) == ("asm", ["*.prt"])
    assert "waits for its main file" in watcher("explain", "in/b/lone.prt", cwd=place).stdout
