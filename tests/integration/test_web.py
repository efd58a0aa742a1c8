"""What the page lets nobody do: foreign names, foreign forms, foreign files."""

import http.client
import json
import os
import re
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlencode

import pytest
import structlog

from watcher.core.settings import (
    Folder,
    Http,
    JobSpec,
    Match,
    Rule,
    SchedulerSettings,
    Secret,
    Settings,
)  # fmt: skip
from watcher.daemon.service import Service
from watcher.daemon.web.guard import Sessions

DEADLINE = 30.0


class Browser:
    """A client that keeps its cookie, and says what it likes in its headers."""

    def __init__(self, port):
        self.port, self.cookie = port, ""

    def __call__(self, method, path, *, form=None, **headers):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            given.setdefault("cookie", self.cookie)
        body = urlencode(form, doseq=True) if form is not None else None
        try:
            link.request(method, path, body, given)
            reply = link.getresponse()
            self.headers = {name.lower(): value for name, value in reply.getheaders()}
            if "set-cookie" in self.headers:
                self.cookie = self.headers["set-cookie"].split(";")[0]
            return reply.status, reply.read()
        finally:
            link.close()

    def until(self, path, condition):
        end = time.monotonic() + DEADLINE
        while True:
            try:
                reply = self("GET", path)
            except OSError:
                reply = (0, b"")
            if condition(reply):
                return reply
            assert time.monotonic() < end, reply
            threading.Event().wait(0.05)

    def csrf(self):
        found = re.search(rb'name="csrf" value="([0-9a-f]+)"', self("GET", "/")[1])
        return found[1].decode()


@contextmanager
def serving(root, token=None):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    rules = (
        Rule(name="bad", match=Match(globs=("*.bad",)), jobs=(JobSpec(label="n", process="no"),),
             retries=0),
        Rule(name="all", match=Match(globs=("*",)), jobs=(JobSpec(label="p", process="pass"),)),
    )  # fmt: skip
    (root / "in").mkdir()
    folder = Folder(
        name="cad", input=root / "in", output=root / "out", failed=root / "bad", settle=0.1,
        scan_every=0.3, rules=rules,
    )  # fmt: skip
    settings = Settings(
        source=root / "w.yaml", state=root / "var", folders=(folder,),
        schedulers={"default": SchedulerSettings(name="default")},
        http=Http(port=port, token=Secret(token) if token else None),
    )  # fmt: skip
    service = Service(settings, structlog.get_logger())
    thread = threading.Thread(target=service.run)
    thread.start()
    browser = Browser(port)
    try:
        browser.until("/healthz", lambda reply: reply[0])
        yield browser, service
    finally:
        service.stop()
        thread.join(DEADLINE)
        assert not thread.is_alive()


def delivered(browser, root, name, content=b"x"):
    (root / "in" / name).write_bytes(content)

    def there(reply):
        return any(one["path"] == name for one in json.loads(reply[1] or b"[]"))

    reply = browser.until("/api/files?state=delivered", there)
    return next(one for one in json.loads(reply[1]) if one["path"] == name)["id"]


def test_only_names_of_loopback_are_answered(tmp_path):
    with serving(tmp_path) as (ask, _):
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""):
            assert ask("GET", "/", host=host)[0] == 421, host
        for host in ("localhost", "LOCALHOST:9410", "127.0.0.2:1", "[::1]:9410"):
            assert ask("GET", "/", host=host)[0] == 200, host
        assert "access-control-allow-origin" not in ask.headers
        assert ask.headers["x-content-type-options"] == "nosniff"
        policy = ask.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy


def test_buttons_are_for_this_page_only(tmp_path):
    with serving(tmp_path) as (ask, _):
        (tmp_path / "in" / "x.bad").write_text("x")
        ask.until("/api/files?state=failed", lambda reply: len(json.loads(reply[1] or b"[]")) == 1)
        number = json.loads(ask("GET", "/api/files?state=failed")[1])[0]["id"]
        csrf = ask.csrf()
        assert ask("POST", "/retry", form={"file": number})[0] == 403
        assert ask("POST", "/retry", form={"file": number, "csrf": "0" * 64})[0] == 403
        assert ask("POST", "/retry", form={"file": number, "csrf": csrf}, cookie="none=1")[0] == 403
        assert ask("POST", "/retry", form={"csrf": "x" * 70_000})[0] == 403
        assert ask("GET", "/retry")[0] == 405
        form = {"file": [number, "no number"], "csrf": csrf, "back": "//evil.example/"}
        assert ask("POST", "/retry", form=form)[0] == 303
        assert ask.headers["location"] == "/"
        two = "/api/files?state=failed"
        ask.until(two, lambda reply: len(json.loads(reply[1])) == 2)
        form = {"all": "1", "csrf": csrf, "back": "/files?state=failed"}
        assert ask("POST", "/retry", form=form)[0] == 303
        assert ask.headers["location"] == "/files?state=failed"
        ask.until(two, lambda reply: len(json.loads(reply[1])) == 3)


@pytest.mark.parametrize(
    ("name", "kind", "saved"),
    [
        ("a.png", "image/png", False),
        ("a.html", "application/octet-stream", True),
        ("a.svg", "application/octet-stream", True),
        ("a.json", "application/json", True),
        ('q"\u00fc\n.glb', "model/gltf-binary", True),
    ],
)
def test_outputs_come_with_a_harmless_type(tmp_path, name, kind, saved):
    with serving(tmp_path) as (ask, _):
        number = delivered(ask, tmp_path, name, b"content")
        status, body = ask("GET", f"/output/{number}/0/0")
        assert (status, body) == (200, b"content")
        assert ask.headers["content-type"] == kind
        assert ask.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert ask.headers.get("content-disposition", "").startswith("attachment") == saved
        assert name in ask("GET", f"/file/{number}")[1].decode() or saved


def test_nothing_but_delivered_outputs_is_served(tmp_path):
    (tmp_path / "secret").write_text("SECRET")
    with serving(tmp_path) as (ask, _):
        number = delivered(ask, tmp_path, "a.txt")
        for path in (
            f"/output/{number}/1/0", f"/output/{number}/0/1", "/output/1/0/0",
            f"/output/{1 << 64}/0/0", "/file/1", "/static/../web/pages.py",
            "/static/%2e%2e/pages.py", "/output/../../secret",
        ):  # fmt: skip
            assert ask("GET", path)[0] == 404, path
        (tmp_path / "out" / "a.txt").unlink()
        assert ask("GET", f"/output/{number}/0/0")[0] == 404
        (tmp_path / "out" / "a.txt").symlink_to(tmp_path / "secret")
        assert ask("GET", f"/output/{number}/0/0")[0] == 404
        (tmp_path / "out" / "a.txt").unlink()
        os.mkfifo(tmp_path / "out" / "a.txt")
        assert ask("GET", f"/output/{number}/0/0")[0] == 404
        shutil.rmtree(tmp_path / "out")
        (tmp_path / "out").symlink_to(tmp_path)
        assert b"SECRET" not in ask("GET", f"/output/{number}/0/0")[1]


def test_the_token_opens_a_session_and_a_new_token_ends_it(tmp_path):
    with serving(tmp_path, "s3cret") as (ask, service):
        assert ask("GET", "/", accept="text/html")[0] == 303
        assert ask.headers["location"] == "/login"
        assert ask("GET", "/login")[0] == 200
        assert ask("POST", "/login", form={"token": "no"})[0] == 401
        assert not ask.cookie
        assert ask("POST", "/login", form={"token": "s3cret"})[0] == 303
        assert {"HttpOnly", "SameSite=strict"} <= set(ask.headers["set-cookie"].split("; "))
        assert ask("GET", "/", host="studio.example")[0] == 200
        assert ask("GET", "/api/files")[0] == 200
        service.settings = replace(
            service.settings, http=replace(service.settings.http, token=Secret("other"))
        )
        assert ask("GET", "/api/files")[0] == 401
        assert ask("GET", "/healthz", authorization="Bearer other")[0] == 200
        assert ask("POST", "/login", form={"token": "other"})[0] == 303
        assert ask("POST", "/logout")[0] == 303
        assert ask("GET", "/api/files")[0] == 401


def test_files_are_searched_and_paged(tmp_path):
    with serving(tmp_path) as (ask, _):
        for name in ("Wing_A.txt", "wing_b.txt", "seat.txt"):
            delivered(ask, tmp_path, name)
        found = json.loads(ask("GET", "/api/files?q=WING&limit=1&offset=1")[1])
        assert [one["path"] for one in found] == ["Wing_A.txt"]
        assert b"wing_b.txt" in ask("GET", "/files?q=wing&folder=cad&state=odd&page=0")[1]
        assert b"No file is like that" in ask("GET", "/files?q=wing&page=7")[1]


def test_an_open_page_hears_what_changed(tmp_path):
    with serving(tmp_path) as (ask, _):
        ask("GET", "/")
        link = http.client.HTTPConnection("127.0.0.1", ask.port, timeout=DEADLINE)
        link.request("GET", "/events", headers={"cookie": ask.cookie})
        reply = link.getresponse()
        assert reply.headers["content-type"].startswith("text/event-stream")
        told = until_data(reply)
        assert set(told) == {"health", "folders", "work", "failed", "delivered", "timeline"}
        (tmp_path / "in" / "new <i>.txt").write_text("x")
        while "new &lt;i&gt;.txt" not in told.get("delivered", ""):
            told = until_data(reply)
        link.close()


def until_data(reply):
    while not (line := reply.readline()).startswith(b"data: "):
        assert line, "the stream ended"
    return json.loads(line[6:])


def test_sessions_end_and_are_bounded():
    sessions = Sessions()
    first = sessions.opened("t")
    assert sessions.knows(first, "t")
    assert not sessions.knows(first, "u")
    assert not sessions.knows("", "t")
    for _ in range(1000):
        last = sessions.opened("t")
    assert not sessions.knows(first, "t")
    assert sessions.knows(last, "t")
