"""The operator's commands, as a subprocess: what they print, what they touch, how they exit."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "tests" / "models"
CONFIG = """\
state: ./var
http: off
folders:
  - name: in
    input: ./in
    output: ./out
    done: ./archive
    settle: 100ms
    rules:
      - {name: meshes, match: "*.stl", process: convert_file, params: {extension: glb}}
      - {name: texts, match: "*.txt", process: pass, deliver: "text/{name}"}
"""


def watcher(*words, cwd, **more):
    return subprocess.run(
        [sys.executable, "-m", "watcher", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **more},
    )


@pytest.fixture
def place(tmp_path):
    (tmp_path / "watcher.yaml").write_text(CONFIG)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    return tmp_path


def test_init_writes_a_configuration_that_passes_and_its_folders(tmp_path):
    made = watcher("init", "studio", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "studio" / "drop" / "cad").is_dir()
    assert watcher("check", cwd=tmp_path / "studio").returncode == 0
    again = watcher("init", "studio", cwd=tmp_path)
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_check_prints_every_problem_with_its_place(place):
    (place / "bad.yaml").write_text(CONFIG.replace("settle: 100ms", "setle: soon"))
    done = watcher("check", "-c", "bad.yaml", cwd=place)
    assert done.returncode == 2
    assert "bad.yaml:8:5: unknown key 'setle'; did you mean 'settle'?" in done.stdout
    assert "Traceback" not in done.stderr


def test_run_refuses_a_bad_configuration_in_json_off_a_terminal(place):
    (place / "bad.yaml").write_text(CONFIG.replace("convert_file", "convert_fiel"))
    done = watcher("run", "-c", "bad.yaml", cwd=place)
    assert done.returncode == 2
    assert not done.stdout
    assert "convert_file" in json.loads(done.stderr)["problems"][0]
    assert not (place / "var").exists()


def test_nothing_to_retry_is_no_fault_also_before_the_first_start(place):
    done = watcher("retry", "--failed", cwd=place)
    assert (done.returncode, done.stdout) == (0, "nothing to retry\n")
    done = watcher("retry", "in/a.stl", cwd=place)
    assert done.returncode == 2
    assert "nothing has ever failed here" in done.stderr


def test_check_online_asks_the_scheduler(place):
    done = watcher("check", "--online", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "5 processes" in done.stdout


def test_plan_tells_the_rule_or_why_not_and_touches_nothing(place):
    (place / "in" / "a.stl").write_text("solid")
    (place / "in" / "sub" / "b.txt").write_text("b")
    (place / "in" / "c.xyz").write_text("c")
    (place / "in" / ".hidden").write_text("h")
    (place / "in" / "link.txt").symlink_to("/etc/hostname")
    done = watcher("plan", cwd=place)
    assert done.returncode == 0, done.stderr
    lines = {line.split()[1]: line for line in done.stdout.splitlines()}
    assert "meshes" in lines["a.stl"]
    assert "out/a.glb" in lines["a.stl"]
    assert "out/text/b.txt" in lines["sub/b.txt"]
    assert "name does not match" in lines["c.xyz"]
    assert "built-in pattern" in lines[".hidden"]
    assert "not a regular file" in lines["link.txt"]
    assert not (place / "var").exists()
    assert not (place / "out").exists()


def test_plan_answers_for_a_file_that_does_not_exist(place):
    done = watcher("plan", "--file", "in/new/part.stl", cwd=place)
    assert "out/new/part.glb" in done.stdout


def test_files_and_explain_tell_what_became_of_a_file(place):
    shutil.copy(MODELS / "binary_cube.stl", place / "in" / "cube.stl")
    shutil.copy(MODELS / "corrupt" / "binary_cube_trunc.stl", place / "in" / "cut.stl")
    (place / "in" / "sub" / "b.txt").write_text("b")
    assert watcher("files", cwd=place).stdout == "no files yet\n"
    assert watcher("run", "--once", cwd=place).returncode == 1
    rows = json.loads(watcher("files", "--json", cwd=place).stdout)
    states = {row["path"]: row["state"] for row in rows}
    assert states == {"cube.stl": "archived", "cut.stl": "failed", "sub/b.txt": "archived"}
    only = json.loads(watcher("files", "--json", "--state", "failed", cwd=place).stdout)
    assert [row["path"] for row in only] == ["cut.stl"]
    told = watcher("explain", "in/cube.stl", cwd=place)
    assert told.returncode == 0
    for state in ("accepted", "working", "submitted", "fetching", "staged", "delivered"):
        assert state in told.stdout
    cut = watcher("explain", "cut.stl", cwd=place).stdout
    assert "260 triangles and holds 142" in cut
    note = (place / "failed" / "in" / "cut.stl.error.txt").read_text()
    assert "260 triangles" in note
    assert "watcher retry" in note


def test_explain_of_a_stranger_says_so(place):
    done = watcher("explain", "in/never.stl", cwd=place)
    assert done.returncode == 2
    assert "knows no such file" in done.stderr


def test_a_file_beside_the_folders_is_refused_by_name(place):
    done = watcher("explain", "/etc/hostname", cwd=place)
    assert done.returncode == 2
    assert "not in a watched folder" in done.stderr


def test_retry_wants_files_or_all_of_them(place):
    assert watcher("retry", cwd=place).returncode == 2
    assert watcher("retry", "--failed", "in/x", cwd=place).returncode == 2


def test_schema_is_a_json_schema(place):
    schema = json.loads(watcher("schema", cwd=place).stdout)
    assert schema["$schema"].startswith("https://json-schema.org")
    assert "folders" in schema["properties"]


def test_no_configuration_says_where_it_looked(tmp_path):
    done = watcher("files", cwd=tmp_path, WATCHER_CONFIG="")
    assert done.returncode == 2
    assert "watcher init" in done.stderr


def test_a_person_sees_a_table(place):
    (place / "in" / "a.txt").write_text("a")
    watcher("run", "--once", cwd=place)
    parent, child = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "watcher", "files"],
        stdout=child,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "TERM": "xterm"},
    )
    os.close(child)
    shown = os.read(parent, 1 << 16).decode()
    os.close(parent)
    assert "outputs or reason" in shown
    assert "text/a.txt" in shown


def test_the_demo_delivers_all_of_its_models(tmp_path):
    done = watcher("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    ready = tmp_path / "watcher-demo" / "ready"
    assert {path.name for path in ready.iterdir()} == {"flange", "galaxy", "gear", "lamp", "vase"}
    assert "how long each stage took" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["watcher-demo"]


def test_a_demo_that_is_interrupted_says_only_that(tmp_path):
    ours = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "watcher", "demo"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, cwd=tmp_path, env=ours, **pipes)
    log, deadline = tmp_path / "watcher-demo" / "demo.log", time.monotonic() + 60
    while not (log.exists() and "job.submitted" in log.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (130, "watcher: interrupted")
    assert "No such file" not in out


def test_the_demo_spares_a_folder_that_is_not_its_own(tmp_path):
    (tmp_path / "watcher-demo").mkdir()
    (tmp_path / "watcher-demo" / "mine").write_text("mine")
    done = watcher("demo", cwd=tmp_path)
    assert done.returncode == 2
    assert (tmp_path / "watcher-demo" / "mine").exists()
