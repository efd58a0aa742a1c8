"""A studio: folders, a configuration, the daemon in a thread, and a scheduler that may be odd."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.realish import Realish
from watcher.adapters.clock import SystemClock
from watcher.config.load import load
from watcher.daemon import logs
from watcher.daemon.service import Service

PATIENCE = 60.0
SCRIPT = """
import pathlib, time

def main(pc, params):
    source = pathlib.Path(pc.get_input_file())
    content = source.read_bytes()
    if content.startswith(b"bad"):
        raise ValueError("it has no geometry")
    pathlib.Path(pc.get_output_dir(), "out.bin").write_bytes(content[::-1])
    return {"size": len(content)}
"""
CONFIG = """
state: ./var
http: off
{schedulers}
folders:
  - name: in
    input: ./in
    output: ./out
    done: ./archive
    failed: ./failed
    settle: 20ms
    rules:
{rules}
"""
RULE = '      - {name: job, match: "*", script: ./job.py, retries: 0, deliver: "{name}.out"}\n'


def until(truth: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait for a condition, with a deadline."""
    end = time.monotonic() + patience
    while not truth():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


class Studio:
    """One folder tree and its daemon; ``odd`` is the scheduler's."""

    def __init__(self, root: Path, *, rules: str = RULE, extra: str = "", script: str = SCRIPT):
        self.root = root
        self.scheduler = Realish(root / "share")
        self.odd = self.scheduler.odd
        self.log = io.StringIO()
        self.service: Service | None = None
        (root / "in").mkdir()
        (root / "job.py").write_text(script)
        own = f"{{url: '{self.scheduler.url}', poll_every: 50ms, timeout: 5s{extra}}}"
        schedulers = f"scheduler: {own}"
        (root / "watcher.yaml").write_text(CONFIG.format(schedulers=schedulers, rules=rules))

    def schedulers(self, text: str) -> None:
        """Put more schedulers into the configuration."""
        path = self.root / "watcher.yaml"
        path.write_text(text + path.read_text())

    def drop(self, name: str, content: bytes = b"mesh") -> None:
        (self.root / f".{name}").write_bytes(content)
        (self.root / f".{name}").rename(self.root / "in" / name)

    def start(self) -> Studio:
        settings = load(self.root / "watcher.yaml", os.environ).settings
        log = logs.configure(form="json", stream=self.log)
        self.service = Service(settings, log)
        self._thread = threading.Thread(target=self.service.run)
        self._thread.start()
        return self

    def stop(self) -> None:
        if self.service is not None:
            self.service.stop()
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive()
            self.service = None

    def close(self) -> None:
        self.stop()
        self.scheduler.close()

    # ------------------------------------------------------------ what there is
    def delivered(self) -> dict[str, bytes]:
        found = (self.root / "out").rglob("*") if (self.root / "out").exists() else ()
        return {
            str(p.relative_to(self.root / "out")): p.read_bytes()
            for p in found
            if p.is_file() and not any(part.startswith(".") for part in p.parts)
        }

    def error(self, name: str) -> str:
        path = self.root / "failed" / f"{name}.error.txt"
        return path.read_text() if path.exists() else ""

    def events(self, name: str) -> list[dict]:
        lines = self.log.getvalue().splitlines()
        return [e for e in map(json.loads, lines) if e["event"] == name]

    def troubles(self) -> dict[str, str]:
        """What health says of each scheduler that is in trouble."""
        health = self.service.health()
        return {name: one.trouble for name, one in health.schedulers.items() if one.trouble}

    def history(self, name: str) -> list[str]:
        found = self.service.ledger.history("in", name)
        return [f"{row.event} {row.note}" for _, rows in found for row in rows]

    def wants(self, *names: str, content: bytes = b"mesh") -> None:
        """Wait until these files, and no others, are delivered; each of them once."""
        expected = {f"{name}.out": content[::-1] for name in names}
        until(lambda: self.delivered() == expected)


class Moved(SystemClock):
    """The real clock, moved forward by the test."""

    ahead = 0.0

    def now(self):
        return super().now() + self.ahead

    def monotonic(self):
        return super().monotonic() + self.ahead


def moved(studio: Studio) -> Moved:
    """The engine's clock, to be moved by the test from now on."""
    clock = studio.service.engine.books.clock = Moved()
    return clock
