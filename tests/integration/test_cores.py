"""The core that the daemon's threads share, on the kernel that the test runs on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.studio import until
from watcher.cores import Home, busy

MANY = len(os.sched_getaffinity(0)) > 1
pytestmark = pytest.mark.skipif(not MANY, reason="this machine gives one core")
CONFIG = """
state: ./var
http: off
folders:
  - name: in
    input: ./in
    output: ./out
    settle: 0s
    rules:
      - {name: wait, match: "*", process: sleep, params: {seconds: 60}}
"""


def cores_of(pid: int) -> set[frozenset[int]]:
    """Those of each thread of a process."""
    tasks = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    return {frozenset(os.sched_getaffinity(task)) for task in tasks}


def children_of(pid: int) -> list[int]:
    texts = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for text in texts for child in text.split()]


def test_all_threads_of_a_daemon_share_one_core_and_its_workers_have_all(tmp_path):
    (tmp_path / "watcher.yaml").write_text(CONFIG)
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "a").write_bytes(b"x")
    command = [sys.executable, "-m", "watcher", "run"]
    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        until(lambda: "job.running" in (tmp_path / "log").read_text())
        (one,) = cores_of(daemon.pid)
        assert len(one) == 1
        below = children_of(daemon.pid)
        assert below
        while below:
            pid = below.pop()
            assert cores_of(pid) == {frozenset(os.sched_getaffinity(0))}
            below += children_of(pid)
    finally:
        daemon.terminate()
        daemon.wait(60)


def test_a_process_that_was_given_one_core_is_left_alone():
    core = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{core}}}); from watcher import cores;"
        "cores.share_one(); cores.release(os.getpid());"
        "import threading; print(os.sched_getaffinity(0), threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{{{core}}} 1"


def test_every_core_of_the_machine_is_told():
    assert set(busy()) >= os.sched_getaffinity(0)
    assert all(seconds >= 0 for seconds in busy().values())
    assert busy(Path("/proc/self/no-such-file")) == {}


@pytest.mark.parametrize(
    ("home", "other", "own", "moves"),
    [
        (0.9, 0.1, 0.8, False),  # it is ours alone
        (1.0, 0.1, 0.3, True),  # others take most of it, and the other one is free
        (1.0, 0.9, 0.3, False),  # nowhere is better
        (0.2, 0.0, 0.0, False),  # others take a little
    ],
)
def test_a_core_is_left_when_others_need_it_and_another_is_free(home, other, own, moves):
    one = Home(frozenset({4, 5}))
    one.core = 4
    before = {4: 10.0, 5: 20.0, 6: 0.0}
    now = {4: 10.0 + home, 5: 20.0 + other, 6: 0.0}
    assert one.better(now, before, own, 1.0) == (5 if moves else 4)
