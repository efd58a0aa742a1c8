"""Jobs of which nothing is heard any more, and schedulers that hang: what the daemon does.

Hours pass by a clock that the test moves.
"""

from __future__ import annotations

import socket
import threading

import pytest

from tests.studio import RULE, Studio, moved, until
from watcher.core import pacing


@pytest.fixture
def studio(tmp_path):
    made = Studio(tmp_path)
    made.scheduler.start()
    yield made
    made.close()


def asked(studio):
    return list(studio.service.engine.books.polls["default"].jobs.values())


def pass_time(studio, clock, seconds):
    """Let time go on, and wait until the scheduler was asked after it."""
    clock.ahead += seconds
    until(lambda: all(one.due > clock.monotonic() for one in asked(studio)))


def test_a_queue_of_ten_hours_is_waited_for_and_told_of_once(studio):
    studio.scheduler.working.clear()
    studio.start().drop("a.obj")
    clock = moved(studio)
    until(lambda: asked(studio))
    for _ in range(10):
        pass_time(studio, clock, 3600)
    until(lambda: any("no news of the job" in row for row in studio.history("a.obj")))
    assert sum("no news" in row for row in studio.history("a.obj")) == 1
    studio.scheduler.working.set()
    until(lambda: studio.scheduler.started)
    clock.ahead += pacing.LONGEST_POLL
    studio.wants("a.obj")
    assert len(studio.scheduler.posts) == 1


def test_a_job_whose_worker_was_killed_is_sent_once_more_then_failed(studio):
    rule = RULE.replace("retries: 0", "retries: 0, retry_after: 0s")
    path = studio.root / "watcher.yaml"
    path.write_text(path.read_text().replace(RULE, rule))
    (studio.root / "job.py").write_text(HANGS.format(gate=str(studio.root / "gate")))
    studio.start().drop("a.obj")
    clock = moved(studio)
    until(lambda: any(one.seen for one in asked(studio)))
    pass_time(studio, clock, pacing.STALL_RUNNING)
    assert len(studio.scheduler.posts) == 1
    pass_time(studio, clock, pacing.STALL_MARGIN + 1)
    until(lambda: len(studio.scheduler.posts) == 2)
    until(lambda: any(one.seen for one in asked(studio)))
    clock.ahead += pacing.STALL_RUNNING + pacing.STALL_MARGIN + 1
    until(lambda: studio.error("a.obj"))
    (studio.root / "gate").touch()
    assert "stalled: no news of the job for" in studio.error("a.obj")
    assert len(studio.scheduler.posts) == 2


HANGS = """
import pathlib, time
def main(pc, params):
    while not pathlib.Path({gate!r}).exists():
        time.sleep(0.02)
    pathlib.Path(pc.get_output_dir(), "o.bin").write_bytes(
        pathlib.Path(pc.get_input_file()).read_bytes()[::-1])
"""


def test_a_store_that_was_wiped_has_its_running_jobs_sent_again(studio):
    (studio.root / "job.py").write_text(HANGS.format(gate=str(studio.root / "gate")))
    path = studio.root / "watcher.yaml"
    path.write_text(path.read_text().replace("retries: 0", "retries: 0, retry_after: 0s"))
    studio.start()
    studio.drop("a.obj")
    clock = moved(studio)
    until(lambda: any(one.seen for one in asked(studio)))
    studio.scheduler.wipe()
    (studio.root / "gate").touch()
    pass_time(studio, clock, 10)
    assert len(studio.scheduler.posts) == 1
    clock.ahead += pacing.STALL_LOST
    studio.wants("a.obj")
    assert len(studio.scheduler.posts) == 2
    assert any("lost the job" in row for row in studio.history("a.obj"))


@pytest.mark.parametrize("running", [True, False])
def test_a_store_that_was_wiped_has_its_queued_jobs_sent_again(studio, running):
    gate = studio.root / "gate"
    (studio.root / "job.py").write_text(HANGS.format(gate=str(gate)))
    path = studio.root / "watcher.yaml"
    path.write_text(path.read_text().replace("retries: 0", "retries: 0, retry_after: 0s"))
    studio.start()
    names = [f"{n}.obj" for n in range(6)]
    if not running:  # no job is running, but one has ended before
        gate.touch()
        studio.drop("first.obj")
        until(studio.delivered)
        studio.scheduler.working.clear()
    clock = moved(studio)
    for name in names:
        studio.drop(name)
    begun = 2 if running else 0
    until(lambda: len(asked(studio)) == 6 and sum(one.seen for one in asked(studio)) == begun)
    until(lambda: all(one.last for one in asked(studio)))
    studio.scheduler.wipe()
    gate.touch()
    studio.scheduler.working.set()
    sent = len(studio.scheduler.posts)
    pass_time(studio, clock, 40)
    pass_time(studio, clock, 10)
    assert len(studio.scheduler.posts) == sent

    def later():
        clock.ahead += 0.5
        return len(studio.delivered()) == 6 + (not running)

    until(later)
    assert len(studio.scheduler.posts) == sent + 6


def test_retry_for_ever_is_told_as_a_silence(studio):
    studio.odd.retry_for_ever = True
    studio.start().drop("a.obj")
    clock = moved(studio)
    until(lambda: any(one.seen for one in asked(studio)))
    pass_time(studio, clock, pacing.WARN_QUIET + 1)
    until(lambda: any("its worker has died" in row for row in studio.history("a.obj")))


def test_an_archive_that_is_never_ready_fails_the_job_in_the_end(tmp_path):
    script = """
import pathlib
def main(pc, params):
    pathlib.Path(pc.get_output_dir("sub"), "o.bin").write_bytes(b"x")
"""
    studio = Studio(tmp_path, script=script)
    path = tmp_path / "watcher.yaml"
    path.write_text(path.read_text().replace("retries: 0", "retries: 0, retry_after: 0s"))
    studio.scheduler.start()
    try:
        studio.odd.never_packed = True
        studio.start().drop("a.obj")
        clock = moved(studio)

        def later():
            clock.ahead += 60
            return studio.error("a.obj")

        until(later)
        assert "the outputs did not become ready" in studio.error("a.obj")
        assert "425" in studio.error("a.obj")
        assert len(studio.scheduler.posts) == 2
    finally:
        studio.close()


class Hole:
    """A server that accepts connections and never answers, until it is closed."""

    def __init__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._held = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while not self._over.is_set():
            self._held.append(self._server.accept()[0])

    def close(self):
        if self._over.is_set():
            return
        self._over.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._server.close()
        for one in self._held:
            one.close()


@pytest.fixture
def hole():
    made = Hole()
    yield made
    made.close()


def test_a_scheduler_that_hangs_holds_up_nobody_else(tmp_path, hole):
    rule = '      - {{name: {0}, match: "*.{0}", process: api_test, scheduler: {0}}}\n'
    others = rule.format("dead") + rule.format("late")
    studio = Studio(tmp_path, rules=others + RULE)
    url = f"http://127.0.0.1:{hole.port}"
    dead, late = (f"{{url: '{url}', timeout: {timeout}}}" for timeout in ("1h", "1s"))
    studio.schedulers(f"schedulers: {{dead: {dead}, late: {late}}}\n")
    studio.scheduler.start()
    try:
        studio.start()
        for n in range(20):
            studio.drop(f"{n}.dead")
        until(lambda: studio.service.engine.books.performing >= 8)
        names = [f"{n}.obj" for n in range(10)]
        for name in names:
            studio.drop(name)
        studio.wants(*names)  # not held up for the hour of the other
        assert studio.service.engine.books.performing >= 8
        assert not studio.troubles()
        studio.drop("1.late")
        until(lambda: "does not answer in time" in studio.troubles().get("late", ""))
        assert "default" not in studio.troubles()
    finally:
        hole.close()  # nobody waits for an answer any more
        studio.close()
