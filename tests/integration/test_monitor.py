"""The page, health, metrics and files of a real daemon, asked over real HTTP."""

import json
import os
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
import structlog

from watcher.config.load import load
from watcher.core.settings import (
    Folder,
    Http,
    JobSpec,
    Match,
    Rule,
    SchedulerSettings,
    Secret,
    Settings,
)
from watcher.daemon.health import sick, unready
from watcher.daemon.service import Service
from watcher.errors import ConfigError, UsageError

DEADLINE = 20.0


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def settings_in(root, http):
    rule = Rule(
        name="all", match=Match(globs=("*",)), jobs=(JobSpec(label="pass", process="pass"),)
    )
    (root / "in").mkdir()
    folder = Folder(
        name="cad", input=root / "in", output=root / "out", failed=root / "bad",
        settle=0.1, scan_every=0.3, rules=(rule,),
    )  # fmt: skip
    return Settings(
        source=root / "watcher.yaml",
        state=root / "var",
        schedulers={"default": SchedulerSettings(name="default", url="embedded")},
        http=http,
        folders=(folder,),
    )


class Asking:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"

    def __call__(self, path, *, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.base + path, method=method, headers=named)  # noqa: S310  (our own http:)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310  (our own http:)
                return reply.status, reply.headers, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()
        except urllib.error.URLError as error:  # it does not listen yet
            return 0, {}, str(error)

    def until(self, path, condition):
        end = time.monotonic() + DEADLINE
        while not condition(reply := self(path)):
            assert time.monotonic() < end, reply
            threading.Event().wait(0.05)
        return reply


@contextmanager
def daemon(root, token=None):
    port = free_port()
    http = Http(port=port, token=Secret(token) if token else None)
    service = Service(settings_in(root, http), structlog.get_logger())
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield Asking(port)
    finally:
        service.stop()
        thread.join(DEADLINE)
        assert not thread.is_alive()


def test_ready_until_a_root_goes_away(tmp_path):
    with daemon(tmp_path) as ask:
        ask.until("/readyz", lambda reply: reply[0] == 200)
        assert ask("/healthz")[0] == 200
        shutil.rmtree(tmp_path / "in")
        reply = ask.until("/readyz", lambda reply: reply[0] == 503)
        assert "cad is offline" in reply[2]
        assert ask("/healthz")[0] == 200


def test_a_daemon_that_is_still_starting_is_not_sick(tmp_path):
    http = Http(port=free_port())
    service = Service(settings_in(tmp_path, http), structlog.get_logger())
    try:
        assert sick(service.health()) == []
        assert unready(service.settings, service.health(), service.ledger)
    finally:
        service.close()


def test_hostile_names_are_escaped_and_told_as_json(tmp_path):
    names = ["<script>alert(1)<", "two\nlines", os.fsdecode(b"bad\xff")]
    with daemon(tmp_path) as ask:
        ask.until("/readyz", lambda reply: reply[0] == 200)
        for name in names:
            (tmp_path / "in" / name).write_text("x")
        query = "/api/files?state=delivered&folder=cad"
        reply = ask.until(query, lambda reply: len(json.loads(reply[2])) == len(names))
        assert {one["path"] for one in json.loads(reply[2])} == set(names)
        status, headers, text = ask("/")
        assert status == 200
        assert text.count("<script") == 1  # our own file
        assert "&lt;script&gt;" in text
        assert "two\nlines" not in text
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        # counted after it is in the ledger
        figures = ask.until("/metrics", lambda reply: "watcher_delivered_total 3.0" in reply[2])[2]
        assert 'watcher_files{folder="cad",state="delivered"} 3.0' in figures
        assert len(json.loads(ask("/api/files?limit=1&offset=1")[2])) == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "state=odd", "limit=x"])
def test_bad_questions_are_refused(tmp_path, query):
    with daemon(tmp_path) as ask:
        ask.until("/healthz", lambda reply: reply[0] == 200)
        assert ask(f"/api/files?{query}")[0] == 400


def test_a_token_is_asked_of_every_path(tmp_path):
    with daemon(tmp_path, token="s3cret") as ask:  # noqa: S106  (made up here)
        ask.until("/healthz", lambda reply: reply[0])
        for path in ("/", "/healthz", "/readyz", "/metrics", "/api/files", "/none"):
            assert ask(path)[0] == 401
        assert ask("/", Authorization="Bearer wrong")[0] == 401
        assert ask("/", Authorization="Bearer s3cret")[0] == 200
        assert ask("/", x_api_key="s3cret")[0] == 200


def test_only_get_is_answered(tmp_path):
    with daemon(tmp_path) as ask:
        ask.until("/healthz", lambda reply: reply[0])
        assert ask("/", method="POST")[0] == 405


def test_a_taken_port_is_one_clear_error_and_frees_the_state(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = settings_in(tmp_path, Http(port=other.getsockname()[1]))
        with pytest.raises(UsageError, match="cannot be served"):
            Service(settings, structlog.get_logger()).run()
        service = Service(settings, structlog.get_logger())
        assert service.run_once(5.0).left == 0  # no page, no port


def test_an_address_off_loopback_without_a_token_is_refused(tmp_path):
    file = tmp_path / "watcher.yaml"
    (tmp_path / "in").mkdir()
    file.write_text(
        "state: ./var\nhttp: {listen: 0.0.0.0:9410}\nfolders:\n"
        "  - {name: cad, input: ./in, output: ./out,"
        " rules: [{name: r, match: '*', process: pass}]}\n"
    )
    with pytest.raises(ConfigError) as refused:
        load(file, {})
    assert any("token_file is needed" in str(problem) for problem in refused.value.problems)


def test_health_names_each_folder_that_cannot_be_used(tmp_path):
    with daemon(tmp_path) as ask:
        ask.until("/readyz", lambda reply: reply[0] == 200)
        (tmp_path / "bad").rmdir()
        (tmp_path / "out").rmdir()
        (tmp_path / "out").write_text("no folder")
        status, _, body = ask("/readyz")
        assert status == 503
        assert json.loads(body)["reasons"] == [
            f"folder cad: the output {tmp_path}/out is not there",
            f"folder cad: the failed folder {tmp_path}/bad is not there",
        ]
