"""The map of foreign errors is complete, and each error shape becomes the right class."""

from __future__ import annotations

import inspect
import json
import socket

import pytest
from requests import exceptions as foreign
from urllib3 import exceptions as pool

from watcher.adapters.http import Client, Server, Submission
from watcher.adapters.http.faults import MAP, mapped, replied, translated
from watcher.errors import (
    Garbled,
    JobLost,
    Refused,
    SchedulerError,
    TooEarly,
    Unauthorized,
    Unreachable,
    Unserved,
)

POOL = [
    kind
    for _, kind in inspect.getmembers(pool, inspect.isclass)
    if kind.__module__ == pool.__name__ and not issubclass(kind, Warning)
]
ALL = [
    kind
    for _, kind in inspect.getmembers(foreign, inspect.isclass)
    if issubclass(kind, foreign.RequestException)
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_exception_of_requests_has_its_own_line(kind):
    assert kind in MAP
    assert isinstance(mapped(kind.__new__(kind), "here"), SchedulerError)


@pytest.mark.parametrize("kind", POOL, ids=lambda kind: kind.__name__)
def test_no_exception_of_urllib3_gets_out(kind):
    with pytest.raises(SchedulerError), translated("here"):
        raise kind.__new__(kind)


def test_a_refused_connection_is_known_to_have_sent_nothing():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid"):
        client = Client(Server(url=url))
        with pytest.raises(Unserved):
            client.submit(Submission(process="api_test"))
        client.close()
    assert type(mapped(pool.ProtocolError("reset"), "here")) is Unreachable


def test_an_address_that_cannot_be_used_is_refused():
    for url in ("http://", "ftp://127.0.0.1:1", "127.0.0.1"):
        client = Client(Server(url=url))
        with pytest.raises(Refused):
            client.processes()
        client.close()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"detail": "Invalid token"}, Unauthorized),
        (404, {"detail": {"code": 404, "details": "Job 'x' does not exist"}}, JobLost),
        (404, {"detail": "Not Found"}, Garbled),
        (425, {"detail": {"code": 425, "details": "not finished"}}, TooEarly),
        (400, {"detail": {"code": 400, "details": "no main"}}, Refused),
        (503, {"detail": "Backend is not ready"}, Unserved),
        (502, {}, Unreachable),
        (307, {}, Garbled),
        (500, {"detail": "x"}, Garbled),
    ],
)
def test_e2_an_error_reply_has_its_class_and_the_servers_words(status, body, kind):
    error = replied(status, json.dumps(body).encode(), "here")
    assert type(error) is kind
    detail = body.get("detail", "")
    assert (detail["details"] if isinstance(detail, dict) else detail) in str(error)


def test_html_is_not_shown():
    assert "<" not in str(replied(502, b"<html>bad gateway</html>", "here"))
