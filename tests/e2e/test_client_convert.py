"""convert, thumbnails, metadata: what is sent, what lands where, and what is never overwritten.

A letter and a number in a name (``b3``) is the defect of the old client that the test is about.
"""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from tests.command import watcher
from tests.replay import JOB, Answer, Replay

MODELS = Path(__file__).parents[1] / "models"
ARCHIVE = f"/jobs/{JOB}/outputs/archive"


@pytest.fixture
def server():
    with Replay() as made:
        yield made


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    return tmp_path


def found(here):
    files = (path for path in here.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(here)) for path in files if "in" not in path.parts)


def convert(server, *more, name="in/file.obj", **options):
    return watcher("-u", server.url, "convert", "-i", name, *more, **options)


def params(server):
    return json.loads(server.form()["params"][1])


GUIDE = ["-p", '{"filename": "converted_file", "extension": "gltf"}', "-o", "output.gltf"]


def test_b1_b3_b5_the_guides_convert_waits_and_downloads(server, here):
    server.runs(result={"output": "output.gltf"}, outputs={"output.gltf": b"{}", "o.bin": b"b"})
    done = watcher("-u", server.url, "-t", "tok", "convert", "-i", "in/file.obj", *GUIDE)
    assert done.code == 0, done.err
    assert found(here) == ["o.bin", "output.gltf"]
    assert (here / "output.gltf").read_bytes() == b"{}"
    assert params(server) == {"filename": "converted_file", "extension": "gltf"}
    assert server.form()["process"] == ("", b"convert_file")
    assert server.form()["file"][0] == "file.obj"
    assert json.loads(server.form()["config"][1]) == {}
    assert {each.headers.get("x-api-key") for each in server.asked} == {"tok"}
    assert done.json["files"] == ["output.gltf", "o.bin"]
    assert done.json["status"] == "SUCCESS"


@pytest.mark.parametrize(
    ("words", "sent", "made"),
    [
        (["-o", "new/Part.GLB"], {"extension": "glb"}, "new/Part.GLB"),
        (["-o", "new/"], {}, "new/file.glb"),
        ([], {}, "file.glb"),
        (["-p", '{"extension": "glb"}'], {"extension": "glb"}, "file.glb"),
        (["-p", '{"filename": "named"}'], {"filename": "named"}, "named.glb"),
        (["-p", '{"extension": "glb"}', "-o", "odd"], {"extension": "glb"}, "odd"),
    ],
)
def test_b6_the_target_and_the_extension(server, here, words, sent, made):
    server.runs(result={"output": "output.glb"}, outputs={"output.glb": b"glTF"})
    done = convert(server, *words)
    assert done.code == 0, done.err
    assert params(server) == sent
    assert found(here) == [made]
    shown = convert(server, *words, terminal=True)
    assert f"{made}  4 B" in shown.out


def test_a_result_without_a_name_is_the_only_output(server, here):
    server.runs(result=None, outputs={"x.glb": b"glTF"})
    assert convert(server, "-o", "a.glb").code == 0
    assert found(here) == ["a.glb"]


@pytest.mark.parametrize("result", [{"output": "gone.glb"}, {"output": "../../x"}, None, "text"])
def test_a_result_that_names_nothing_is_an_error(server, here, result):
    server.runs(result=result, outputs={"a.glb": b"1", "b.glb": b"2"})
    done = convert(server, "-o", "x.glb")
    assert done.code == 1
    assert "a.glb" in done.err
    assert found(here) == []


def test_b7_a_failed_job_downloads_nothing(server, here):
    server.runs("FAILURE", error="T:\nValueError: no geometry", outputs={"output.glb": b"half"})
    for command in ("convert", "thumbnails", "metadata"):
        done = watcher("-u", server.url, command, "-i", "in/file.obj", "-o", "x")
        assert done.code == 1
        assert "ValueError: no geometry" in done.err
        assert not done.out
    assert found(here) == []
    assert not [path for path in server.paths() if "outputs" in path]


def test_a_companion_is_never_put_over_another_file(server, here):
    outputs = {"output.obj": b"new", "output.mtl": b"new", "tex.png": b"same"}
    server.runs(result={"output": "output.obj"}, outputs=outputs)
    (here / "output.mtl").write_text("mine")
    (here / "tex.png").write_text("same")
    (here / "x.obj").write_text("old")
    done = convert(server, "-o", "x.obj")
    assert done.code == 1
    assert "output.mtl" in done.err
    assert JOB in done.err
    assert (here / "output.mtl").read_text() == "mine"
    assert (here / "x.obj").read_text() == "old"
    assert found(here) == ["output.mtl", "tex.png", "x.obj"]
    (here / "output.mtl").unlink()
    assert convert(server, "-o", "x.obj").code == 0
    assert (here / "x.obj").read_text() == "new"
    assert convert(server, "-o", "x.obj").code == 0  # the same once more stands in nobody's way


def test_a_companion_of_the_same_name_is_told(server, here):
    server.runs(result={"output": "output.obj"}, outputs={"output.obj": b"1", "a.mtl": b"2"})
    done = convert(server, "-p", '{"extension": "obj"}', "-o", "a.mtl")
    assert done.code == 1
    assert "a.mtl" in done.err
    assert found(here) == []


def test_the_input_is_never_replaced(server, here):
    done = convert(server, "-p", '{"extension": "obj"}', "-o", "in/")
    assert done.code == 2
    assert convert(server, "-o", "in/file.obj").code == 2
    assert not server.asked


def test_folders_among_the_outputs_come_through_the_archive(server, here):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("output.obj", "o")
        archive.writestr("tex/", "")
        archive.writestr("tex/a.png", "a")
    server.runs(result={"output": "output.obj"}, outputs={"tex": None, "output.obj": b"o"})
    server.answer("GET", ARCHIVE, body=made.getvalue())
    done = convert(server, "-o", "to/x.obj")
    assert done.code == 0, done.err
    assert found(here) == ["to/tex/a.png", "to/x.obj"]


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt", "a/../../out.txt"])  # noqa: S108
@pytest.mark.parametrize("command", ["convert", "thumbnails"])
def test_d16_names_of_the_server_lead_nowhere(server, here, command, name):
    server.runs(result={"output": name}, outputs={name: b"evil"})
    done = watcher("-u", server.url, command, "-i", "in/file.obj", "-o", "sub/x")
    assert done.code == 1
    assert "leads out" in done.err
    assert found(here) == []


def test_d16_entries_of_an_archive_and_links_lead_nowhere(server, here):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("link/evil.txt", "evil")
    server.runs(result={"output": "m.obj"}, outputs={"m.obj": b"o", "link": None})
    server.answer("GET", ARCHIVE, body=made.getvalue())
    (here / "in" / "outside").mkdir()
    (here / "sub").mkdir()
    (here / "sub" / "link").symlink_to(here / "in" / "outside")
    for command in ("convert", "thumbnails"):
        output = "sub/x.obj" if command == "convert" else "sub"
        done = watcher("-u", server.url, command, "-i", "in/file.obj", "-o", output)
        assert done.code == 1
        assert not list((here / "in" / "outside").iterdir())
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("../evil.txt", "evil")
    server.script[("GET", ARCHIVE)] = [Answer(200, made.getvalue())]
    assert convert(server, "-o", "sub/x.obj").code == 1
    assert not (here / "evil.txt").exists()


def test_an_obj_is_sent_with_its_material_and_texture(server, here):
    shutil.copytree(MODELS / "obj_textured", here / "in" / "model")
    server.runs(result={"output": "output.glb"}, outputs={"output.glb": b"glTF"})
    done = convert(server, "-o", "x.glb", name="in/model/fuze.obj")
    assert done.code == 0, done.err
    name, content = server.form()["file"]
    assert name == "sources.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as sent:
        assert sent.namelist()[0] == "fuze.obj"
        assert set(sent.namelist()) == {"fuze.obj", "fuze.obj.mtl", "fuze uv.jpg"}
        assert sent.testzip() is None
    assert json.loads(server.form()["config"][1]) == {"root_file": "fuze.obj"}


def test_missing_parts_are_told_and_the_rest_is_sent(server, here):
    (here / "in" / "file.obj").write_text("mtllib absent.mtl\nmtllib /etc/passwd\nv 0 0 0\n")
    server.runs(result={"output": "o.glb"}, outputs={"o.glb": b"glTF"})
    done = convert(server, "-o", "x.glb")
    assert done.code == 0
    assert "'absent.mtl' is missing beside it" in done.err
    assert server.form()["file"][0] == "file.obj"


@pytest.mark.parametrize(
    "words",
    [
        ["-i", "absent.obj"],
        ["-i", "in"],
        [],
        ["-i", "in/file.obj", "-o", "in/file.obj/x.glb"],
        ["-i", "in/file.obj", "-o", "/proc/nope/x.glb"],
        ["-i", "in/file.obj", "-p", '{"filename": "../x"}'],
        ["-i", "in/file.obj", "-p", '["glb"]'],
    ],
)
def test_bad_input_is_found_before_anything_is_sent(server, words):
    done = watcher("-u", server.url, "convert", *words)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert not server.asked


def test_b4_thumbnails_are_all_downloaded(server, here):
    names = ("iso.png", "x.png", "y.png", "z.png", "preview.glb", "metadata.json")
    server.runs(result={"thumbs": {}}, outputs={name: name.encode() for name in names})
    words = ["-u", server.url, "thumbnails", "-i", "in/file.obj", "-p", '{"width": 64}']
    done = watcher(*words, "-o", "a/b")
    assert done.code == 0, done.err
    assert found(here) == sorted(f"a/b/{name}" for name in names)
    assert server.form()["process"] == ("", b"generate_thumbnails")
    assert params(server) == {"width": 64}
    assert sorted(done.json["files"]) == found(here)
    assert watcher(*words, "-o", "a/b", terminal=True).code == 0  # its own pictures, again
    assert watcher(*words).code == 0
    assert (here / "file-thumbnails" / "iso.png").read_bytes() == b"iso.png"


def test_thumbnails_need_a_folder(server, here):
    (here / "file").write_text("x")
    done = watcher("-u", server.url, "thumbnails", "-i", "in/file.obj", "-o", "file")
    assert done.code == 2
    assert not server.asked


def test_b2_metadata_is_the_object_itself(server, here):
    server.runs(result={"polygon_count": 12}, outputs={"metadata.json": b"{}"})
    words = ["-u", server.url, "metadata", "-i", "in/file.obj"]
    done = watcher(*words)
    assert done.code == 0, done.err
    assert done.json == {"polygon_count": 12}
    assert watcher(*words, terminal=True).out == done.out
    written = watcher(*words, "-o", "deep/m.json")
    assert written.json["files"] == ["deep/m.json"]
    assert json.loads((here / "deep" / "m.json").read_text()) == {"polygon_count": 12}
    (here / "folder").mkdir()
    assert watcher(*words, "-o", "folder", "-p", "{}").code == 0
    assert (here / "folder" / "file.json").exists()
    assert server.form()["process"] == ("", b"generate_metadata")


def test_metadata_that_is_no_object_is_an_error(server, here):
    server.runs(result="text")
    done = watcher("-u", server.url, "metadata", "-i", "in/file.obj", "-o", "m.json")
    assert done.code == 1
    assert found(here) == []


def test_a_timeout_names_the_job(server):
    server.runs()
    running = server.script[("GET", f"/jobs/{JOB}/details")][1]
    server.script[("GET", f"/jobs/{JOB}/details")] = [running]
    done = convert(server, "-o", "x.glb", "--timeout", "0.2")
    assert done.code == 4
    assert f"job {JOB}: still RUNNING" in done.err
    assert f"status -w -j {JOB}" in done.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_while_downloading_leaves_no_file(server, here, number, code):
    asked = threading.Event()

    def slow(_):
        asked.set()
        return Answer(200, bytes(8 << 20), pace=0.2)

    server.runs(result={"output": "o.glb"}, outputs={"o.glb": b""})
    server.script[("GET", f"/jobs/{JOB}/outputs/o.glb")] = [slow]
    command = [sys.executable, "-m", "watcher", "-u", server.url, "convert", "-i", "in/file.obj"]
    process = subprocess.Popen([*command, "-o", "to/x.glb"], stderr=subprocess.PIPE, text=True)
    assert asked.wait(60)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert number == signal.SIGTERM or JOB in err
    assert "Traceback" not in err
    assert [path.name for path in (here / "to").iterdir()] == []
