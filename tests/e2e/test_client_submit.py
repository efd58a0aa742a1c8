"""exec, process, status -w: what is sent, how a job is followed, how the command exits.

A letter and a number in a name (``e1``) is the defect of the old client that the test is about.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from tests.command import watcher
from tests.replay import JOB, Answer, Replay, capture

DETAILS = f"/jobs/{JOB}/details"


@pytest.fixture
def server():
    with Replay() as made:
        yield made


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "my_script.py"
    path.write_text("def main(pc, params):\n    return params\n")
    return path


@pytest.fixture
def part(tmp_path):
    path = tmp_path / "input file.ext"
    path.write_bytes(bytes(range(256)) * 3000)
    return path


def test_the_guides_exec_sends_script_input_and_parameters(server, script, part):
    server.runs()
    done = watcher("-u", server.url, "exec", "-s", script, "-i", part, "-p", '{"param1": "value1"}')
    assert done.code == 0, done.err
    assert done.json["status"] == "SENT"
    assert done.json["uuid"] == JOB
    form = server.form()
    assert form["script"] == ("my_script.py", script.read_bytes())
    assert form["file"] == ("input file.ext", part.read_bytes())
    assert json.loads(form["params"][1]) == {"param1": "value1"}
    assert form["process"] == ("", b"custom")


def test_d1_d2_only_what_was_given_is_sent(server, script):
    server.runs()
    watcher("-u", server.url, "exec", "-s", script)
    assert json.loads(server.form()["config"][1]) == {}
    assert "name" not in server.form()
    words = ["-q", "gpu", "-l", "60", "-e", "other", "-a", "an alias"]
    watcher("-u", server.url, "exec", "-s", script, *words)
    config = {"queue": "gpu", "time_limit": 60, "entrypoint": "other"}
    assert json.loads(server.form()["config"][1]) == config
    assert server.form()["name"] == ("", b"an alias")
    watcher("-u", server.url, "exec", "-s", script, "--limit", "1.5")
    assert json.loads(server.form()["config"][1]) == {"time_limit": 1.5}


def test_process_names_it_and_sends_no_script(server, part):
    server.runs()
    done = watcher("-u", server.url, "process", "-n", "sleep", "-i", part)
    assert done.code == 0
    assert server.form()["process"] == ("", b"sleep")
    assert "script" not in server.form()


@pytest.mark.parametrize("words", [["-w"], ["-w", "-r"], ["-wr"], ["-r"]])
def test_waiting_ends_with_the_details_once(server, words):
    server.runs(result={"n": 3})
    done = watcher("-u", server.url, "process", "-n", "api_test", *words)
    assert done.code == 0, done.err
    assert done.json["result"] == {"n": 3}
    assert done.json["status"] == "SUCCESS"
    shown = watcher("-u", server.url, "process", "-n", "api_test", *words, terminal=True).out
    assert '"n": 3' in shown
    assert shown.count(JOB) == (0 if "-r" in words or "-wr" in words else 1)


@pytest.mark.parametrize("command", [["process", "-n", "x", "-w"], ["status", "-w", "-j", JOB]])
def test_e1_a_failed_job_exits_1_and_says_why(server, command):
    trace = 'Traceback (most recent call last):\n  File "x"\nValueError: boom: é'
    server.runs("FAILURE", error=trace, result="ValueError('boom: é')")
    done = watcher("-u", server.url, *command)
    assert done.code == 1
    assert done.json["status"] == "FAILURE"
    assert done.json["error"] == trace
    last = done.err.splitlines()[-1]
    assert last == f"watcher: job {JOB}: failed: ValueError: boom: é"


def test_d3_the_name_of_a_failed_job_is_told_though_the_server_forgets_it(server):
    server.runs("FAILURE", error="T\nValueError: boom", name=None)
    done = watcher("-u", server.url, "process", "-n", "x", "-w", "-a", "my alias")
    assert done.code == 1
    assert done.json["name"] == "my alias"
    assert f"job {JOB} (my alias): failed: ValueError: boom" in done.err


def test_the_first_cause_is_told_of_a_job_that_was_tried_again(server):
    trace = (
        "Traceback:\n  File\nPixyzExitFault: 3\n\nDuring handling:\n\nTraceback:\nX: Can't retry"
    )
    server.runs("FAILURE", error=trace)
    done = watcher("-u", server.url, "process", "-n", "x", "-w")
    assert done.err.splitlines()[-1].endswith("failed: PixyzExitFault: 3")


@pytest.mark.parametrize("name", ["prefork_exit3_details", "life_fail_2_details"])
def test_real_failures_have_their_reason(server, name):
    server.capture(name)
    found = capture(name)["response"]["body"]
    done = watcher("-u", server.url, "status", "-w", "-j", found["uuid"])
    assert done.code == 1
    why = found["error"].splitlines()[-1] if found["error"] else found["result"]
    assert " ".join(why.split())[:200] in done.err


def test_e5_batch_prints_the_id_and_nothing_else(server):
    server.runs()
    for words in (["-b"], ["-b", "-r"], ["-b", "-w"], ["-bw", "--json"]):
        for terminal in (False, True):
            done = watcher("-u", server.url, "process", "-n", "x", *words, terminal=terminal)
            assert done.code == 0
            assert done.out == JOB + "\n"


@pytest.mark.parametrize(("end", "code"), [("SUCCESS", 0), ("FAILURE", 10), ("REVOKED", 11)])
def test_e1_batch_has_the_guides_codes(server, end, code):
    server.runs(end, error="E: why")
    done = watcher("-u", server.url, "process", "-n", "x", "-w", "-b")
    assert done.code == code
    assert done.out == JOB + "\n"


def test_e6_people_are_told_how_to_go_on(server):
    server.runs()
    done = watcher("-u", server.url, "process", "-n", "x", terminal=True)
    assert done.out == JOB + "\n"
    assert f"watcher -u {server.url} status -w -j {JOB}" in done.err


@pytest.mark.parametrize(
    "params", ["{bad", '"str"', "[1]", "1", "null", '{"a": NaN}', "@absent.json", "[" * 100_000, ""]
)
def test_e4_bad_parameters_are_one_line_and_nothing_is_sent(server, script, params):
    done = watcher("-u", server.url, "exec", "-s", script, "-p", params)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "-p" in done.err
    assert not server.asked


def test_parameters_come_from_a_file_as_well(server, script, tmp_path):
    server.runs()
    (tmp_path / "p.json").write_text('{"é": [1]}', encoding="utf-8-sig")
    done = watcher("-u", server.url, "exec", "-s", script, "-p", f"@{tmp_path}/p.json")
    assert done.code == 0
    assert json.loads(server.form()["params"][1]) == {"é": [1]}


def test_bad_input_is_found_before_anything_is_sent(server, script, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "deep").mkdir()
    twin = tmp_path / "deep" / script.name
    twin.write_text("x")
    os.mkfifo(tmp_path / "fifo")
    bad = [
        ["exec", "-s", tmp_path / "absent.py"],
        ["exec", "-s", tmp_path / "folder"],
        ["exec"],
        ["exec", "-s", script, "-i", tmp_path / "absent"],
        ["exec", "-s", script, "-i", tmp_path / "fifo"],
        ["exec", "-s", script, "-i", twin],
        ["exec", "-s", script, "-l", "0"],
        ["exec", "-s", script, "-l", "soon"],
        ["exec", "-s", script, "--nope"],
        ["process", "-i", script],
        ["frobnicate"],
    ]
    for words in bad:
        done = watcher("-u", server.url, *words)
        assert done.code == 2, words
        assert len(done.err.splitlines()) == 1, done.err
    assert not server.asked


def test_a_refused_job_shows_the_servers_reason(server, script):
    server.capture("post_missing_entrypoint")
    done = watcher("-u", server.url, "exec", "-s", script)
    assert done.code == 3
    assert "does not have the function" in done.err
    assert len(server.paths("POST")) == 1


def test_a_script_that_is_no_python_is_named(server, script):
    server.capture("post_script_syntax_error")
    script.write_text("def main(:\n")
    done = watcher("-u", server.url, "exec", "-s", script)
    assert done.code == 3
    assert "not valid Python" in done.err


def test_a_scheduler_whose_store_is_away_takes_nothing(server, script):
    server.capture("redis_down_post")
    done = watcher("-u", server.url, "exec", "-s", script)
    assert done.code == 3
    assert "Backend is not ready" in done.err


def test_p3_p4_a_dropped_connection_and_a_lost_store_end_nothing(server):
    lost = capture("redis_down_details")["response"]["body"] | {"uuid": JOB}
    server.answer("GET", DETAILS, drop=True)
    server.answer("GET", DETAILS, status=500, body="Internal Server Error")
    server.answer("GET", DETAILS, body=lost)
    server.runs(result=1)
    server.script[("GET", f"/jobs/{JOB}")].insert(0, Answer(drop=True))
    server.script[("GET", f"/jobs/{JOB}")].insert(1, Answer(500, "Internal Server Error"))
    server.script[("GET", f"/jobs/{JOB}")].insert(2, Answer(200, lost))
    done = watcher("-u", server.url, "process", "-n", "x", "-w")
    assert done.code == 0, done.err
    assert done.json["result"] == 1
    assert done.err.count("asking again for 30 s") == 1


def test_p4_a_store_that_stays_away_ends_the_wait(server):
    lost = capture("redis_down_details")["response"]["body"] | {"uuid": JOB}
    server.runs()
    server.script[("GET", DETAILS)] = [Answer(200, lost)]
    server.script[("GET", f"/jobs/{JOB}")] = [Answer(200, lost)]
    words = ["-u", server.url, "process", "-n", "x", "-w", "--patience", "0.3"]
    done = watcher(*words)
    assert done.code == 3
    assert "cannot reach its own store" in done.err
    assert f"status -w -j {JOB}" in done.err
    batch = watcher(*words, "-b")
    assert batch.code == 17
    assert batch.out == JOB + "\n"


def test_one_look_that_outlasts_patience_ends_no_wait(server):
    server.runs(result=1)
    slow = Answer(502, wait=lambda: threading.Event().wait(0.6))
    server.script[("GET", DETAILS)].insert(1, slow)
    done = watcher("-u", server.url, "process", "-n", "x", "-w", "--patience", "0.5")
    assert done.code == 0, done.err
    assert done.json["result"] == 1
    assert done.err.count("asking again for 0.5 s") == 1


def test_without_patience_the_first_look_that_fails_ends_the_wait(server):
    server.runs()
    server.script[("GET", DETAILS)].insert(1, Answer(502))
    done = watcher("-u", server.url, "process", "-n", "x", "-w", "--patience", "0")
    assert done.code == 3


def test_a_token_that_is_no_longer_taken_ends_the_wait_at_once(server):
    server.runs()
    server.script[("GET", DETAILS)] = [Answer(401, {"detail": "Invalid token"})]
    done = watcher("-u", server.url, "process", "-n", "x", "-w")
    assert done.code == 3
    assert "Invalid token" in done.err


def test_p2_an_unknown_job_is_followed_only_as_long_as_one_wants(server):
    server.capture("unknown_uuid_details")
    uuid = capture("unknown_uuid_details")["response"]["body"]["uuid"]
    done = watcher("-u", server.url, "status", "-w", "-j", uuid, "--timeout", "0.5")
    assert done.code == 4
    assert "does not tell a queued job from one that it does not know" in done.err
    assert f"job {uuid}: still PENDING after 0.5 s" in done.err


def test_the_whole_life_of_a_real_job_is_followed(server):
    server.capture("details_over_life")
    uuid = capture("details_over_life")["sequence"][0]["body"]["uuid"]
    done = watcher("-u", server.url, "status", "-w", "-j", uuid)
    assert done.code == 0
    assert set(done.json) == {"uuid", "name", "status", "progress", "error"}
    assert done.json["status"] == "SUCCESS"


def test_p3_a_server_that_hangs_ends_the_wait(server):
    release = threading.Event()
    server.runs()
    server.script[("GET", DETAILS)] = [Answer(wait=lambda: release.wait(60), body={})]
    words = ["process", "-n", "x", "-w", "--timeout", "0.5"]
    done = watcher("-u", server.url, *words)
    release.set()
    assert done.code == 4
    assert f"job {JOB}: still not seen after 0.5 s" in done.err


def test_p3_polling_slows_down(server):
    server.runs()
    running = server.script[("GET", DETAILS)][1]
    server.script[("GET", DETAILS)] = [running]
    watcher("-u", server.url, "status", "-w", "-j", JOB, "--timeout", "3")
    assert len(server.paths()) < 25


def test_p5_p7_progress_shows_the_step_in_work(server):
    server.runs()
    done = watcher("-u", server.url, "process", "-n", "x", "-w", terminal=True)
    assert "writing" in done.err
    assert "50 %" in done.err
    assert "reading" not in done.err
    assert "writing" not in watcher("-u", server.url, "process", "-n", "x", "-w").err


def test_an_upload_has_a_bar(server, script, part):
    server.runs()
    done = watcher("-u", server.url, "exec", "-s", script, "-i", part, terminal=True)
    assert "upload" in done.err
    assert "750.9 KiB of" in done.err or "KiB" in done.err
    assert watcher("-u", server.url, "exec", "-s", script, "-i", part).err == ""


def test_d1_a_big_upload_needs_little_memory(server, script, tmp_path):
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        file.truncate(120 << 20)
    server.runs()
    code = (
        "import sys; from watcher.cli.app import run; assert run(sys.argv[1:]) == 0;"
        "print(open('/proc/self/status').read(), file=sys.stderr)"
    )
    words = ["-u", server.url, "exec", "-s", script, "-i", big]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(server.asked[-1].headers["content-length"]) > 120 << 20
    assert int(re.search(r"VmHWM:\s+(\d+) kB", done.stderr)[1]) < 100 << 10


def start(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "watcher", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_while_a_job_is_followed_prints_its_id(server):
    looked = threading.Event()
    server.runs()
    running = server.script[("GET", DETAILS)][1]

    def look(_):
        looked.set()
        return running

    server.script[("GET", DETAILS)] = [look]
    process = start("-u", server.url, "process", "-n", "x", "-w")
    assert looked.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert f"status -w -j {JOB}" in err
    assert "Traceback" not in err


def test_ctrl_c_while_a_job_is_sent_tells_that_it_may_have_arrived(server, script):
    asked, release = threading.Event(), threading.Event()

    def wait():
        asked.set()
        release.wait(60)

    server.answer("POST", "/jobs", wait=wait, body={})
    process = start("-u", server.url, "exec", "-s", script)
    assert asked.wait(60)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    release.set()
    assert process.returncode == 130
    assert "may" in err or "arrived" in err
    assert "Traceback" not in err
