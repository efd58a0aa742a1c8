"""The server's socket, its thread, and how long it waits for anybody.

Imports uvicorn, h11 and its neighbours. Invariants: a connection that sends no whole request within
``headers_within`` seconds is closed; a stop ends within ``STOP_WITHIN``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

import h11
import uvicorn
from starlette.types import ASGIApp
from structlog.typing import FilteringBoundLogger
from uvicorn.protocols.http.h11_impl import H11Protocol

from watcher.errors import UsageError

HEADERS_WITHIN = 20.0  # seconds from the first byte of a request, or from connecting
STOP_WITHIN = 5  # seconds that replies under way get
KEEP_ALIVE = 30  # seconds that an idle connection is kept for the next request
CONNECTIONS_MOST = 500  # a further one is told 503


class Host:
    """Serves one application in a thread of its own.

    Args:
        app: what answers.
        log: where the server tells of bad requests.
        headers_within: seconds in which the head of a request must come.
    """

    def __init__(
        self, app: ASGIApp, log: FilteringBoundLogger, *, headers_within: float = HEADERS_WITHIN
    ) -> None:
        config = uvicorn.Config(
            app,
            http=_patient(headers_within),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=STOP_WITHIN,
            limit_concurrency=CONNECTIONS_MOST,
        )
        logger = logging.getLogger("uvicorn.error")
        logger.handlers, logger.propagate = [_Relay(log)], False
        logger.setLevel(logging.WARNING)
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # told in the reply
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, bound: socket.socket) -> str:
        """Serve on a bound socket; the address that people open."""
        self._thread = threading.Thread(
            target=self._server.run, args=([bound],), name="serve", daemon=True
        )
        self._thread.start()
        host, port = bound.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def stop(self) -> None:
        """End the replies under way, then the thread."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_WITHIN + 5)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one.

    Raises:
        UsageError: the address is taken, or not one of this machine's.
    """
    where = f"{host}:{port}"
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        reason = error.strerror or str(error)
        fix = "stop what listens there, or choose another --port"
        raise UsageError(f"cannot be served ({reason})", where=where, fix=fix) from error


class Patient(H11Protocol):
    """uvicorn's protocol with an end to its patience for a request's head."""

    headers_within = HEADERS_WITHIN
    _waits: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own
        """The caller should say something soon."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """More of a request: whole now, or still to be waited for."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more is waited for."""
        self._rest()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._rest()
        elif self._waits is None:
            self._waits = self.loop.call_later(self.headers_within, self._enough)

    def _rest(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def _enough(self) -> None:
        self._waits = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


def _patient(within: float) -> type[Patient]:
    return type("Patient", (Patient,), {"headers_within": within})


class _Relay(logging.Handler):
    """Puts uvicorn's words into our log."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One line; a fault with its traceback."""
        level = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        level("http", reason=record.getMessage(), exc_info=record.exc_info)
