"""What surrounds every request: the body that nobody read, the count of replies, our own faults.

Imports Starlette's types, h11, prometheus-client and structlog. Invariant: a caller that still
sends when its reply is ready gets that reply, not a broken connection.
"""

from __future__ import annotations

import asyncio
import time

from h11 import LocalProtocolError
from prometheus_client import CollectorRegistry, Counter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from watcher.embedded.server.replies import failed

_CLOSE = (b"connection", b"close")  # after a body that nobody wanted
LINGER = 30.0  # seconds


class Frame:
    """The outermost application.

    Args:
        app: what answers.
        log: where faults and, on debug, requests are told.
        registry: where replies are counted.
        linger: seconds for which the rest of an unwanted body is read and dropped.
    """

    def __init__(
        self,
        app: ASGIApp,
        log: FilteringBoundLogger,
        registry: CollectorRegistry,
        *,
        linger: float,
    ) -> None:
        self._app = app
        self._log = log
        self._linger = linger
        self._replies = Counter(
            "watcher_serve_replies", "Replies by status", ["status"], registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        exchange = _Exchange(scope, receive, send)
        began = time.monotonic()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except LocalProtocolError:
            return  # the caller broke the line with what it sent since: nobody can be told
        except Exception as error:  # noqa: BLE001  (whatever it is, the caller gets a reply)
            self._log.error("fault", path=scope["path"], exc_info=error)
            if not exchange.status:
                reply = failed(500, "a fault of the server: its log tells more")
                await reply(scope, exchange.receive, exchange.send)
        self._replies.labels(str(exchange.status)).inc()
        seconds = round(time.monotonic() - began, 4)
        self._log.debug(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=exchange.status,
            seconds=seconds,
        )
        await exchange.end(self._linger)


class _Exchange:
    """A request and its reply; knows whether the body was read to its end."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        self._open = "transfer-encoding" in headers or length.strip("0") != ""
        self._receive = receive
        self._send = send
        self._held = False
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._open = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._open:
                message = {**message, "headers": [*message["headers"], _CLOSE]}
        elif self._open and not message.get("more_body", False):
            # the reply is out, whole; the connection stays until the caller has sent its own part
            self._held = True
            message = {**message, "more_body": True}
        await self._send(message)

    async def end(self, within: float) -> None:
        """Drop the rest of the body, for a while, then end the reply."""
        if not self._held:
            return
        deadline = time.monotonic() + within
        try:
            while self._open:
                await asyncio.wait_for(self.receive(), max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            pass  # enough: the connection is closed now
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
