"""Connections to one server: a session per thread, a timeout on everything.

Imports faults, errors and requests. Invariants: the token appears in the header only, never in a
text; no redirect is followed (it would carry the token elsewhere); bodies of answers are bounded
in size and in time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from watcher.adapters.http.deadline import Bounded
from watcher.adapters.http.faults import replied, translated
from watcher.errors import Unreachable

BLOCK = 1 << 16
COPIES = 10e6  # bytes a second that a server is expected to copy at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the scheduler is and how long to wait for it (seconds).

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


class Sessions:
    """One ``requests`` session for each thread."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._local = threading.local()
        self._all: list[requests.Session] = []
        self._lock = threading.Lock()

    def _session(self) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.verify = self.server.verify
            for scheme in ("http://", "https://"):
                session.mount(scheme, Bounded(self.server.patience))
            session.trust_env = False  # a .netrc or proxy variable must not change who is asked
            # what requests does not use it reads all the same, all of the environment at each call
            session.proxies = {"no_proxy": urlsplit(self.server.url).hostname or ""}
            if self.server.token:
                session.headers["x-api-key"] = self.server.token
            self._local.session = session
            with self._lock:
                self._all.append(session)
        return session

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
    ) -> Iterator[requests.Response]:
        """An answer whose body is not yet read; other states than ``good`` are raised."""
        where = f"{method} {self.url(path)}"
        with translated(where):
            response = self._response(method, path, headers, data)
        try:
            if response.status_code not in good:
                moved = response.headers.get("location", "") if response.is_redirect else ""
                raise replied(response.status_code, self._body(response, where), where, moved)
            yield response  # untranslated: what fails in the caller may be its own disk
        finally:
            response.close()

    def _response(
        self, method: str, path: str, headers: Mapping[str, str] | None, data: Any
    ) -> requests.Response:
        """Ask; a kept connection that the server has closed meanwhile is replaced, for what only
        reads. What sends never meets one."""
        session = self._session()
        if method != "GET":
            session.close()
        ask = partial(
            session.request,
            method,
            self.url(path),
            headers=headers,
            data=data,
            stream=True,
            allow_redirects=False,
            timeout=(self.server.connect, self.server.read + _copying(data)),
        )
        try:
            return ask()
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            if method != "GET":
                raise
            session.close()
            return ask()

    def ask(self, method: str, path: str, **options: Any) -> bytes:
        """The whole small body of a good answer."""
        where = f"{method} {self.url(path)}"
        with self.open(method, path, **options) as response:
            return self._body(response, where)

    def _body(self, response: requests.Response, where: str) -> bytes:
        until = time.monotonic() + self.server.patience
        body = bytearray()
        with translated(where):
            while block := response.raw.read1(BLOCK, decode_content=True):
                body += block
                if len(body) > self.server.body_limit:
                    raise Unreachable("the answer is too large", where=where)
                if time.monotonic() > until:
                    raise Unreachable("the answer comes too slowly", where=where)
        declared = response.headers.get("content-length", "")
        plain = "content-encoding" not in response.headers
        if plain and declared.isdigit() and len(body) < int(declared):
            raise Unreachable("the answer was cut short", where=where)
        return bytes(body)

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for session in self._all:
                session.close()
            self._all.clear()


def _copying(data: Any) -> float:
    """Seconds more to wait for an answer: the server copies an upload before it replies."""
    return getattr(data, "len", 0) / COPIES
