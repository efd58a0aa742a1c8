"""A bound on the whole of an answer's head, which socket timeouts do not give.

A server that drips one byte of its headers within every timeout would hold a thread for ever.
Imports requests, urllib3 and the standard library. Invariant: a socket is shut down only while the
head of an answer is read from it.
"""

from __future__ import annotations

import heapq
import itertools
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Deadlines:
    """Shuts sockets down whose time is over; one thread, started by the first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, socket.socket]] = []
        self._live: set[int] = set()
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def begin(self, sock: socket.socket, seconds: float) -> int:
        """Watch a socket from now on; the number is for ``end``."""
        with self._changed:
            number = next(self._numbers)
            heapq.heappush(self._heap, (time.monotonic() + seconds, number, sock))
            self._live.add(number)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()
            self._changed.notify()
        return number

    def end(self, number: int) -> None:
        """The head came in time."""
        with self._changed:
            self._live.discard(number)

    def _watch(self) -> None:
        with self._changed:
            while True:
                while self._heap and self._heap[0][1] not in self._live:
                    heapq.heappop(self._heap)
                wait = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait is not None and wait <= 0:
                    self._shut(heapq.heappop(self._heap)[2])
                else:
                    self._changed.wait(wait)

    @staticmethod
    def _shut(sock: socket.socket) -> None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


SENT = 256 << 10  # bytes of a body read and sent at once; the library's own 16 KiB cost more
_DEADLINES = Deadlines()  # a thread a process, and none until it is needed


def _bounded(kind: type, patience: float) -> type:
    """A connection class whose answers' heads are bounded: the read timeout and ``patience``."""

    def getresponse(self: HTTPConnection) -> Any:
        if self.sock is None:
            return kind.getresponse(self)  # type: ignore[attr-defined]
        wait = self.timeout if isinstance(self.timeout, int | float) else 0.0
        number = _DEADLINES.begin(self.sock, patience + wait)
        try:
            return kind.getresponse(self)  # type: ignore[attr-defined]
        finally:
            _DEADLINES.end(number)

    return type(kind.__name__, (kind,), {"getresponse": getresponse})


class Bounded(HTTPAdapter):
    """The transport of ``requests`` with bounded heads."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As the base; its pools make our connections."""
        super().init_poolmanager(*args, blocksize=SENT, **kwargs)
        kinds: dict[str, tuple[type, type]] = {"http": (HTTPConnectionPool, HTTPConnection)}
        kinds["https"] = (HTTPSConnectionPool, HTTPSConnection)
        self.poolmanager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": _bounded(kind, self._patience)})
            for scheme, (pool, kind) in kinds.items()
        }
