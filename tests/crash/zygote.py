"""A process that has everything imported and forks daemons, so that hundreds of them can be killed.

A daemon is a process of its own with a memory of its own, killed by a real SIGKILL; only the second
of imports is saved. ``Zygote`` is the tests' side; run as a program this file is the other one: it
reads one JSON list a line and answers with one number. ``["run", log, folder, words]`` forks the
``watcher`` command, ``["mortal", log, folder, [config, n, when]]`` the daemon of ``mortal``; both
answer with a pid. ``["ended", pid]`` answers with the exit code, negative for a signal, or 999
while it lives.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIVES = 999
WITHIN = 120.0  # seconds in which any of them must end


class Zygote:
    """The tests' side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def ask(self, *words: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(words, default=str) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def begin(self, kind: str, folder: Path, words: list[object]) -> int:
        """Start one; its pid."""
        return self.ask(kind, folder / "log", folder, words)

    def wait(self, pid: int) -> int:
        """Its exit code; other threads may begin and wait for others meanwhile."""
        deadline = time.monotonic() + WITHIN
        while (code := self.ask("ended", pid)) == LIVES:
            assert time.monotonic() < deadline, f"process {pid} does not end"
            time.sleep(0.02)
        return code

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.communicate(timeout=60)  # the end of its input ends it


def main() -> None:
    for name in ("watcher.cli.operate", "tests.crash.mortal"):
        importlib.import_module(name)  # so that no child has to
    for line in sys.stdin:
        kind, *words = json.loads(line)
        answer = ended(*words) if kind == "ended" else forked(kind, *words)
        print(answer, flush=True)  # noqa: T201  (the answer)


def ended(pid: int) -> int:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else LIVES


def forked(kind: str, log: str, folder: str, words: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for number in (1, 2):
            os.dup2(out, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(folder)
        code = lived(kind, words)
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001  (the child must never go on as the parent)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def lived(kind: str, words: list[str]) -> int:
    if kind == "mortal":
        return int(importlib.import_module("tests.crash.mortal").life(*words))
    sys.argv = ["watcher", *words]
    importlib.import_module("watcher.cli.app").main()
    return 0


if __name__ == "__main__":
    main()
