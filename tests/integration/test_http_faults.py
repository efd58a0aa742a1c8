"""The map of foreign errors is complete, and each error shape becomes the right class."""

from __future__ import annotations

import inspect
import json

import pytest
from requests import exceptions as foreign

from watcher.adapters.http.faults import MAP, mapped, replied
from watcher.errors import JobLost, Refused, SchedulerError, TooEarly, Unauthorized, Unreachable

ALL = [
    kind
    for _, kind in inspect.getmembers(foreign, inspect.isclass)
    if issubclass(kind, foreign.RequestException)
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_exception_of_requests_has_its_own_line(kind):
    assert kind in MAP
    assert isinstance(mapped(kind.__new__(kind), "here"), SchedulerError)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"detail": "Invalid token"}, Unauthorized),
        (404, {"detail": {"code": 404, "details": "Job 'x' does not exist"}}, JobLost),
        (404, {"detail": "Not Found"}, Unreachable),
        (425, {"detail": {"code": 425, "details": "not finished"}}, TooEarly),
        (400, {"detail": {"code": 400, "details": "no main"}}, Refused),
        (503, {"detail": "Backend is not ready"}, Unreachable),
        (307, {}, Unreachable),
    ],
)
def test_e2_an_error_reply_has_its_class_and_the_servers_words(status, body, kind):
    error = replied(status, json.dumps(body).encode(), "here")
    assert type(error) is kind
    detail = body.get("detail", "")
    assert (detail["details"] if isinstance(detail, dict) else detail) in str(error)


def test_html_is_not_shown():
    assert "<" not in str(replied(502, b"<html>bad gateway</html>", "here"))
