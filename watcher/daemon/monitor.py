"""Serves the page, health, metrics and files over HTTP, in a thread of its own.

Imports Starlette, uvicorn and the daemon's own health, metrics and page. Invariant: it reads
snapshots and the ledger and changes nothing; whoever lacks the token learns nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watcher.core.model import FileState
from watcher.core.ports import Ledger
from watcher.core.settings import Http, Settings
from watcher.core.shown import described
from watcher.daemon.health import Health, sick, unready
from watcher.daemon.metrics import exposition
from watcher.daemon.page import STYLE, page
from watcher.errors import UsageError

LIMIT, LIMIT_MOST = 100, 1000  # files that ``/api/files`` tells of at once
SHOWN = 20  # files under each caption of the page
STOP_WITHIN = 5.0  # seconds that a stop waits for replies under way
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Monitor:
    """See the module. ``health`` is asked anew for each request."""

    def __init__(self, settings: Settings, ledger: Ledger, health: Callable[[], Health]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._health = health
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, http: Http) -> str:
        """Bind and serve; the address that is served.

        Raises:
            UsageError: the address is taken or not ours.
        """
        bound = _bind(http)
        token = http.token.reveal() if http.token is not None else ""
        config = uvicorn.Config(
            guarded(self._app(), token),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=int(STOP_WITHIN) - 2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([bound],), name="http", daemon=True
        )
        self._thread.start()
        host, port = bound.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def changed(self, settings: Settings) -> None:
        """A new configuration is in force."""
        self._settings = settings

    def stop(self) -> None:
        """End the replies under way, then the thread."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STOP_WITHIN)

    def _app(self) -> Starlette:
        paths = {
            "/": self._page,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/api/files": self._files,
        }
        return Starlette(routes=[Route(path, reply) for path, reply in paths.items()])

    def _healthz(self, _: Request) -> Response:
        return _verdict(sick(self._health()))

    def _readyz(self, _: Request) -> Response:
        return _verdict(unready(self._settings, self._health(), self._ledger))

    def _metrics(self, _: Request) -> Response:
        text = exposition(self._health(), self._ledger.counts())
        return Response(text, media_type="text/plain; version=0.0.4")

    def _files(self, request: Request) -> Response:
        asked = request.query_params
        try:
            state = FileState(asked["state"]) if "state" in asked else None
            limit = int(asked.get("limit", LIMIT))
            offset = int(asked.get("offset", 0))
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        if not 1 <= limit <= LIMIT_MOST or not 0 <= offset < 1 << 62:
            return _json({"error": f"limit is 1 to {LIMIT_MOST}, offset not negative"}, 400)
        works = self._ledger.files(
            folder=asked.get("folder", ""), state=state, limit=limit, offset=offset
        )
        return _json([described(self._settings, work) for work in works])

    def _page(self, _: Request) -> Response:
        states = {
            "In work": FileState.WORKING,
            "Failed": FileState.FAILED,
            "Delivered": FileState.DELIVERED,
            "Archived": FileState.ARCHIVED,
        }
        works = {
            caption: self._ledger.files(state=state, limit=SHOWN)
            for caption, state in states.items()
        }
        return HTMLResponse(page(self._settings, self._health(), self._ledger.counts(), works))


def _json(body: object, status: int = 200) -> Response:
    # ASCII only: a name that is not UTF-8 has no other way through
    return Response(json.dumps(body), status, media_type="application/json")


def _verdict(reasons: list[str]) -> Response:
    return _json({"ok": not reasons, "reasons": reasons}, 503 if reasons else 200)


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


def guarded(app: ASGIApp, token: str) -> ASGIApp:
    """``app`` behind the token, for GET only, with strict headers on every reply."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        reply: ASGIApp = app
        if token and not _knows(Headers(scope=scope), token):
            reply = PlainTextResponse("a token is needed\n", 401, {"www-authenticate": "Bearer"})
        elif scope["method"] != "GET":
            reply = PlainTextResponse("only GET\n", 405, {"allow": "GET"})
        await reply(scope, receive, strict)

    return guard


def _knows(headers: Headers, token: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        given = headers.get("x-api-key", "")
    return hmac.compare_digest(given.strip().encode(), token.encode())
