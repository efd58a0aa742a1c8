"""Who may see the page, and who may press its buttons.

Imports Starlette and core settings. Invariant: without the token nobody learns anything; a post
without the session's own CSRF token does nothing; on loopback without a token only names of
loopback are answered, so that no foreign web page reaches it by DNS rebinding.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watcher.core.settings import Http

COOKIE = "watcher_session"
SESSION = 12 * 3600.0  # seconds
MOST = 1000  # sessions remembered
LOCAL = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?", re.IGNORECASE)
OPEN = ("/login", "/static/page.css", "/static/icon.svg")
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Sessions:
    """Who has shown the token. Ids are random; a session ends with its time, or with the token
    that it was opened under."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._open: dict[str, tuple[float, str]] = {}

    def opened(self, token: str) -> str:
        """A new session's id."""
        now = time.monotonic()
        self._open = {one: kept for one, kept in self._open.items() if kept[0] > now}
        while len(self._open) >= MOST:
            self._open.pop(next(iter(self._open)))
        session = secrets.token_urlsafe(32)
        self._open[session] = (now + SESSION, self.csrf(token))
        return session

    def knows(self, session: str, token: str) -> bool:
        """Whether this session was opened under this token and has not ended."""
        until, under = self._open.get(session, (0.0, ""))
        return until > time.monotonic() and hmac.compare_digest(under, self.csrf(token))

    def close(self, session: str) -> None:
        """End a session."""
        self._open.pop(session, None)

    def csrf(self, session: str) -> str:
        """The word that only this session's own forms hold."""
        return hmac.new(self._key, session.encode(), hashlib.sha256).hexdigest()


def session_of(headers: Headers) -> str:
    """The session's id in a request's cookie, or nothing."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def with_session(reply: Response, session: str) -> Response:
    """Hand a session to the browser."""
    reply.set_cookie(COOKIE, session, max_age=int(SESSION), httponly=True, samesite="strict")
    return reply


def matches(given: str, token: str) -> bool:
    """Whether the token is the right one, in constant time."""
    return hmac.compare_digest(given.strip().encode(), token.encode())


def token_of(http: Http | None) -> str:
    """The token that is asked of every caller, or nothing."""
    return http.token.reveal() if http is not None and http.token is not None else ""


def guarded(app: ASGIApp, http: Callable[[], Http | None], sessions: Sessions) -> ASGIApp:
    """``app`` behind the token, with strict headers on every reply. Browsers that lack it are led
    to the form that asks for it."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await _answerer(app, scope, token_of(http()), sessions)(scope, receive, strict)

    return guard


def _answerer(app: ASGIApp, scope: Scope, token: str, sessions: Sessions) -> ASGIApp:
    headers = Headers(scope=scope)
    if not token:
        known = LOCAL.fullmatch(headers.get("host", ""))
        return (
            app if known else PlainTextResponse("asked under a name that is not loopback's\n", 421)
        )
    session = session_of(headers)
    if scope["path"] in OPEN or _shown(headers, token) or sessions.knows(session, token):
        return app
    if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
        return RedirectResponse("/login", 303)
    return PlainTextResponse("a token is needed\n", 401, {"www-authenticate": "Bearer"})


def _shown(headers: Headers, token: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        given = headers.get("x-api-key", "")
    return matches(given, token)
