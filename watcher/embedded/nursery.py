"""The process that workers are forked from: small, single-threaded, converters imported once.

Runs in a process of its own, started by ``pool``; imports the standard library and ``worker``.
Invariant: it is the parent of every worker, so it alone reaps and kills them and no process id is
ever mistaken; what a worker leaves behind, in whatever session, becomes its child and dies; when
the scheduler's end of its socket is gone, it kills all of them and ends.
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
import time
from collections.abc import Iterator
from pathlib import Path

from watcher.embedded import worker
from watcher.embedded.formats import PRELOAD

_PRELOAD = (*PRELOAD, "sqlite3", "logging")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36
_GONE_WITHIN = 2.0


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
        _adopt_orphans()

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
        deadline = time.monotonic() + _GONE_WITHIN
        while _offspring() and time.monotonic() < deadline:
            self._reap()
            select.select([self._woken], [], [], _GONE_WITHIN / 100)

    def _order(self) -> bool:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, 1024, 2)
        except OSError:
            return False
        if not message:
            return False
        order = json.loads(message)
        if "kill" in order and order["kill"] in self._children:
            _kill(order["kill"])
        if "fork" in order:
            line, side = (socket.socket(fileno=one) for one in descriptors)
            self._fork(line, side, order["fork"])
        return True

    def _fork(self, line: socket.socket, side: socket.socket, memory: int) -> None:
        mine = os.getpid()
        pid = os.fork()
        if pid:
            self._children[pid] = line
            side.close()
            return
        try:
            self._become_worker(mine)
            worker.serve(worker.Line(line, side), memory)
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
        _adopt_orphans()
        _die_with_parent(parent)

    def _reap(self) -> None:
        while ended := _ended():
            pid, status = ended
            line = self._children.pop(pid, None)
            _kill_group(pid)  # what it started and left behind
            for orphan in _offspring() - self._children.keys():
                _kill(orphan)
            if line is None:
                continue
            # a full or closed line tells the end by its end
            with contextlib.suppress(OSError):
                frame = {"ended": os.waitstatus_to_exitcode(status)}
                line.send(json.dumps(frame).encode(), socket.MSG_DONTWAIT)
            line.close()


def _ended() -> tuple[int, int] | None:
    """A child that ended and its status, or None."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _offspring() -> set[int]:
    """The children of this process; empty where the kernel does not list them."""
    with contextlib.suppress(OSError):
        return {int(pid) for pid in Path("/proc/thread-self/children").read_text().split()}
    return set()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _kill(pid: int) -> None:
    """Kill a child and its process group (which it may not have made yet)."""
    _kill_group(pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _adopt_orphans() -> None:
    """Descendants that lose their parent become children of this process, not of the system's."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _die_with_parent(parent: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
