"""The scheduler's end of the worker processes: start the nursery, fork workers, talk, kill.

Imports the standard library, ``watcher.cores`` and ``watcher.errors``. Invariant: nothing starts
before the first worker is asked for; a worker that is dropped is dead, with everything it started.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from watcher import cores
from watcher.errors import Unreachable

_FRAME = 1 << 18
_BORN_WITHIN = 60.0  # seconds; the first worker waits for the nursery's imports
_DEAD_WITHIN = 5.0
# what opens doors is not for scripts: they print, and what they print is shown
_SECRET = (
    "PIXYZ_SCHEDULER_TOKEN",
    "PIXYZ_SCHEDULER_TOKEN_FILE",
    "CREDENTIALS_DIRECTORY",
    "WATCHER_BROKER",
    "WATCHER_BROKER_FILE",
)
_TELLING = 6  # characters: a shorter part of a secret may be any word
_START = """
import sys
sys.path[:] = {path!r}
from watcher.embedded.nursery import main
main({fd}, {package!r})
"""
# as many workers as cores run at once, so one thread each; a fork with helper threads is unsafe
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def _tells(value: str, secret: str) -> bool:
    """Whether a variable holds a secret, or the part of it (a webhook's path) that makes it one."""
    return secret in value or (len(value) >= _TELLING and value in secret)


def _environment(withheld: Iterable[str]) -> dict[str, str]:
    secrets = [secret for secret in withheld if secret]
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _SECRET and not any(_tells(value, secret) for secret in secrets)
    }
    return {**dict.fromkeys(_ONE_THREAD, "1"), **kept}


class Worker:
    """One worker process and the two lines to it. Used by one thread at a time.

    Args:
        line: the connected packet socket of orders and ends.
        side: that of words on the way, which nobody needs to be woken for.
        nursery: the pool it came from, which can kill it.
    """

    def __init__(self, line: socket.socket, side: socket.socket, nursery: Pool) -> None:
        self._line = line
        self._side = side
        self._nursery = nursery
        self._poll = select.poll()
        self._poll.register(line, select.POLLIN)
        self.pid = 0
        self.jobs = 0
        self.ended = False
        self.code: int | None = None  # negative: the signal that ended it; None: not known

    def send(self, frame: dict[str, Any]) -> None:
        """Give it an order; a dead worker tells so at the next ``receive``."""
        with contextlib.suppress(OSError):
            self._line.sendall(json.dumps(frame).encode())

    def receive(self, timeout: float) -> dict[str, Any] | None:
        """Its next word, or None after ``timeout`` seconds. Sets ``ended`` with its last."""
        if not self._poll.poll(max(0.0, timeout) * 1000):
            return None
        try:
            message = self._line.recv(_FRAME)
        except OSError:
            message = b""
        frame: dict[str, Any] = json.loads(message) if message else {"ended": None}
        if "ended" in frame:
            self.ended, self.code = True, frame["ended"]
        return frame

    def words(self) -> Iterator[dict[str, Any]]:
        """What it said on the way since the last time."""
        with contextlib.suppress(OSError):  # nothing more, or it is dead
            while message := self._side.recv(_FRAME, socket.MSG_DONTWAIT):
                yield json.loads(message)

    def memory(self) -> int:
        """Bytes that it, or the largest of the programs it started, occupies now; 0 where that
        cannot be asked. Not their sum: forks share most of their pages."""
        return max(map(_occupied, _family(self.pid)))

    def drop(self) -> None:
        """Kill it and what it started; returns when it is gone."""
        if not self.ended:
            self._nursery.kill(self.pid)
        deadline = time.monotonic() + _DEAD_WITHIN
        while not self.ended and time.monotonic() < deadline:
            self.receive(deadline - time.monotonic())
        self.ended = True
        self.close()

    def close(self) -> None:
        """Close the lines, at which it ends."""
        self._line.close()
        self._side.close()


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for one in found:
        try:
            texts = [tasks.read_text() for tasks in Path(f"/proc/{one}/task").glob("*/children")]
        except OSError:  # it ended meanwhile
            continue
        found += [int(child) for text in texts for child in text.split()]
    return found


def _occupied(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * resource.getpagesize()


class Pool:
    """Forks workers through the nursery, starting it when needed and again when it died.

    Args:
        log: the file that the nursery's own words go to.
        memory: bytes each job may occupy.
        package: the package of the built-in processes.
        withheld: the secrets whose variables jobs do not inherit, asked when workers are started.
    """

    def __init__(
        self, log: Path, memory: int, *, package: str, withheld: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self._package = package
        self._withheld = withheld
        self._log = log
        self._memory = memory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The nursery's process id, or None while there is none."""
        return self._process.pid if self._process else None

    def worker(self) -> Worker:
        """A fresh worker.

        Raises:
            Unreachable: this machine cannot start one now (no memory, no processes left).
        """
        for _ in range(2):  # the nursery may have died since it was last used
            mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            side, aside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            worker = Worker(mine, side, self)
            with theirs, aside:
                control = self._order({"fork": self._memory}, theirs, aside)
            frame = worker.receive(_BORN_WITHIN)
            if frame and "pid" in frame:
                worker.pid = frame["pid"]
                return worker
            worker.close()
            self._stop(control)
        raise Unreachable("no worker process can be started", where=str(self._log))

    def kill(self, pid: int) -> None:
        """Kill a worker by the hand of its parent, which knows whether it still lives."""
        with self._lock, contextlib.suppress(OSError):
            if self._control is not None:
                self._control.sendall(json.dumps({"kill": pid}).encode())

    def close(self) -> None:
        """End the nursery and with it every worker."""
        self._stop(self._control)

    def _order(self, order: dict[str, Any], *lines: socket.socket) -> socket.socket:
        with self._lock:
            control = self._control or self._start()
            with contextlib.suppress(OSError):
                socket.send_fds(
                    control, [json.dumps(order).encode()], [one.fileno() for one in lines]
                )
            return control

    def _start(self) -> socket.socket:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = _START.format(path=sys.path, fd=theirs.fileno(), package=self._package)
        with theirs, self._log.open("ab") as log:
            # our own interpreter and our own code
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-c", code],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(self._withheld()),
                start_new_session=True,  # Ctrl-C in a terminal is for the daemon only
            )
        cores.release(self._process.pid)
        self._control = mine
        return mine

    def _stop(self, control: socket.socket | None) -> None:
        """End the nursery at the other end of ``control``, unless a newer one took its place."""
        with self._lock:
            if control is None or control is not self._control:
                return
            control.close()
            if self._process is not None:
                try:
                    self._process.wait(_DEAD_WITHIN)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
            self._control = self._process = None
