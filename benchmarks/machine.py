"""What the machine says of a process: CPU seconds, memory, descriptors; and programs under test.

Imports the standard library (Linux's /proc). Invariant: a program that was started here is ended
by the end of its block, whatever happens in it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

TICK = os.sysconf("SC_CLK_TCK")
CONFIG = """
state: ./var
http: off
folders:
  - name: in
    input: ./in
    output: ./out
    settle: %(settle)s
    scan_every: %(scan)s
    rules:
      - {name: all, match: "*", process: pass, deliver: "{relpath}"}
"""


def cpu(pid: int) -> float:
    """CPU seconds of a process, its threads and its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def memory(pid: int, field: str = "VmRSS") -> int:
    """Bytes of resident memory; ``VmHWM`` for its peak."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split(f"{field}:")[1].split()[0]) * 1024


def described() -> str:
    """The machine and the day, for the head of a table."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    busy = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {total:.0f} GB, "
        f"Linux {os.uname().release}, Python {sys.version.split()[0]}, load {busy:.1f} at the end"
    )


class Program:
    """A program under test, in its own process; ended at the end of the block."""

    def __init__(
        self, command: list[str], folder: Path, more: Mapping[str, str] | None = None
    ) -> None:
        self._command, self._folder = command, folder
        self._more = dict(more or {})

    def __enter__(self) -> Self:
        self.log = self._folder / "log"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self._command, cwd=self._folder, stdout=out, stderr=out, env=os.environ | self._more
            )
        self.pid = self.process.pid
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu(self) -> float:
        return cpu(self.pid)

    def memory(self, field: str = "VmRSS") -> int:
        return memory(self.pid, field)


def until(done: Callable[[], bool], seconds: float = 600.0, every: float = 0.02) -> bool:
    """Wait for a condition; false when its time is over."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True


@contextmanager
def watching(root: Path, *, settle: str = "0s", scan: str = "60s") -> Iterator[Program]:
    """A ``watcher run`` on ``root/in`` that delivers unchanged into ``root/out``, warmed up by one
    file."""
    for name in ("in", "out"):
        (root / name).mkdir(exist_ok=True)
    (root / "watcher.yaml").write_text(CONFIG % {"settle": settle, "scan": scan})
    command = [sys.executable, "-m", "watcher", "run"]
    with Program(command, root) as program:
        warm(root)
        yield program


def warm(root: Path) -> None:
    """Wait until a first file is delivered: all is imported and watched then."""
    (root / "in" / "first").write_bytes(b"first")
    if not until((root / "out" / "first").exists, 60):
        raise RuntimeError((root / "log").read_text()[-2000:])


def count(folder: Path) -> int:
    """The files in a folder, hidden ones not among them."""
    total = 0
    for _, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith(".")]
        total += sum(not one.startswith(".") for one in files)
    return total
