"""Real SIGKILL of the daemon around the sending of a job, whichever id the scheduler follows.

Before the sending, or after it and before the record: one tracked job and one delivery each time.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.studio import Studio, until

ROOT = Path(__file__).parents[2]
DIES = """
import os, signal, sys
from pathlib import Path
from watcher.adapters.http.backend import HttpBackend
from watcher.config.load import load
from watcher.daemon import logs
from watcher.daemon.service import Service

class Mortal:
    def __init__(self, real):
        self.real = real

    def __getattr__(self, name):
        return getattr(self.real, name)

    def submit(self, request):
        if sys.argv[2] == "after":
            self.real.submit(request)
        os.kill(os.getpid(), signal.SIGKILL)

service = Service(load(Path(sys.argv[1]), os.environ).settings, logs.configure(form="json"))
mortal = {"default": Mortal(service.backends["default"])}
service.hands._world = __import__("dataclasses").replace(service.hands._world, backends=mortal)
service.run_once(60.0)
"""


@pytest.mark.parametrize(
    ("honours", "when"),
    [("task_id", "before"), ("task_id", "after"), ("key", "after"), ("none", "after")],
)
def test_killed_around_the_sending_there_is_one_tracked_job(tmp_path, honours, when):
    studio = Studio(tmp_path)
    studio.odd.honours = honours
    studio.scheduler.start()
    try:
        studio.drop("a.obj")
        command = [sys.executable, "-c", DIES, str(tmp_path / "watcher.yaml"), when]
        assert subprocess.run(command, cwd=ROOT, timeout=100).returncode == -9
        assert len(studio.scheduler.posts) == (when == "after")
        if when == "after":
            until(lambda: studio.scheduler.started)
        studio.start()
        studio.wants("a.obj")
        posts = [form["config"] for form in studio.scheduler.posts]
        assert len(set(posts)) == 1, "it was sent again under another id"
        again = when == "after" and honours == "none"  # nobody can tell that it was taken
        assert len(posts) == 1 + again
        assert len(studio.scheduler.started) == 1 + again
    finally:
        studio.close()
