"""`then`: a job's outputs are the next one's input, all under one file; killed in between."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.e2e.test_bundles import MODELS, below, files, fill
from tests.e2e.test_studio_rules import studio, watcher

__all__ = ["studio"]
COUNT = """\
      - name: chain
        match: "*.txt"
        deliver: "{job}/{stem}.{ext}"
        receipt: true
        command: [sh, -c, "echo one >> {here}/log; cp '{input}' a.one; cp '{input}' b.side"]
        keep: false
        then:
          - command: [sh, -c, "echo two >> {here}/log; ls > /dev/null; cp '{input}' c.two"]
            take: "*.side"
            keep: false
          - command: [sh, -c, "echo three >> {here}/log; sleep {nap}; cp '{input}' d.three"]
            params: {nap: 0}
"""


def test_each_job_of_a_chain_is_about_the_outputs_before_it(studio):
    place = studio(COUNT)
    fill(place, "x.txt")
    plan = json.loads(watcher("plan", "--json", cwd=place).stdout)[0]
    assert [job["after"] for job in plan["jobs"]] == ["", "sh", "sh-2"]
    assert watcher("run", "--once", cwd=place).returncode == 0
    assert (place / "log").read_text().split() == ["one", "two", "three"]
    assert below(place / "out") == ["sh-3/x.three", "sh-3/x.three.json"]
    assert (place / "out" / "sh-3" / "x.three").read_text() == "x.txt"
    told = watcher("explain", "in/x.txt", cwd=place).stdout
    assert all(f"sh{number}: staged" in told for number in ("", "-2", "-3"))


def test_a_chain_goes_on_where_it_was_killed(studio):
    held = "sleep {nap}; while test -e {here}/held; do sleep 0.1; done"
    place = studio(COUNT.replace("sleep {nap}", held))
    (place / "held").touch()
    fill(place, "x.txt")
    daemon = subprocess.Popen(
        [sys.executable, "-m", "watcher", "run"], cwd=place, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 100
    while "three" not in str(files_log(place)) and time.monotonic() < deadline:
        time.sleep(0.1)
    daemon.send_signal(signal.SIGKILL)
    daemon.wait(60)
    # staging lost as well: what the job before made is fetched again
    for staged in (place / "out").glob(".watcher*/*"):
        shutil.rmtree(staged)
    (place / "held").unlink()
    for leftover in (place / "var").glob("staging/*"):
        shutil.rmtree(leftover)
    assert watcher("run", "--once", cwd=place).returncode == 0
    assert below(place / "out") == ["sh-3/x.three", "sh-3/x.three.json"]
    assert files(place) == {"x.txt": "archived"}


def files_log(place):
    return (place / "log").read_text() if (place / "log").exists() else ""


def test_a_chain_that_fails_delivers_nothing(studio):
    place = studio(
        '      - {match: "*.txt", retries: 0, command: [cp, "{input}", a.one],'
        ' then: {process: convert_file, take: "*.nothing"}}\n'
    )
    fill(place, "x.txt")
    assert watcher("run", "--once", cwd=place).returncode == 1
    text = (place / "failed" / "in" / "x.txt.error.txt").read_text()
    assert "job cp made no output that matches take: '*.nothing'" in text
    assert below(place / "out") == []


def test_a_model_becomes_pictures_of_what_it_became(studio):
    place = studio(
        '      - {match: "*.stl", process: convert_file, params: {extension: glb},'
        " then: [{process: generate_metadata}]}\n"
    )
    shutil.copy(MODELS / "binary_cube.stl", place / "in")
    assert watcher("run", "--once", cwd=place).returncode == 0
    assert below(place / "out") == ["binary_cube.stl/metadata.json", "binary_cube.stl/output.glb"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("process: api_test, then: {process: pass}", "has no place in then"),
        ("process: api_test, then: {process: api_tset}", "no process 'api_tset'"),
        ("process: api_test, then: {process: api_test, keep: false}", "is for nothing"),
        ("process: api_test, then: {process: api_test, take: '{'}", "a brace is not closed"),
        ("process: api_test, then: {proces: api_test}", "did you mean 'process'"),
        ("process: api_test, keep: no", "is for nothing"),
        ("jobs: [{process: api_test}], then: {process: api_test}", "then belongs to each entry"),
    ],
)
def test_check_reads_chains(studio, words, said):
    place = studio(f'      - {{match: "*", {words}}}\n')
    done = watcher("check", cwd=place)
    assert done.returncode == 2
    assert said in done.stdout
