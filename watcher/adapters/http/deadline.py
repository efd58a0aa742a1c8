"""A bound on the whole of an answer's head, which socket timeouts do not give; a timeout of its own
for sending, which ``urllib3`` does under the one for connecting; and a count of the connections
made, which pools do not give: they count no connection that replaces a dropped one.

A server that drips one byte of its headers within every timeout would hold a thread for ever. One
whose disk stalls while it stores an upload is no worse than one that answers late.
Imports requests, urllib3 and the standard library. Invariant: a socket is shut down only while the
head of an answer is read from it.
"""

from __future__ import annotations

import itertools
import math
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Deadlines:
    """Shuts sockets down whose time is over; one thread, started by the first.

    The thread sleeps until the end that it saw last, however many heads come and go meanwhile:
    only a head that is to end sooner wakes it, so that watching a call costs next to nothing.
    """

    def __init__(self) -> None:
        self._live: dict[int, tuple[float, socket.socket]] = {}
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._wakes = math.inf  # when the thread looks next
        self._thread: threading.Thread | None = None

    def begin(self, sock: socket.socket, seconds: float) -> int:
        """Watch a socket from now on; the number is for ``end``."""
        number, over = next(self._numbers), time.monotonic() + seconds
        with self._changed:
            self._live[number] = over, sock
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()
            if over < self._wakes:
                self._wakes = over
                self._changed.notify()
        return number

    def end(self, number: int) -> None:
        """The head came in time, or its socket was shut down."""
        with self._changed:
            self._live.pop(number, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for number, (over, sock) in list(self._live.items()):
                    if over <= now:
                        del self._live[number]
                        self._shut(sock)
                self._wakes = min((over for over, _ in self._live.values()), default=math.inf)
                wait = None if self._wakes == math.inf else self._wakes - now
                self._changed.wait(wait)

    @staticmethod
    def _shut(sock: socket.socket) -> None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


_DEADLINES = Deadlines()  # a thread a process, and none until it is needed


def _bounded(kind: type, patience: float, sending: float, connected: Callable[[], None]) -> type:
    """A connection class whose answers' heads are bounded: the read timeout and ``patience``. Each
    block is to be sent within ``sending`` seconds. ``connected`` is called for each connection that
    is made."""

    def connect(self: HTTPConnection) -> None:
        kind.connect(self)  # type: ignore[attr-defined]
        connected()

    def request(self: HTTPConnection, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()  # under the timeout for connecting, as the pool has set it
        self.timeout = sending  # which the base gives to the socket
        kind.request(self, *args, **kwargs)  # type: ignore[attr-defined]

    def getresponse(self: HTTPConnection) -> Any:
        if self.sock is None:
            return kind.getresponse(self)  # type: ignore[attr-defined]
        wait = self.timeout if isinstance(self.timeout, int | float) else 0.0
        number = _DEADLINES.begin(self.sock, patience + wait)
        try:
            return kind.getresponse(self)  # type: ignore[attr-defined]
        finally:
            _DEADLINES.end(number)

    own = {"connect": connect, "request": request, "getresponse": getresponse}
    return type(kind.__name__, (kind,), own)


class Bounded(HTTPAdapter):
    """The transport of ``requests`` with bounded heads and a timeout for sending. ``made``: how
    many connections so far."""

    def __init__(self, patience: float, sending: float) -> None:
        self._patience, self._sending = patience, sending
        self.made = 0
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As the base; its pools make our connections."""
        super().init_poolmanager(*args, **kwargs)
        kinds: dict[str, tuple[type, type]] = {"http": (HTTPConnectionPool, HTTPConnection)}
        kinds["https"] = (HTTPSConnectionPool, HTTPSConnection)
        self.poolmanager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": self._connections(kind)})
            for scheme, (pool, kind) in kinds.items()
        }

    def _connections(self, kind: type) -> type:
        def connected() -> None:
            self.made += 1

        return _bounded(kind, self._patience, self._sending, connected)

    def pool(self, request: PreparedRequest, *, verify: bool | str) -> HTTPConnectionPool:
        """The connections to where a request goes, with their certificates to be checked."""
        found = self.get_connection_with_tls_context(request, verify)
        self.cert_verify(found, request.url, verify, None)  # type: ignore[no-untyped-call]
        return cast("HTTPConnectionPool", found)
