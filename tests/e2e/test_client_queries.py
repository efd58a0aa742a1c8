"""The client's questions, against captures of the real scheduler and a server that misbehaves.

A letter and a number in a name (``b1``) is the defect of the old client that the test is about.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import watcher
from tests.replay import JOB, Answer, Replay, capture

COPY = "6dee32d3-5cc9-4a44-911b-1bac527b5bbb"


@pytest.fixture
def server():
    with Replay() as made:
        yield made


def body(name):
    return capture(name)["response"]["body"]


def uuid_of(name):
    return body(name)["uuid"]


def test_list_gives_the_names_without_the_package_file(server):
    server.capture("processes")
    done = watcher("-u", server.url, "list")
    assert done.code == 0
    names = set(body("processes")["processes"]) - {"__init__"}
    assert done.json == {"processes": sorted(names)}
    assert "convert_file" in watcher("-u", server.url, "list", terminal=True).out.splitlines()


@pytest.mark.parametrize("words", [["api_test"], ["-n", "api_test"]])
def test_b1_doc_asks_the_server(server, words):
    server.capture("process_doc_api_test")
    done = watcher("-u", server.url, "doc", *words)
    assert done.code == 0
    assert done.json == body("process_doc_api_test")
    shown = watcher("-u", server.url, "doc", *words, terminal=True).out
    assert shown.splitlines() == body("process_doc_api_test")["doc"].splitlines()


def test_b1_doc_of_an_unknown_process_fails_with_the_servers_words(server):
    server.capture("process_doc_nope")
    done = watcher("-u", server.url, "doc", "nope")
    assert done.code == 3
    assert "Invalid process 'nope'" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["a", "-n", "b"]])
def test_doc_needs_one_name(server, words):
    assert watcher("-u", server.url, "doc", *words).code == 2
    assert not server.asked


def test_jobs_are_the_servers_own_documents(server):
    server.capture("jobs_many")
    done = watcher("-u", server.url, "jobs")
    assert done.json == body("jobs_many")
    shown = watcher("jobs", "-u", server.url, terminal=True)
    assert shown.code == 0
    assert body("jobs_many")["jobs"][0]["uuid"] in shown.out


def test_jobs_can_be_filtered_and_limited(server):
    server.capture("jobs_many")
    done = watcher("-u", server.url, "jobs", "--status", "failure", "--limit", 3)
    assert len(done.json["jobs"]) == 3
    assert {job["status"] for job in done.json["jobs"]} == {"FAILURE"}
    assert watcher("-u", server.url, "jobs", "--status", "DONE").code == 2


def test_an_odd_job_does_not_hide_the_others(server):
    odd = {"jobs": [{"uuid": JOB, "status": "NOVEL", "extra": [1]}, {"uuid": COPY}]}
    server.answer("GET", "/jobs", body=odd)
    assert watcher("-u", server.url, "jobs").json == odd
    assert "NOVEL" in watcher("-u", server.url, "jobs", terminal=True).out


def test_a_poisoned_list_is_one_line(server):
    server.capture("jobs_poisoned_500")
    done = watcher("-u", server.url, "jobs")
    assert done.code == 3
    assert len(done.err.splitlines()) == 1


def test_status_asks_for_the_status(server):
    server.capture("life_copy_2_status")
    done = watcher("-u", server.url, "status", "-j", COPY)
    assert done.json == body("life_copy_2_status")
    assert server.paths() == [f"/jobs/{COPY}"]
    assert "SUCCESS" in watcher("-u", server.url, "status", "-j", COPY, terminal=True).out


def test_details_are_whole(server):
    server.capture("life_copy_2_details")
    assert watcher("-u", server.url, "details", "-j", COPY).json == body("life_copy_2_details")
    shown = watcher("-u", server.url, "details", "-j", COPY, terminal=True).out
    assert "copying" in shown
    assert "0.03 s" in shown
    assert '"output": "my part.stp"' in shown


def test_p6_a_failure_is_read_again_before_it_is_told(server):
    path = f"/jobs/{uuid_of('failure_transient_no_error')}/details"
    server.capture("failure_transient_no_error")
    later = body("failure_transient_no_error") | {"error": "Traceback...\nImportError: no such"}
    server.answer("GET", path, body=later)
    done = watcher("-u", server.url, "details", "-j", later["uuid"], terminal=True)
    assert "ImportError: no such" in done.out
    assert "Traceback..." not in done.out
    assert (
        "Traceback..."
        in watcher("-u", server.url, "details", "-v", "-j", later["uuid"], terminal=True).out
    )


def test_details_that_the_server_cannot_write_are_told_in_short(server):
    server.capture("life_ret_bytes_2_details")
    server.capture("life_ret_bytes_2_status")
    done = watcher("-u", server.url, "details", "-j", uuid_of("life_ret_bytes_2_status"))
    assert done.json == body("life_ret_bytes_2_status")


def test_raw_results_are_shown_as_they_are(server):
    server.capture("post_config_raw__details")
    found = body("post_config_raw__details")
    assert watcher("-u", server.url, "details", "-j", found["uuid"]).json == found


def test_outputs(server):
    server.capture("life_copy_2_outputs")
    done = watcher("-u", server.url, "outputs", "-j", COPY)
    assert done.json == body("life_copy_2_outputs")
    shown = watcher("-u", server.url, "outputs", "-j", COPY, terminal=True).out.splitlines()
    assert shown == sorted(body("life_copy_2_outputs")["outputs"])


@pytest.mark.parametrize("uuid", ["x", COPY[:-1], COPY + "0", COPY.replace("-", "_"), ""])
@pytest.mark.parametrize("command", ["status", "details", "outputs", "download_all"])
def test_a_malformed_id_is_never_sent(server, command, uuid):
    done = watcher("-u", server.url, command, "-j", uuid)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert not server.asked


def test_e2_the_servers_explanation_is_shown_for_each_shape_of_error(server):
    shapes = [
        (400, {"detail": {"code": 400, "message": "Bad Request", "details": "words of it"}}, 3),
        (503, {"detail": "words of it"}, 3),
        (500, b"words of it", 3),
        (416, b"", 3),
    ]
    for status, answer, code in shapes:
        server.script.clear()
        server.answer("GET", "/jobs", status=status, body=answer)
        done = watcher("-u", server.url, "jobs")
        assert done.code == code
        assert ("words of it" in done.err) == bool(answer)
        assert f"HTTP {status}" in done.err
        assert len(done.err.splitlines()) == 1
        assert not done.out


def test_e3_no_command_is_bad_usage():
    done = watcher()
    assert done.code == 2
    assert "Usage" in done.err
    assert not done.out


def test_e7_the_token_comes_from_environment_or_file(server, monkeypatch, tmp_path):
    server.answer("GET", "/jobs", body={"jobs": []})
    kept = tmp_path / "token"
    kept.write_text("from-file\n")
    monkeypatch.setenv("PIXYZ_SCHEDULER_URL", server.url + "/")
    monkeypatch.setenv("PIXYZ_SCHEDULER_TOKEN_FILE", str(kept))
    assert watcher("jobs").code == 0
    monkeypatch.setenv("PIXYZ_SCHEDULER_TOKEN", "from-environment")
    assert watcher("jobs").code == 0
    assert watcher("-t", "before", "jobs").code == 0
    assert watcher("-t", "before", "jobs", "-t", "behind").code == 0
    sent = [each.headers["x-api-key"] for each in server.asked]
    assert sent == ["from-file", "from-environment", "before", "behind"]


def test_e8_the_address_stands_before_or_behind_the_command(server):
    server.answer("GET", "/jobs", body={"jobs": []})
    assert watcher("-u", server.url, "jobs").code == 0
    assert watcher("jobs", "--url", server.url).code == 0
    assert watcher("-u", "http://127.0.0.1:9", "jobs", "-u", server.url).code == 0


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8001", "ftp://x", "http://", "http://x:port", "http://h?q=1", "http://[::1"]
)
def test_an_address_that_is_none_is_refused(url):
    done = watcher("-u", url, "jobs")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1


def test_secrets_are_in_no_error(server, monkeypatch, tmp_path):
    server.capture("jobs_no_token")
    done = watcher("-u", server.url, "-t", "s3cret", "jobs")
    assert done.code == 3
    assert "Invalid token" in done.err
    verbose = subprocess.run(
        [sys.executable, "-m", "watcher", "-v", "-u", server.url, "-t", "s3cret", "jobs"],
        capture_output=True,
        text=True,
    )
    assert "Traceback" in verbose.stderr
    userinfo = watcher("-u", "http://me:s3cret@host", "jobs")
    strange = watcher("-u", server.url, "-t", "s3cret\nX: y", "jobs")
    assert [userinfo.code, strange.code] == [2, 2]
    for each in (done.err, verbose.stderr, userinfo.err, strange.err):
        assert "s3cret" not in each
    monkeypatch.setenv("PIXYZ_SCHEDULER_TOKEN_FILE", str(tmp_path / "absent"))
    assert watcher("-u", server.url, "jobs").code == 2


def test_a_closed_port_and_a_silent_one_are_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = watcher("-u", f"http://127.0.0.1:{port}", "jobs")
    assert done.code == 3
    assert "cannot be reached" in done.err
    assert "-u" in done.err
    assert len(done.err.splitlines()) == 1


def test_text_of_a_server_cannot_steer_the_terminal(server):
    nasty = "\x1b]0;owned\x07 \x1b[31mred"
    job = {"uuid": JOB, "name": nasty, "status": "FAILURE", "error": nasty, "result": nasty}
    server.answer("GET", "/jobs", body={"jobs": [job]})
    server.answer("GET", f"/jobs/{JOB}", body=job)
    server.answer("GET", f"/jobs/{JOB}/details", body=job)
    server.answer("GET", f"/jobs/{JOB}/outputs", body={"outputs": [nasty]})
    server.answer("GET", "/processes", body={"processes": [nasty]})
    server.answer("GET", "/processes/p", status=400, body={"detail": nasty})
    lines = [["jobs"], ["list"], ["doc", "p"]]
    lines += [[name, "-j", JOB] for name in ("status", "details", "outputs")]
    for words in lines:
        done = watcher("-u", server.url, *words, terminal=True)
        assert "\x1b]0" not in done.out + done.err, words
        assert "\x1b[31m" not in done.out + done.err, words


def test_piped_output_is_one_ascii_document(server):
    server.answer("GET", f"/jobs/{JOB}/outputs", body={"outputs": ["Größe \ud83d.stp"]})
    done = watcher("-u", server.url, "outputs", "-j", JOB, "--json", terminal=True)
    assert done.out.isascii()
    assert json.loads(done.out)


def test_a_full_disk_under_stdout_is_no_traceback(server):
    server.capture("jobs_many")
    command = [sys.executable, "-m", "watcher", "-u", server.url, "jobs"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_insecure_flag_and_a_ca_are_taken(server, tmp_path):
    server.answer("GET", "/jobs", body={"jobs": []})
    assert watcher("-u", server.url, "--insecure", "jobs").code == 0
    (tmp_path / "ca.pem").write_text("x")
    assert watcher("-u", server.url, "jobs", "--ca", tmp_path / "ca.pem").code == 0
    assert watcher("-u", server.url, "jobs", "--ca", tmp_path / "absent").code == 2


def test_completion_offers_commands_and_options():
    script = f"{sys.executable} -m watcher"
    done = subprocess.run(
        script.split(),
        capture_output=True,
        text=True,
        env={
            "_WATCHER_COMPLETE": "bash_complete",
            "COMP_WORDS": "watcher downl",
            "COMP_CWORD": "1",
        },
    )
    assert done.stdout.split() == ["plain,download", "plain,download_all"]


def test_a_redirect_is_not_followed_with_the_token(server):
    server.on("GET", "/jobs", lambda _: Answer(307, b"", {"Location": "http://127.0.0.1:9/"}))
    done = watcher("-u", server.url, "-t", "s3cret", "jobs")
    assert done.code == 3
    assert "redirects" in done.err
