"""SIGKILL of the process that hosts the scheduler: no orphan stays, no job is lost or mixed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler

HOST = """
import sys, threading
from pathlib import Path
from watcher.core.ports import JobRequest
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler
state, script, *keys = sys.argv[1:]
scheduler = EmbeddedScheduler(EmbeddedOptions(state=Path(state), workers=1))
for key in keys:
    scheduler.submit(JobRequest(key=key, name="job", script=Path(script)))
threading.Event().wait()
"""
SCRIPT = """
import os, subprocess, time
from pathlib import Path
def main(pc, params):
    top = Path(__file__).parents[2]
    child = os.fork()
    if not child:
        time.sleep(600)
    Path(pc.get_output_dir(), str(os.getpid())).touch()
    part = top / "pids.part"
    away = subprocess.Popen(["sleep", "600"], start_new_session=True).pid
    part.write_text(f"{os.getpid()} {child} {away} {os.getppid()}")
    part.rename(top / "pids")
    while not (top / "go").exists():
        time.sleep(0.01)
    return os.getpid()
"""
TRIES = 3000


def until(wanted):
    pause = threading.Event()
    for _ in range(TRIES):
        if found := wanted():
            return found
        pause.wait(0.02)
    raise AssertionError("nothing came in time")


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def start(tmp_path: Path, *keys: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A host with a job in work; its process, and the pids of worker, its children and nursery."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    note = tmp_path / "pids"
    note.unlink(missing_ok=True)
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path), str(script), *keys],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        until(note.exists)
    except AssertionError:
        host.kill()
        host.wait()
        raise
    return host, [int(pid) for pid in note.read_text().split()]


def kill(host: subprocess.Popen[bytes], pids: list[int]) -> None:
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    for pid in pids:
        until(lambda pid=pid: gone(pid))


def test_a_killed_host_leaves_no_orphans_and_its_jobs_run_again(tmp_path):
    keys = [str(uuid.uuid4()) for _ in range(2)]
    host, pids = start(tmp_path, *keys)
    kill(host, pids)
    (tmp_path / "go").touch()
    scheduler = EmbeddedScheduler(EmbeddedOptions(state=tmp_path, workers=1))
    first, second = (
        until(lambda key=key: (job := scheduler.get(key)).status == "SUCCESS" and job)
        for key in keys
    )
    assert (first.runs, second.runs) == (2, 1)
    assert first.result != pids[0]
    assert scheduler.outputs(first.id) == [str(first.result)]
    scheduler.close()


def test_a_job_that_takes_the_host_down_each_time_is_given_up(tmp_path):
    key = str(uuid.uuid4())
    for _ in range(4):
        kill(*start(tmp_path, key))
    scheduler = EmbeddedScheduler(EmbeddedOptions(state=tmp_path, workers=1, starts=4))
    job = until(lambda: (job := scheduler.get(key)).status == "FAILURE" and job)
    assert "given up: the scheduler ended 4 times" in job.error
    scheduler.close()


@pytest.mark.parametrize("leftover", [".new-abc", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"])
def test_half_made_job_folders_are_swept_at_start(tmp_path, leftover):
    (tmp_path / "jobs" / leftover / "inputs").mkdir(parents=True)
    EmbeddedScheduler(EmbeddedOptions(state=tmp_path)).close()
    assert not (tmp_path / "jobs" / leftover).exists()
