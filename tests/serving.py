"""``watcher serve`` as a real process, for every test that needs a server.

``start_server(folder, *arguments)`` is a context manager that gives a ``Server``; its ``url`` is
what clients want. A module that shares one writes::

    @pytest.fixture(scope="module")
    def server(tmp_path_factory):
        with start_server(tmp_path_factory.mktemp("serve")) as started:
            yield started
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import requests

TOKEN = "secret"  # noqa: S105  (of the tests)
WITHIN = 60.0  # seconds: the machine may be busy
ENDED = ("SUCCESS", "FAILURE", "REVOKED")


class Server:
    """A running ``watcher serve``: its address, its words, its life."""

    def __init__(
        self,
        state: Path | None,
        arguments: tuple[str, ...],
        *,
        prefix: tuple[str, ...] = (),
        words: Sequence[str] = (),
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.state = state
        self.lines: list[str] = []
        words = words or ["serve", "--port", "0", "--state", str(state), *arguments]
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "watcher", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_plain(environ) if environ is os.environ else dict(environ),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = str(until(self._started, what="the server to start")["url"])
        self.session = requests.Session()
        self.session.headers["x-api-key"] = TOKEN

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line)

    def events(self) -> list[dict[str, Any]]:
        """What it logged so far."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    def _started(self) -> dict[str, Any] | None:
        if self.process.poll() is not None:
            self._reader.join(WITHIN)
            raise AssertionError("".join(self.lines))
        return next((row for row in self.events() if row["event"] == "serve.started"), None)

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request with the token."""
        return self.session.request(method, self.url + path, timeout=WITHIN, **more)

    def submit(self, process: str = "custom", *, script: str = "", **more: Any) -> str:
        """Submit a job; its uuid. ``params`` and ``config`` may be given as objects."""
        form = {"process": (None, process)}
        for key in ("params", "config", "name"):
            if key in more:
                text = more[key] if key == "name" else json.dumps(more[key])
                form[key] = (None, text)
        if script:
            form["script"] = ("script.py", script)
        if "file" in more:
            form["file"] = more["file"]
        reply = self.ask("POST", "/jobs", files=form, headers=more.get("headers"))
        assert reply.status_code == 200, reply.text
        return str(reply.json()["uuid"])

    def details(self, job: str) -> dict[str, Any]:
        """A job's details."""
        return dict(self.ask("GET", f"/jobs/{job}/details").json())

    def wait(self, job: str, *states: str) -> dict[str, Any]:
        """Its details, once it has ended (or is in one of these states)."""

        def there() -> dict[str, Any] | None:
            told = self.details(job)
            return told if told["status"] in (states or ENDED) else None

        return dict(until(there, what=f"job {job}"))

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(WITHIN)
        self._reader.join(WITHIN)
        return code


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environ.items() if not k.startswith(("PIXYZ_", "WATCHER_"))}


def until(look: Callable[[], Any], *, what: str) -> Any:
    """Look until there is something; fail after a minute."""
    deadline = time.monotonic() + WITHIN
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def answering(server: HTTPServer) -> Iterator[None]:
    """A server of the test itself, in a thread, until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def start_server(folder: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> Iterator[Server]:
    """A server with its state below ``folder``; ended, and killed if need be, afterwards.

    It asks for the token ``TOKEN`` unless the arguments name another, or ``--open``. ``prefix`` is
    a command that runs the command.
    """
    words = tuple(word for word in arguments if word != "--open")
    if "--open" not in arguments and "--token" not in words and "--token-file" not in words:
        words = ("--token", TOKEN, *words)
    server = Server(folder / "state", words, prefix=prefix)
    try:
        yield server
    finally:
        server.session.close()
        try:
            server.end()
        finally:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait(WITHIN)
            if server.process.stdout:
                server.process.stdout.close()
