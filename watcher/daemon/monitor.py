"""Serves the page, health, metrics and files over HTTP, in a thread of its own.

Imports Starlette, uvicorn and the page. Invariant: it reads snapshots and the ledger; the only
thing it leaves is a request in the ledger.
"""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from watcher.core.settings import Http
from watcher.daemon.web.api import Api
from watcher.daemon.web.desk import Desk
from watcher.daemon.web.guard import Sessions, guarded
from watcher.daemon.web.pages import Pages
from watcher.errors import UsageError

STOP_WITHIN = 5.0  # seconds that a stop waits for replies under way
STATIC = Path(__file__).parent / "web" / "static"


class Monitor:
    """See the module."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, http: Http) -> str:
        """Bind and serve; the address that is served.

        Raises:
            UsageError: the address is taken or not ours.
        """
        bound = _bind(http)
        sessions = Sessions()
        pages = Pages(self._desk, sessions)
        routes = [*pages.routes(), *Api(self._desk).routes()]
        app = Starlette(routes=[*routes, Mount("/static", StaticFiles(directory=STATIC))])
        config = uvicorn.Config(
            guarded(app, lambda: self._desk.settings().http, sessions),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([bound],), name="http", daemon=True
        )
        self._thread.start()
        host, port = bound.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def stop(self) -> None:
        """End the replies under way, then the thread."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STOP_WITHIN)


def _bind(http: Http) -> socket.socket:
    where = f"{http.host}:{http.port}"
    try:
        family = socket.getaddrinfo(http.host, http.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((http.host, http.port), family=family)
    except OSError as error:
        raise UsageError(
            f"the page cannot be served: {error.strerror}",
            where=where,
            fix="give `http: listen:` another port, or say `http: off`",
        ) from error
