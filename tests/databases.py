"""Real database servers for tests: started on free ports, private, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

PLACES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/bin")]


def absent(what):
    """A server that is not installed: skipped on a user's machine, a failure in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """A server of our own; ``url`` names its database ``watcher``."""

    def __init__(self, folder, binaries):
        self.folder, self.binaries = folder, binaries
        self.port = free_port()
        self.url = f"postgresql://tester@127.0.0.1:{self.port}/watcher"
        self.hosts = "127.0.0.1"  # where it listens from its next start on
        self.process = None

    def _as(self, *words, **more):
        # the server refuses to run as root
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        lead = user if os.geteuid() == 0 else []
        return subprocess.Popen([*lead, *map(str, words)], stdout=subprocess.DEVNULL, **more)

    def sql(self, text, database="watcher"):
        """Run statements as the owner."""
        words = ["psql", "-q", "-h", "127.0.0.1", "-p", self.port, "-U", "tester", database]
        made = self._as(*words, "-v", "ON_ERROR_STOP=1", "-c", text, stderr=subprocess.DEVNULL)
        assert made.wait(60) == 0

    def emptied(self):
        """The database's address, with nothing in it."""
        self.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return self.url

    def make(self):
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        made = self._as(
            self.binaries / "initdb",
            "-D",
            self.folder / "data",
            "-U",
            "tester",
            "-A",
            "trust",
            "-N",
        )
        assert made.wait(120) == 0
        self.start()
        self.sql("CREATE DATABASE watcher", "postgres")

    def start(self):
        options = ["-h", self.hosts, "-p", self.port, "-k", self.folder]
        with (self.folder / "log").open("ab") as log:
            self.process = self._as(
                self.binaries / "postgres", "-D", self.folder / "data", *options, stderr=log
            )
        deadline = time.monotonic() + 60
        ready = [self.binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, capture_output=True).returncode != 0:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self, how=signal.SIGINT):
        """SIGINT disconnects everybody; SIGQUIT is a crash."""
        self.process.send_signal(how)
        self.process.wait(60)


@contextmanager
def postgres():
    """A PostgreSQL server for a while."""
    found = next((place for place in PLACES if (place / "initdb").exists()), None)
    if found is None:
        absent("PostgreSQL")
    folder = Path(tempfile.mkdtemp(prefix="watcher-postgres-"))
    server = Postgres(folder, found)
    try:
        server.make()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


class Redis:
    """A server of our own that keeps nothing on disk; ``url`` names its first database."""

    def __init__(self, folder, program, password):
        self.folder, self.program, self.password = folder, program, password
        self.port = free_port()
        self.url = f"redis://:{password}@127.0.0.1:{self.port}/0"
        self.process = None

    def start(self):
        words = [self.program, "--port", self.port, "--bind", "127.0.0.1", "--dir", self.folder]
        words += ["--save", "", "--requirepass", self.password]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*map(str, words)], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def _answers(self):
        try:
            return self.ask("PING") == b"+PONG"
        except OSError:
            return False

    def ask(self, *words):
        """One command; the first line of its reply."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as line:
            for command in (["AUTH", self.password], words):
                line.sendall((" ".join(command) + "\r\n").encode())
                reply = line.makefile("rb").readline().strip()
            return reply

    def stop(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(60)


@contextmanager
def redis(password="hush-hush"):  # noqa: S107  (of the tests)
    """A Redis server for a while."""
    found = shutil.which("redis-server")
    if found is None:
        absent("Redis")
    folder = Path(tempfile.mkdtemp(prefix="watcher-redis-"))
    server = Redis(folder, found, password)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
