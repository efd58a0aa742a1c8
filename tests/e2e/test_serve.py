"""``watcher serve`` as people start and stop it: a real process, a real socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.serving import TOKEN, WITHIN, Server, start_server, until

TOUCH = """
def main(pc, params):
    with open(pc.get_output_dir("a.txt"), "w") as file:
        file.write("alpha")
    return {"n": params.get("n")}
"""


def watcher(*words, **more):
    return subprocess.run(
        [sys.executable, "-m", "watcher", *words],
        capture_output=True,
        text=True,
        timeout=WITHIN,
        **more,
    )


def test_a_job_from_form_to_output_and_a_stop_that_ends_well(tmp_path):
    with start_server(tmp_path) as server:
        job = server.submit(script=TOUCH, params={"n": 3}, name="first")
        told = server.wait(job)
        assert told["status"] == "SUCCESS"
        assert told["result"] == {"n": 3}
        assert told["name"] == "first"
        assert server.ask("GET", f"/jobs/{job}/outputs").json() == {"outputs": ["a.txt"]}
        assert server.ask("GET", f"/jobs/{job}/outputs/a.txt").content == b"alpha"
        assert server.end() == 0
        words = [row["event"] for row in server.events()]
        assert words[0] == "serve.started"
        assert words[-2:] == ["serve.stopping", "serve.stopped"]
        assert TOKEN not in "".join(server.lines)


GATED = """
import os, time
def main(pc, params):
    while not os.path.exists(params["go"]):
        time.sleep(0.05)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_jobs_survive_the_end_of_the_server(tmp_path, number):
    """With SIGTERM the running job outlasts its grace."""
    with start_server(tmp_path, "--workers", "1") as server:
        done = server.submit("api_test", params={"a": 1})
        server.wait(done)
        running = server.submit(script=GATED, params={"go": str(tmp_path / "go")})
        queued = server.submit("api_test", name="later")
        server.wait(running, "RUNNING")
        server.end(number)
    with start_server(tmp_path, "--workers", "2") as server:
        assert server.details(done)["result"] == {"output": "Hello World!", "params": {"a": 1}}
        assert server.wait(queued)["name"] == "later"
        (tmp_path / "go").touch()
        assert server.wait(running)["status"] == "SUCCESS"
        assert len(server.ask("GET", "/jobs").json()["jobs"]) == 3


def test_one_process_owns_the_jobs(tmp_path):
    with start_server(tmp_path):
        second = watcher("serve", "--port", "0", "--state", str(tmp_path / "state"))
    assert second.returncode == 3
    assert "another process" in second.stderr
    assert second.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = watcher("serve", "--port", port, "--state", str(tmp_path))
    assert found.returncode == 2
    assert port in found.stderr
    assert "--port" in found.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "token"),  # noqa: S104  (refused is what is tested)
        (["--token-file", "/nowhere/token"], "/nowhere/token"),
        (["--workers", "many"], "--workers"),
        (["--workers", "0"], "--workers"),
        (["--keep", "soon"], "--keep"),
        (["--keep", "0s"], "--keep"),
        (["--processes", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--port", "x"], "port"),
        (["--token", ""], "empty"),
        (["--token", "two words"], "header"),
    ],
)
def test_bad_usage_is_one_line(tmp_path, words, said):
    found = watcher("serve", "--port", "0", "--state", str(tmp_path), *words)
    assert found.returncode == 2
    assert said in found.stderr
    assert found.stderr.count("\n") == 1


def test_an_empty_token_file_is_refused(tmp_path):
    (tmp_path / "token").write_text("\n")
    found = watcher("serve", "--port", "0", "--token-file", str(tmp_path / "token"))
    assert found.returncode == 2
    assert "empty" in found.stderr


def test_the_token_comes_from_a_file(tmp_path):
    (tmp_path / "token").write_text("from-file\n")
    with start_server(tmp_path, "--token-file", str(tmp_path / "token")) as server:
        assert server.ask("GET", "/jobs").status_code == 401
        server.session.headers["x-api-key"] = "from-file"
        assert server.ask("GET", "/jobs").status_code == 200


def test_the_environment_names_token_and_state(tmp_path):
    """And the token before the command wins over the environment's."""
    (tmp_path / "token").write_text("from-env\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("PIXYZ_", "WATCHER_"))}
    named = plain | {"PIXYZ_SCHEDULER_TOKEN_FILE": str(tmp_path / "binary")}
    found = watcher("serve", "--port", "0", env=named)
    assert found.returncode == 2
    assert "binary" in found.stderr
    cases = [
        ({"WATCHER_STATE": str(tmp_path / "a"), "PIXYZ_SCHEDULER_TOKEN": "x"}, ["-t", "other"]),
        ({"XDG_STATE_HOME": str(tmp_path), "PIXYZ_SCHEDULER_TOKEN": "x"}, []),
        (
            {"HOME": str(tmp_path), "PIXYZ_SCHEDULER_TOKEN_FILE": str(tmp_path / "token")},
            [],
        ),
    ]
    states = ["a", "watcher", ".local/state/watcher"]
    for (more, before), state, token in zip(cases, states, ("other", "x", "from-env"), strict=True):
        environ = {k: v for k, v in plain.items() if k != "XDG_STATE_HOME"} | more
        server = Server(None, (), words=[*before, "serve", "--port", "0"], environ=environ)
        with server.session:
            server.session.headers["x-api-key"] = token
            assert server.ask("GET", "/jobs").status_code == 200
            assert server.end() == 0
            server.process.stdout.close()
        assert (tmp_path / state / "jobs").is_dir()


def test_no_scripts_means_named_processes_only(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "greet.py").write_text('def main(pc, params):\n    """Greets."""\n    return "hello"\n')
    with start_server(tmp_path, "--no-scripts", "--processes", str(own)) as server:
        script = {"script": ("s.py", TOUCH)}
        refused = server.ask("POST", "/jobs", files=script)
        assert refused.status_code == 403
        assert "--no-scripts" in refused.json()["detail"]["details"]
        assert server.ask("GET", "/jobs").json() == {"jobs": []}
        assert "greet" in server.ask("GET", "/processes").json()["processes"]
        assert "Greets." in server.ask("GET", "/processes/greet").json()["doc"]
        assert server.wait(server.submit("greet"))["result"] == "hello"


def test_old_jobs_go(tmp_path):
    with start_server(tmp_path, "--keep", "1s") as server:
        job = server.submit("api_test")
        until(lambda: server.details(job)["result"] == "None" and gone(server, job), what="purge")


def test_ipv6_and_debug_words(tmp_path):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with start_server(tmp_path, "--host", "::1", "--workers", "1", "--keep", "forever") as server:
        assert server.url.startswith("http://[::1]:")
        assert server.wait(server.submit("api_test"))["status"] == "SUCCESS"


def gone(server: Server, job: str) -> bool:
    listed = [row["uuid"] for row in server.ask("GET", "/jobs").json()["jobs"]]
    return job not in listed and not (server.state / "jobs" / job).exists()
