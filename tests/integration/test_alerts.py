"""Webhooks over real HTTP: grouped, signed, tried again, and away from the engine."""

import hashlib
import hmac
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import structlog

from watcher.adapters.clock import SystemClock
from watcher.adapters.webhook import post
from watcher.core.model import (
    FileRecord,
    FileState,
    Fingerprint,
    JobRecord,
    JobState,
)  # fmt: skip
from watcher.core.ports import Note, SaveFile, SaveJob
from watcher.core.settings import Notify, Secret
from watcher.daemon import messages
from watcher.daemon.alerts import Alerts, Sources
from watcher.daemon.health import Health, SchedulerHealth
from watcher.daemon.sightings import RootState
from watcher.errors import Refused, Unreachable

DEADLINE = 30.0
KINDS = frozenset(["failed", "stalled", "offline", "down", "backlog", "refused", "recovered"])


class Hook:
    """A webhook that answers as it is told."""

    def __init__(self):
        self.answers, self.got, self.news = [], [], threading.Condition()
        outer = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with outer.news:
                    status = outer.answers.pop(0) if outer.answers else 204
                    outer.got.append((status, dict(self.headers), body))
                    outer.news.notify_all()
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/T0KEN"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def until(self, count):
        with self.news:
            assert self.news.wait_for(lambda: len(self.got) >= count, DEADLINE), self.got
        return [json.loads(body) for _, _, body in self.got]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def hook():
    one = Hook()
    yield one
    one.close()


def well(**more):
    return Health(
        **{
            "beat_age": 0.0, "intake_alive": True, "roots": {}, "schedulers": {}, "delivered": 0,
            "failed": 0, **more,
        }
    )  # fmt: skip


class Daemon:
    def __init__(self, *hooks):
        self.hooks, self.health, self.oldest = hooks, well(), {}
        self.said = []
        sources = Sources(
            hooks=lambda: self.hooks, health=lambda: self.health, oldest=lambda: self.oldest,
            clock=SystemClock(),
        )  # fmt: skip
        self.alerts = Alerts(sources, post, structlog.wrap_logger(structlog.PrintLogger(), [self]))

    def __call__(self, _, __, event):
        self.said.append(dict(event))
        raise structlog.DropEvent


@contextmanager
def alerting(*hooks):
    one = Daemon(*hooks)
    one.alerts.start()
    try:
        yield one
    finally:
        one.alerts.stop()


def failures(count):
    for number in range(count):
        before = FileRecord(
            id=number, folder="cad", path=f"part-{number}.step", arrival=1, rule="r",
            state=FileState.WORKING, print=Fingerprint(1, 1),
        )  # fmt: skip
        yield SaveFile(before, before._replace(state=FileState.FAILED, reason="no geometry"))


def wanting(hook, **more):
    given = {"on": KINDS, "url": Secret(hook.url), "wait": 0.5, "every": 0.5, **more}
    return Notify(**given)


def test_a_thousand_failures_are_one_message(hook):
    with alerting(wanting(hook)) as daemon:
        daemon.alerts.changed(list(failures(1000)))
        told = hook.until(1)[0]
        assert told["title"] == "watcher: 1000 files failed"
        assert told["events"][0]["count"] == 1000
        assert len(told["events"][0]["named"]) == messages.NAMED
        assert "cad/part-0.step: no geometry" in told["text"]
        assert "and 990 more" in told["text"]
    assert len(hook.got) == 1


def test_standing_troubles_are_told_once_and_when_they_are_over(hook):
    with alerting(wanting(hook, backlog_after=60.0)) as daemon:
        sick = well(
            roots={"cad": RootState("cad", online=False, reason="it is gone")},
            schedulers={"farm": SchedulerHealth(3, "refuses connections")},
            refused="watcher.yaml:3:1: unknown key",
        )
        daemon.health, daemon.oldest = sick, {"scans": time.time() - 120}  # at once: one message
        told = hook.until(1)[0]
        kinds = {event["kind"]: event["named"] for event in told["events"]}
        assert kinds["offline"] == [{"subject": "cad", "reason": "it is gone"}]
        assert kinds["down"] == [{"subject": "farm", "reason": "refuses connections"}]
        assert kinds["backlog"][0]["reason"] == "a file has waited for 2 minutes"
        assert kinds["refused"][0]["reason"] == "watcher.yaml:3:1: unknown key"
        daemon.health, daemon.oldest = well(), {}
        told = hook.until(2)[1]
        assert told["events"][0]["kind"] == "recovered"
        assert told["events"][0]["count"] == 4
    assert len(hook.got) == 2


def test_a_hook_hears_what_it_wants_in_its_own_words_and_signed(hook):
    one = wanting(
        hook, on=frozenset(["stalled"]), secret=Secret("k3y"),
        body='{"said": {{ text|tojson }}, "first": {{ events[0].kind|tojson }}}',
    )  # fmt: skip
    job = JobRecord(
        id=1, file_id=1, index=0, label="convert", scheduler="farm", state=JobState.RUNNING
    )
    with alerting(one) as daemon:
        daemon.alerts.changed(list(failures(3)))
        daemon.alerts.changed([SaveJob(job, job, (Note(0.0, "quiet", "no news for 30 minutes"),))])
        told = hook.until(1)[0]
    assert told["first"] == "stalled"
    assert "job convert: no news for 30 minutes" in told["said"]
    _, headers, body = hook.got[0]
    stamp, signed = headers[messages.SIGNATURE].removeprefix("t=").split(",v1=")
    right = hmac.new(b"k3y", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert signed == right
    assert headers["Content-Type"] == "application/json"


def test_busy_hooks_are_asked_again_and_refusals_are_not(hook):
    hook.answers = [503, 429, 204, 404]
    with alerting(wanting(hook)) as daemon:
        daemon.alerts.changed(list(failures(1)))
        told = hook.until(3)
        assert told[0] == told[1] == told[2]
        daemon.alerts.changed(list(failures(2)))
        hook.until(4)
    assert len(hook.got) == 4
    events = [row["event"] for row in daemon.said]
    assert events == ["notify.sent", "notify.failed"]
    assert "T0KEN" not in json.dumps(daemon.said)


def test_a_stop_says_what_is_due_and_a_bad_template_says_so(hook):
    with alerting(
        wanting(hook, wait=60.0), wanting(hook, body="{{ text.none.of_this }}")
    ) as daemon:
        daemon.alerts.changed(list(failures(1)))
        end = time.monotonic() + DEADLINE
        while not daemon.said:
            assert time.monotonic() < end
            threading.Event().wait(0.05)
        assert daemon.said[0]["event"] == "notify.failed"
        daemon.hooks = daemon.hooks[:1]  # a reload: the other keeps what it has to say
    assert len(hook.got) == 1


@pytest.mark.parametrize(
    ("status", "error"), [(301, Refused), (404, Refused), (408, Unreachable), (500, Unreachable)]
)
def test_answers_are_told_apart(hook, status, error):
    hook.answers = [status]
    with pytest.raises(error, match=f"127.0.0.1: answered {status}"):
        post(hook.url, b"x", {})


def test_nobody_there_is_unreachable_and_the_token_is_not_told():
    with pytest.raises(Unreachable) as failed:
        post("http://127.0.0.1:1/T0KEN", b"x", {})
    assert "T0KEN" not in str(failed.value)
