"""Every command against ``watcher serve`` over real HTTP, and with no server at all: the same.

The lines of the public client guide stand here as they are there, ``python3 client.py`` replaced.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest

from tests.command import watcher
from tests.realish import Realish
from tests.serving import TOKEN, start_server
from tests.serving import until as wait_until

MODELS = Path(__file__).parents[1] / "models"
SCRIPT = """\
from pathlib import Path

def main(pc, params):
    pc.progress_set_total(1)
    pc.progress_next("writing")
    folder = pc.get_output_dir("sub")
    Path(folder, "deep.txt").write_text("deep")
    source = pc.get_input_file()
    text = Path(source).read_text() if source else ""
    Path(pc.get_output_dir(), "top #1.txt").write_text(text)
    return {"params": params, "read": len(text)}

def fails(pc, params):
    raise ValueError("boom: é")
"""
GATED = """\
import os, time

def main(pc, params):
    while not os.path.exists(params["go"]):
        time.sleep(0.05)
"""


@pytest.fixture(scope="module", params=["serve", "embedded", "realish"])
def scheduler(request, tmp_path_factory):
    """The options that name a scheduler, in the environment."""
    state = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "embedded":
            patch.setenv("PIXYZ_SCHEDULER_URL", "embedded")
            patch.setenv("WATCHER_STATE", str(state))
            yield "embedded"
        elif request.param == "realish":
            made = Realish(state)
            made.odd.token = TOKEN
            made.odd.cut_archives = 1
            made.odd.late_traceback = 0.2
            patch.setenv("PIXYZ_SCHEDULER_URL", made.start().url)
            patch.setenv("PIXYZ_SCHEDULER_TOKEN", TOKEN)
            yield "realish"
            made.close()
        else:
            with start_server(state) as server:
                patch.setenv("PIXYZ_SCHEDULER_URL", server.url)
                patch.setenv("PIXYZ_SCHEDULER_TOKEN", TOKEN)
                yield server.url


@pytest.fixture
def here(scheduler, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_script.py").write_text(SCRIPT)
    (tmp_path / "input_file.ext").write_text("input")
    return tmp_path


@pytest.fixture
def converts(scheduler):
    """Only schedulers that have the converters."""
    if scheduler == "realish":
        pytest.skip("it runs scripts only, as a Pixyz Scheduler without its SDK")


@pytest.fixture(scope="module")
def job(scheduler, tmp_path_factory):
    """One job of the script that has ended."""
    place = tmp_path_factory.mktemp("job")
    (place / "s.py").write_text(SCRIPT)
    (place / "in.txt").write_text("input")
    words = ["exec", "-s", place / "s.py", "-i", place / "in.txt", "-p", '{"a": 1}', "-a", "named"]
    done = watcher(*words, "-w")
    assert done.code == 0, done.err
    assert done.json["result"] == {"params": {"a": 1}, "read": 5}
    return done.json


def line(text, **names):
    """Run a line of the guide."""
    for name, value in names.items():
        text = text.replace(f"<{name}>", str(value))
    words = shlex.split(text.replace("~/path/to/", ""))
    assert words[0] == "watcher"
    return watcher(*words[1:])


def test_the_lines_of_the_guide(here, job, scheduler, converts):
    assert "convert_file" in line("watcher list").json["processes"]
    listed = line("watcher jobs").json["jobs"]
    assert job["uuid"] in [each["uuid"] for each in listed]
    uuid = job["uuid"]
    assert line("watcher details -j <job_uuid>", job_uuid=uuid).json == job
    text = "watcher download -j <job_uuid> -f <output_filename> -o <local_filename>"
    done = line(text, job_uuid=uuid, output_filename="'top #1.txt'", local_filename="local.txt")
    assert done.code == 0, done.err
    assert (here / "local.txt").read_text() == "input"
    text = "watcher exec -s ~/path/to/my_script.py -i ~/path/to/input_file.ext -p "
    sent = line(text + '\'{"param1": "value1"}\'')
    assert sent.code == 0, sent.err
    assert sent.json["status"] == "SENT"
    shutil.copy(MODELS / "obj_textured" / "fuze.obj", here / "file.obj")
    params = '\'{"filename": "converted_file", "extension": "gltf"}\''
    text = f"watcher convert -i ~/path/to/file.obj -p {params} -o ~/path/to/output.gltf"
    done = line(text)
    assert done.code == 0, done.err
    assert (here / "output.gltf").stat().st_size > 1000
    assert "convert_file" in line("watcher doc convert_file").json["doc"]
    assert line(f"watcher -u {scheduler} list").code == 0


def test_status_outputs_and_archive(here, job):
    uuid = job["uuid"]
    short = watcher("status", "-j", uuid).json
    assert short["status"] == "SUCCESS"
    assert watcher("status", "-w", "-j", uuid).json == short
    assert sorted(watcher("outputs", "-j", uuid).json["outputs"]) == ["sub", "top #1.txt"]
    assert watcher("download_all", "-j", uuid).code == 0
    with zipfile.ZipFile(here / f"{uuid}.zip") as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        assert names == {"sub/deep.txt", "top #1.txt"}
    assert watcher("download", "-j", uuid, "-f", "sub/deep.txt").code == 0
    assert (here / "deep.txt").read_text() == "deep"
    assert watcher("download", "-j", uuid, "-f", "sub", "-o", "to/").code == 0
    assert (here / "to" / "sub" / "deep.txt").read_text() == "deep"
    (here / "deep.txt").write_text("changed here")
    assert watcher("download", "-j", uuid, "-f", "sub/deep.txt", "-o", "again").code == 0
    assert (here / "again").read_text() == "deep"


def test_outputs_that_are_not_there(here, job):
    names = {"absent": 3, "../inputs/in.txt": 2, "../../jobs.sqlite": 2, "/etc/passwd": 2}
    for name, code in names.items():
        done = watcher("download", "-j", job["uuid"], "-f", name, "-o", "x")
        assert done.code == code, name
        assert len(done.err.splitlines()) == 1
    assert not (here / "x").exists()


def test_a_job_that_nobody_knows(here):
    uuid = "e7c636f3-c022-4ed7-8297-56e7e06365ed"
    assert watcher("status", "-j", uuid).json["status"] == "PENDING"
    assert watcher("details", "-j", uuid).json["result"] == "None"
    assert watcher("status", "-w", "-j", uuid, "--timeout", "0.2").code == 4
    assert watcher("download_all", "-j", uuid).code == 3
    assert watcher("outputs", "-j", uuid).json == {"outputs": []}
    assert watcher("download", "-j", uuid, "-f", "x").code == 3


def test_a_failed_job(here):
    words = ["exec", "-s", "my_script.py", "-e", "fails"]
    done = watcher(*words, "-w")
    assert done.code == 1
    assert "boom: é" in done.err.splitlines()[-1]
    assert "Traceback" in done.json["error"]
    assert str(here) not in done.out
    assert watcher(*words, "-w", "-b").code == 10
    assert watcher("status", "-w", "-j", done.json["uuid"]).code == 1


@pytest.mark.parametrize(
    "words",
    [
        ["process", "-n", "nope"],
        ["doc", "nope"],
        ["exec", "-s", "my_script.py", "-e", "absent"],
        ["exec", "-s", "input_file.ext"],
    ],
)
def test_what_the_scheduler_refuses(here, converts, words):
    done = watcher(*words)
    assert done.code == 3
    assert len(done.err.splitlines()) == 1


def test_convert_with_companions(here, converts):
    source = MODELS / "obj_textured" / "fuze.obj"
    done = watcher("convert", "-i", source, "-o", "new/fuze.obj")
    assert done.code == 0, done.err
    made = {path.name for path in (here / "new").iterdir()}
    assert {"fuze.obj", "output.mtl"} < made
    assert any(name.endswith((".jpeg", ".jpg", ".png")) for name in made)
    binary = watcher("convert", "-i", MODELS / "gltf_multi" / "TestScene.gltf", "-o", "scene.glb")
    assert binary.code == 0, binary.err
    assert (here / "scene.glb").read_bytes()[:4] == b"glTF"


def test_thumbnails_and_metadata(here, converts):
    cube = MODELS / "binary_cube.stl"
    small = '{"width": 32, "height": 32, "samples": 0}'
    done = watcher("thumbnails", "-i", cube, "-p", small, "-o", "pictures")
    assert done.code == 0, done.err
    made = {path.name for path in (here / "pictures").iterdir()}
    assert made == {"iso.png", "x.png", "y.png", "z.png", "preview.glb", "metadata.json"}
    done = watcher("metadata", "-i", cube)
    assert done.json["polygon_count"] == 260
    broken = watcher("metadata", "-i", MODELS / "corrupt" / "ballA_trunc.off")
    assert broken.code == 1
    assert "cut short" in broken.err


def _jobs():
    state = os.environ.get("WATCHER_STATE")
    return (Path(state) / "jobs").glob("*") if state else ()


def _begun(known):
    return any(set(each.glob("log.*")) for each in set(_jobs()) - known)


def _running(_):
    return "RUNNING" in watcher("jobs").out


def test_ctrl_c_leaves_a_job_that_can_be_followed(here, scheduler, converts):
    (here / "gated.py").write_text(GATED)
    words = ["exec", "-s", "gated.py", "-p", json.dumps({"go": str(here / "go")}), "-w"]
    known = set(_jobs())
    process = subprocess.Popen(
        [sys.executable, "-m", "watcher", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    started = _begun if scheduler == "embedded" else _running
    wait_until(partial(started, known), what="the job to run")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers hear it too
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not out
    assert "Traceback" not in err
    uuid = re.search(r"status -w -j (\S+)`", err)[1]
    (here / "go").touch()
    assert watcher("status", "-w", "-j", uuid).code == 0
    assert watcher("details", "-j", uuid).json["status"] == "SUCCESS"
