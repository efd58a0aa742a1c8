"""The frame round each request, with the smallest of applications; trouble with the disk."""

from __future__ import annotations

import asyncio
import errno
import json

import pytest
import structlog
from prometheus_client import CollectorRegistry

from watcher.embedded.server.disk import trouble
from watcher.embedded.server.frame import Frame
from watcher.embedded.server.replies import told
from watcher.errors import JobLost, NoSpace, Unreachable, WatcherError

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


def run(app, scope=SCOPE):
    """What one request makes the application send, and what is logged."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    with structlog.testing.capture_logs() as logs:
        frame = Frame(app, structlog.get_logger(), CollectorRegistry(), linger=0.1)
        asyncio.run(frame(scope, receive, send))
    return sent, logs


async def breaks(scope, receive, send):
    raise ZeroDivisionError("/secret/path")


async def breaks_late(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ZeroDivisionError


def test_a_fault_is_500_in_the_shape_of_the_api_and_told_in_the_log():
    sent, logs = run(breaks)
    assert sent[0]["status"] == 500
    detail = json.loads(sent[1]["body"])["detail"]
    assert detail["code"] == 500
    assert "secret" not in str(detail)
    assert logs[0]["event"] == "fault"


def test_a_fault_after_the_reply_began_is_told_in_the_log_alone():
    sent, logs = run(breaks_late)
    assert [message.get("status") for message in sent] == [200]
    assert logs[0]["event"] == "fault"


def test_other_kinds_of_connections_are_left_alone():
    assert run(breaks, {"type": "lifespan"}) == ([], [])


@pytest.mark.parametrize(
    ("number", "kind", "status"),
    [(errno.ENOSPC, NoSpace, 507), (errno.EDQUOT, NoSpace, 507), (errno.EIO, Unreachable, 503)],
)
def test_the_disk_s_trouble(number, kind, status):
    found = trouble(OSError(number, "word", "/secret/path"), "it was not kept")
    assert isinstance(found, kind)
    assert "secret" not in str(found)
    assert told(found).status_code == status


def test_every_error_has_a_reply():
    assert told(JobLost("gone")).status_code == 404
    assert told(WatcherError("odd")).status_code == 500
