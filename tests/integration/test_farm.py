"""Jobs on Celery workers: whatever is killed, emptied or cut, each ends once, and as it should."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tests.databases import redis
from tests.farming import start_farm
from tests.serving import until

# says that it began, by a file a run, and ends when it may
SCRIPT = """
import os, time
from pathlib import Path
def main(pc, params):
    top = Path(params["top"])
    pc.progress_set_total(2)
    pc.progress_next("waiting")
    (top / f"began.{os.getpid()}.{os.getppid()}").touch()
    Path(pc.get_output_dir(), "made.txt").write_text(str(os.getpid()))
    while not (top / "go").exists():
        time.sleep(0.02)
    pc.progress_next("going")
    return os.getpid()
"""


class Gate:
    """Jobs that wait at a gate, and what is known of their runs."""

    def __init__(self, top):
        self.top = top
        top.mkdir()

    def job(self, server, **config):
        return server.submit(script=SCRIPT, params={"top": str(self.top)}, config=config)

    def runs(self):
        return list(self.top.glob("began.*"))

    def begun(self, count=1):
        until(lambda: len(self.runs()) >= count, what=f"{count} runs")
        return [int(path.name.split(".")[1]) for path in self.runs()]

    def open(self):
        (self.top / "go").touch()


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path / "gate")


@pytest.fixture(scope="module")
def farm(redis_server, tmp_path_factory):
    with start_farm(tmp_path_factory.mktemp("farm"), redis_server.url) as started:
        yield started


@pytest.fixture
def own(tmp_path):
    """A farm on a broker of its own, which may be stopped."""
    with redis() as broker, start_farm(tmp_path, broker.url) as farm:
        yield broker, farm


def delivered(server, job):
    told = server.wait(job)
    assert told["status"] == "SUCCESS", told
    made = server.ask("GET", f"/jobs/{job}/outputs/made.txt")
    assert made.text == str(told["result"])
    return told


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_two_workers_share_the_queues_that_they_serve(farm, gate):
    server = farm.server
    with farm.worker("--workers", "1") as one, farm.worker("--workers", "1", "--queues", "gpu"):
        jobs = [gate.job(server, queue=queue) for queue in ("cpu", "gpu", "gpuhigh")]
        gate.begun(2)
        assert server.details(jobs[2])["status"] == "PENDING"
        with farm.worker("--workers", "1", "--queues", "gpuhigh,control"):
            gate.begun(3)
            gate.open()
            for job in jobs:
                delivered(server, job)
        assert one.end() == 0
        assert one.events()[-1]["event"] == "worker.stopped"
    assert len(gate.runs()) == 3


def test_killed_and_paused_workers_lose_their_jobs_and_spoil_none(farm, gate, tmp_path):
    """One job runs once more, one that was run again before is given up, one is taken from a
    worker that wakes up later."""
    server, late = farm.server, Gate(tmp_path / "late")
    with farm.worker("--workers", "1", "--queues", "gpu") as paused:
        taken = late.job(server, queue="gpu")
        (first,) = late.begun()
        with farm.worker("--workers", "2") as worker:
            jobs = [gate.job(server), gate.job(server, retries=1)]
            scripts = gate.begun(2)
            for job in (*jobs, taken):
                server.wait(job, "RUNNING")
            stopped = time.monotonic()
            paused.process.send_signal(signal.SIGSTOP)
            worker.end(signal.SIGKILL)
        for script in scripts:
            until(lambda script=script: gone(script), what="its process to end with it")
        with farm.worker("--workers", "2", "--queues", "cpu,gpu"):
            gate.begun(3)
            late.begun(2)
            assert time.monotonic() - stopped < 100  # 8 s, the start, and a machine that is slow
            paused.process.send_signal(signal.SIGCONT)
            until(lambda: gone(first), what="the orphan to be stopped")
            gate.open()
            late.open()
            assert delivered(server, jobs[0])["retry"] == 1
            told = delivered(server, taken)
            assert (told["retry"], told["result"] != first) == (1, True)
            told = server.wait(jobs[1])
            assert (told["status"], "given up" in told["error"]) == ("FAILURE", True)
    assert (len(gate.runs()), len(late.runs())) == (3, 2)


def test_cancelling_reaches_a_running_job_and_a_waiting_one_never_runs(farm, gate):
    server = farm.server
    with farm.worker("--workers", "1"):
        running = gate.job(server)
        (script,) = gate.begun()
        waiting = gate.job(server)
        for job in (waiting, running):
            assert server.ask("DELETE", f"/jobs/{job}").status_code == 202
            assert server.details(job)["status"] == "REVOKED"
        until(lambda: gone(script), what="the job's process to be stopped")
        after = server.submit("sleep", params={"duration": 0})
        assert server.wait(after)["status"] == "SUCCESS"
    assert len(gate.runs()) == 1


def test_time_limits_are_hard_and_a_crash_is_run_once_more(farm, gate):
    server = farm.server
    crash = "import os\ndef main(pc, params):\n    os.kill(os.getpid(), 9)\n"
    with farm.worker("--workers", "2"):
        slow = gate.job(server, time_limit=1)
        dying = server.submit(script=crash)
        told = server.wait(slow)
        assert "time limit of 1 s" in told["error"]
        told = server.wait(dying)
        assert (told["status"], told["retry"]) == ("FAILURE", 1)
        assert "signal 9" in told["error"]


def test_a_drained_worker_hands_back_what_it_cannot_end(farm, gate):
    server = farm.server
    with farm.worker("--workers", "1", "--grace", "0s") as leaving:
        job = gate.job(server)
        gate.begun()
        assert leaving.end() == 0
    told = server.wait(job, "PENDING")
    assert told["retry"] == 0
    with farm.worker("--workers", "1") as ending:
        gate.begun(2)
        ending.process.send_signal(signal.SIGTERM)
        ending.said("worker.stopping")
        gate.open()
        delivered(server, job)
        assert ending.process.wait(60) == 0  # a second signal would end it at once


def test_serve_killed_and_started_again_finds_what_workers_did(redis_server, tmp_path, gate):
    """One job ends while nobody keeps the books, the other after they are kept again."""
    late = Gate(tmp_path / "late")
    with start_farm(tmp_path, redis_server.url) as farm, farm.worker("--workers", "2") as worker:
        ended, running = gate.job(farm.server), late.job(farm.server)
        gate.begun()
        late.begun()
        farm.server.end(signal.SIGKILL)
        gate.open()
        jobs = farm.server.state / "jobs"
        until((jobs / ended / "verdict.1").exists, what="the first to end")
        with start_farm(tmp_path, redis_server.url) as again:
            assert delivered(again.server, ended)["retry"] == 0
            late.open()
            assert delivered(again.server, running)["retry"] == 0
        assert worker.end() == 0
    assert len(gate.runs() + late.runs()) == 2


@pytest.mark.parametrize("how", ["emptied", "dropped", "restarted"])
def test_a_broker_that_lost_everything_loses_no_job(own, gate, how):
    broker, farm = own
    server = farm.server
    with farm.worker("--workers", "1"):
        running = gate.job(server)
        gate.begun()
        server.wait(running, "RUNNING")
        waiting = [gate.job(server) for _ in range(3)]
        if how != "restarted":
            queue = f"watcher.{(server.state / 'jobs' / 'farm').read_text()}.cpu\x06\x165"
            until(lambda: broker.ask("LLEN", queue) == b":3", what="the queue")
            broker.ask(*(["FLUSHALL"] if how == "emptied" else ["DEL", queue]))
        else:
            broker.stop()
            gate.open()
            away = gate.job(server)  # serve answers meanwhile
            assert server.details(away)["status"] == "PENDING"
            until(lambda: trouble(server), what="serve to tell of it")
            waiting.append(away)
            broker.start()
        gate.open()
        for job in [running, *waiting]:
            assert delivered(server, job)["retry"] == 0
    assert len(gate.runs()) == 1 + len(waiting)
    told = "".join(server.lines)
    assert broker.password not in told


def test_a_worker_drains_while_its_broker_is_away(own, gate):
    broker, farm = own
    with farm.worker("--workers", "1") as worker:
        job = gate.job(farm.server)
        gate.begun()
        farm.server.wait(job, "RUNNING")
        broker.stop()
        worker.process.send_signal(signal.SIGTERM)
        worker.said("worker.stopping")
        threading.Event().wait(2.0)  # in which it must not end the job's process
        gate.open()
        assert worker.process.wait(60) == 0
    broker.start()
    assert delivered(farm.server, job)["retry"] == 0
    assert len(gate.runs()) == 1


def trouble(server):
    return [row for row in server.events() if row.get("where") == "broker"]


def test_serve_and_workers_start_before_their_broker(tmp_path, gate):
    with redis() as broker:
        broker.stop()
        with start_farm(tmp_path, broker.url) as farm, farm.worker("--workers", "1") as worker:
            job = gate.job(farm.server)
            gate.open()
            until(lambda: trouble(farm.server), what="serve to tell of it")
            broker.start()
            delivered(farm.server, job)
            assert worker.end() == 0
            assert broker.password not in "".join(worker.lines)


def test_priorities_order_what_waits(farm, gate, redis_server):
    server = farm.server
    note = "def main(pc, params):\n    open(params[0], 'a').write(params[1])\n"
    order = gate.top / "order"
    jobs = [
        server.submit(script=note, params=[str(order), str(one)], config={"priority": one})
        for one in (0, -3, 4, 2)
    ]
    queue = f"watcher.{(server.state / 'jobs' / 'farm').read_text()}.cpu"
    for one in (8, 5, 3, 1):  # the steps of their priorities; nobody is there to begin them
        name = f"{queue}\x06\x16{one}"
        until(lambda name=name: redis_server.ask("LLEN", name) != b":0", what="the queue")
    with farm.worker("--workers", "1"):
        for job in jobs:
            assert server.wait(job)["status"] == "SUCCESS"
    assert order.read_text() == "420-3"
