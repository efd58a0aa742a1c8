"""The process that workers are forked from: small, single-threaded, converters imported once.

Runs in a process of its own, started by ``pool``; imports the standard library and ``worker``.
Invariant: it is the parent of every worker, so it alone reaps and kills them and no process id is
ever mistaken; when the scheduler's end of its socket is gone, it kills all of them and ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
from collections.abc import Iterator

from watcher.embedded import worker
from watcher.embedded.formats import PRELOAD

_PRELOAD = (*PRELOAD, "sqlite3", "logging")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(descriptor: int, package: str) -> None:
    """Serve the scheduler at the other end of a socket until that end closes.

    ``package`` holds the built-in processes, which are imported now.
    """
    control = socket.socket(fileno=descriptor)
    # Python functions, not SIG_IGN, since that would reach the programs that scripts start
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, _ignore)
    _preload(package)
    Nursery(control).serve()


def _ignore(_number: int, _frame: object) -> None:
    """Stay: only the scheduler ends us, by closing the socket."""


def _preload(package: str) -> None:
    """Import what jobs need; what cannot be imported is told by the job that needs it."""
    for name in (*_PRELOAD, *_modules(package)):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _modules(package: str) -> Iterator[str]:
    found = importlib.import_module(package)
    return (f"{package}.{module.name}" for module in pkgutil.iter_modules(found.__path__))


class Nursery:
    """Forks, reaps and kills workers."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, socket.socket] = {}
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker)

    def serve(self) -> None:
        """Until the scheduler is gone."""
        control = self._control.fileno()
        while True:
            ready, _, _ = select.select([control, self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if control in ready and not self._order():
                break
        for pid in self._children:
            _kill(pid)

    def _order(self) -> bool:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, 1024, 1)
        except OSError:
            return False
        if not message:
            return False
        order = json.loads(message)
        if "kill" in order and order["kill"] in self._children:
            _kill(order["kill"])
        if "fork" in order:
            self._fork(socket.socket(fileno=descriptors[0]), order["fork"])
        return True

    def _fork(self, line: socket.socket, memory: int) -> None:
        mine = os.getpid()
        pid = os.fork()
        if pid:
            self._children[pid] = line
            return
        try:
            self._become_worker(mine)
            worker.serve(line, memory)
        finally:
            os._exit(0)

    def _become_worker(self, parent: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._woken)
        os.close(self._waker)
        for line in (self._control, *self._children.values()):
            line.close()
        os.setsid()
        _die_with_parent(parent)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            line = self._children.pop(pid)
            _kill(pid)  # what it started and left behind
            # a full or closed line tells the end by its end
            with contextlib.suppress(OSError):
                frame = {"ended": os.waitstatus_to_exitcode(status)}
                line.send(json.dumps(frame).encode(), socket.MSG_DONTWAIT)
            line.close()


def _kill(pid: int) -> None:
    """Kill a worker and its process group (which it may not have made yet)."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _die_with_parent(parent: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
