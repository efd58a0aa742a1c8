"""Connections to one server: a session per thread, a timeout on everything.

Imports deadline, faults, errors, requests and urllib3. Invariants: the token appears in the header
only, never in a text; no redirect is followed (it would carry the token elsewhere); bodies of
answers are bounded in size and in time.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import requests
from urllib3 import HTTPResponse, Timeout
from urllib3.exceptions import ProtocolError

from watcher.adapters.http.deadline import Bounded
from watcher.adapters.http.faults import replied, translated
from watcher.errors import Unreachable

BLOCK = 1 << 16
FRESH = 1.0  # seconds for which a kept connection may be sent on; servers keep them for longer
PROVEN = 8  # requests in a row on kept connections, after which one may be sent on
COPIES = 10e6  # bytes a second that a server is expected to copy at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the scheduler is and how long to wait for it (seconds).

    ``read`` is for each block that is sent, too: a server whose disk stalls stops reading.
    ``patience`` bounds a whole small answer, so that a drip of bytes cannot hold a thread.
    """

    url: str
    token: str = field(default="", repr=False)
    ca: Path | None = None
    insecure: bool = False
    connect: float = 10.0
    read: float = 60.0
    patience: float = 120.0
    body_limit: int = 64 << 20

    @property
    def verify(self) -> bool | str:
        """What ``requests`` is to check certificates against."""
        if self.insecure:
            return False
        return str(self.ca) if self.ca else True


@dataclass(slots=True)
class Kept:
    """Whether the server keeps connections as it promises: ``row`` requests of whatever thread, one
    after the other, found theirs open. A race between threads miscounts, which is harmless."""

    row: int = 0


class Line:
    """The session of one thread: its connections, and what all of its requests have in common.

    ``requests`` is asked once, for the address, the headers and the certificates; what it does for
    each request beyond that took three times what ``urllib3`` beneath it takes for the whole call.
    """

    def __init__(self, server: Server, kept: Kept) -> None:
        self._server = server
        self._kept = kept
        self._session = requests.Session()
        self._session.trust_env = False  # no .netrc or proxy variable may change who is asked
        self._adapter = Bounded(server.patience, server.read)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, self._adapter)
        if server.token:
            self._session.headers["x-api-key"] = server.token
        self._used = -math.inf  # when (monotonic) the last answer came
        self._common = self._session.prepare_request(
            requests.Request("GET", f"{server.url.rstrip('/')}/")
        )
        self._base = self._common.path_url.rstrip("/")
        self._headers = dict(self._common.headers)
        self._connect()

    def _connect(self) -> None:
        """Forget the kept connections: the next request makes one."""
        self._session.close()
        self._pool = self._adapter.pool(self._common, verify=self._server.verify)
        self._holds = False  # a connection that the server is to have kept

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None, body: Any
    ) -> HTTPResponse:
        """Ask; a kept connection that the server has closed meanwhile is replaced, for what only
        reads. What sends uses one only where the server has proved to keep them, and none that was
        idle for so long that it may be closed."""
        fresh = time.monotonic() - self._used < FRESH and self._kept.row >= PROVEN
        if method != "GET" and not fresh:
            self._connect()
        try:
            return self._asked(method, path, headers, body)
        except ProtocolError:
            self._kept.row = 0
            if method != "GET":
                raise
            self._connect()
            return self._asked(method, path, headers, body)

    def _asked(
        self, method: str, path: str, headers: Mapping[str, str] | None, body: Any
    ) -> HTTPResponse:
        read, made = self._server.read + _copying(body), self._adapter.made
        answer = self._pool.urlopen(
            method,
            self._base + path,
            body=body,
            headers={**self._headers, **headers} if headers else self._headers,
            timeout=Timeout(connect=self._server.connect, read=read),
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )
        now = time.monotonic()
        if self._adapter.made == made:
            self._kept.row += 1
        elif self._holds and now - self._used < FRESH:
            self._kept.row = 0  # the one before was closed soon
        self._used, self._holds = now, True
        return cast("HTTPResponse", answer)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


class Sessions:
    """One session for each thread."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._kept = Kept()
        self._local = threading.local()
        self._all: list[Line] = []
        self._lock = threading.Lock()

    def _line(self) -> Line:
        line: Line | None = getattr(self._local, "line", None)
        if line is None:
            line = self._local.line = Line(self.server, self._kept)
            with self._lock:
                self._all.append(line)
        return line

    def url(self, path: str) -> str:
        """The address of a path that is already percent-encoded."""
        return self.server.url.rstrip("/") + path

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        good: tuple[int, ...] = (200,),
    ) -> Iterator[HTTPResponse]:
        """An answer whose body is not yet read; other states than ``good`` are raised."""
        where = f"{method} {self.url(path)}"
        with translated(where):
            response = self._line().ask(method, path, headers, data)
        try:
            if response.status not in good:
                moved = response.get_redirect_location() or ""
                raise replied(response.status, self._body(response, where), where, moved)
            yield response  # untranslated: what fails in the caller may be its own disk
        finally:
            response.close()

    def ask(self, method: str, path: str, **options: Any) -> bytes:
        """The whole small body of a good answer."""
        where = f"{method} {self.url(path)}"
        with self.open(method, path, **options) as response:
            return self._body(response, where)

    def _body(self, response: HTTPResponse, where: str) -> bytes:
        until = time.monotonic() + self.server.patience
        plain = "content-encoding" not in response.headers
        declared = response.headers.get("content-length", "") if plain else ""
        length = int(declared) if declared.isdigit() else -1
        body = bytearray()
        with translated(where):
            while len(body) != length:
                block = response.read1(BLOCK, decode_content=not plain)
                if not block:
                    break
                body += block
                if len(body) > self.server.body_limit:
                    raise Unreachable("the answer is too large", where=where)
                if time.monotonic() > until:
                    raise Unreachable("the answer comes too slowly", where=where)
        if len(body) < length:
            raise Unreachable("the answer was cut short", where=where)
        return bytes(body)

    def close(self) -> None:
        """Close the connections of all threads; who asks again makes new ones."""
        with self._lock:
            for line in self._all:
                line.close()
            self._all.clear()
            self._local = threading.local()


def _copying(data: Any) -> float:
    """Seconds more to wait for an answer: the server copies an upload before it replies."""
    return getattr(data, "len", 0) / COPIES
