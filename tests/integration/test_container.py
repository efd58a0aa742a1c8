"""The image's files: linted, parsed, and run as the container runs them."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from watcher.cli.app import cli
from watcher.embedded.farm.tasks import checked
from watcher.embedded.options import QUEUES

ROOT = Path(__file__).parents[2]
DEADLINE = 60.0
LINTER = Path(sys.executable).parent / "hadolint"


def test_the_dockerfile_is_clean():
    if not LINTER.exists() and "CI" not in os.environ:
        pytest.skip("hadolint is not here")
    done = subprocess.run([LINTER, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_images_are_pinned_not_root_and_say_how_they_are():
    text = (ROOT / "Dockerfile").read_text()
    images = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert {one for one in images if ":" in one} == {"python:3.11.14-slim-bookworm"}
    stages = re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE)
    assert stages[-2:] == ["lean", "full"]
    for word in ("USER 10001:10001", "HEALTHCHECK", 'ENTRYPOINT ["tini"', "LABEL", "VOLUME"):
        assert word in text
    for copied in re.findall(r"^COPY (?:--chmod=\d+ )?(?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / one).exists() for one in copied.split())


def test_compose_starts_what_is_there_with_nothing_it_does_not_need():
    made = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = made["services"]
    by_profile = {}
    for name, one in services.items():
        assert one["read_only"] is True
        assert one["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in one["security_opt"]
        by_profile.setdefault(one["profiles"][0], set()).add(name)
        assert set(one.get("depends_on", {})) <= set(services)
        for volume in one.get("volumes", ()):
            source = volume.split(":")[0]
            assert source.startswith("./") or source in made["volumes"]
        for port in one.get("ports", ()):
            assert port.startswith("127.0.0.1:")
    assert by_profile["embedded"] == {"watcher"}
    assert by_profile["scale"] == {"watcher-scale", "serve", "worker-cpu", "worker-gpu", "redis"}


def test_compose_serves_every_queue_with_commands_that_are_understood():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    served = []
    for name in ("serve", "worker-cpu", "worker-gpu"):
        command, *words = services[name]["command"]
        found = cli.get_command(None, command).make_context(command, words)
        assert checked(found.params["broker"]) == "redis://redis:6379/0"
        served += found.params.get("queues", "").split(",")
    assert sorted(filter(None, served)) == sorted(QUEUES)


@pytest.fixture
def inside(tmp_path):
    """The container's folders and command, with this machine's paths and a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    for name in ("state", "srv/drop", "srv/ready", "srv/failed", "srv/archive", "bin"):
        (tmp_path / name).mkdir(parents=True)
    program = tmp_path / "bin" / "watcher"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m watcher "$@"\n')
    program.chmod(0o755)
    config = (ROOT / "config" / "container" / "watcher.yaml").read_text()
    (tmp_path / "watcher.yaml").write_text(config.replace(":9410", f":{port}"))
    return {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "WATCHER_STATE": str(tmp_path / "state"),
        "WATCHER_ROOT": str(tmp_path / "srv"),
        "WATCHER_CONFIG": str(tmp_path / "watcher.yaml"),
        "PYTHONPATH": str(ROOT),
    }


def healthy(environ):
    words = [sys.executable, "-m", "watcher.cli.probe"]
    return subprocess.run(words, env=environ, capture_output=True, text=True)


def test_it_works_out_of_the_box_makes_its_token_and_drains(inside, tmp_path):
    assert healthy(inside).returncode == 1  # there is no token yet, and nobody to ask
    entry = ROOT / "config" / "container" / "entrypoint.sh"
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen([entry], env=inside, cwd=tmp_path, stdout=log, stderr=log)
    try:
        end = time.monotonic() + DEADLINE
        while (said := healthy(inside)).returncode:
            assert time.monotonic() < end, said.stderr + (tmp_path / "log").read_text()
            threading.Event().wait(0.2)
        token = tmp_path / "state" / "page-token"
        assert re.fullmatch("[0-9a-f]{48}", token.read_text())
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        assert token.read_text() not in (tmp_path / "log").read_text()
        running.send_signal(signal.SIGTERM)
        assert running.wait(DEADLINE) == 0
    finally:
        running.kill()
    assert "cannot" not in healthy(inside).stdout
    assert healthy(inside).returncode == 1
    shutil.copy(token, tmp_path / "before")
    checked = subprocess.run([entry, "check"], env=inside, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert token.read_text() == (tmp_path / "before").read_text()
