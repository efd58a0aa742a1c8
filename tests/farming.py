"""``watcher serve --executor celery`` and its workers as real processes.

::

    with start_farm(folder, redis_server.url) as farm, farm.worker("--workers", "1") as worker:
        job = farm.server.submit("sleep", params={"duration": 1})
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

from tests.serving import WITHIN, start_server, until


class Worker:
    """A running ``watcher worker``: its words, its life."""

    def __init__(self, words, environ):
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "watcher", "worker", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def events(self):
        """What it logged so far."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    def said(self, event):
        """Wait until it logs an event; that line."""

        def there():
            assert self.process.poll() is None or self._reader.join(WITHIN) is None
            found = [row for row in self.events() if row["event"] == event]
            assert found or self.process.poll() is None, "".join(self.lines)
            return found

        return until(there, what=f"the worker to say {event}")[0]

    def end(self, number=signal.SIGTERM):
        """Send a signal; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(WITHIN)
        self._reader.join(WITHIN)
        return code


class Farm:
    """A server, and what its workers are told."""

    def __init__(self, server, broker):
        self.server, self.broker = server, broker

    @contextlib.contextmanager
    def worker(self, *words, state=None):
        """A worker with the address of the broker in its environment, killed afterwards."""
        environ = {**os.environ, "WATCHER_BROKER": self.broker}
        started = Worker(["--state", state or self.server.state, *words], environ)
        try:
            started.said("worker.started")
            yield started
        finally:
            if started.process.poll() is None:
                started.process.kill()
            started.process.wait(WITHIN)
            started._reader.join(WITHIN)
            started.process.stdout.close()


@contextlib.contextmanager
def start_farm(folder, broker, *words):
    """``serve`` on this broker."""
    with start_server(folder, "--executor", "celery", "--broker", broker, *words) as server:
        yield Farm(server, broker)
