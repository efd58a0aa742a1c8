"""A program as a job of the embedded scheduler: its memory counts, and so does its cancellation."""

from __future__ import annotations

import sys
import time
import uuid

import pytest

from watcher.core.model import Phase
from watcher.core.ports import JobRequest
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler


@pytest.fixture
def scheduler(tmp_path):
    made = EmbeddedScheduler(EmbeddedOptions(state=tmp_path, workers=1, memory=300 << 20, grace=0))
    yield made
    made.close()


def start(scheduler, code: str, *more: str) -> str:
    key = str(uuid.uuid4())
    command = (sys.executable, "-c", code, *more)
    return scheduler.submit(JobRequest(key=key, name="x", command=command)).remote


def ended(scheduler, remote):
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        status = scheduler.status([remote])[remote]
        if status.phase not in (Phase.QUEUED, Phase.RUNNING):
            return status
        time.sleep(0.05)
    raise AssertionError("it did not end")


def test_the_memory_of_a_program_counts(scheduler):
    greedy = "import time; held = bytearray(900 << 20); held[::4096] = b'x' * len(held[::4096])"
    status = ended(scheduler, start(scheduler, f"{greedy}; time.sleep(600)"))
    assert status.phase is Phase.FAILED
    assert "memory" in status.error


def test_a_cancelled_program_ends(scheduler, tmp_path):
    mark = tmp_path / "mark"
    remote = start(scheduler, f"open({str(mark)!r}, 'w'); import time; time.sleep(600)")
    deadline = time.monotonic() + 100
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    scheduler.cancel(remote)
    assert ended(scheduler, remote).phase is Phase.REVOKED


def test_a_script_that_is_no_program_is_told(scheduler, tmp_path):
    script = tmp_path / "tool.sh"
    script.write_text("echo hello")
    key = str(uuid.uuid4())
    request = JobRequest(key=key, name="x", command=(str(script),))
    status = ended(scheduler, scheduler.submit(request).remote)
    assert "cannot be started (Permission denied)" in status.error
    assert status.permanent
