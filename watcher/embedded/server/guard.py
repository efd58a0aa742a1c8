"""Who may call: the token, and without one nobody but programs of this machine.

Imports Starlette and the package's ``replies``. Invariants: the token itself is not kept, only its
SHA-256; comparing takes the same time whatever is wrong; without a token a web page that somebody
has open in a browser can neither run a script here (``Origin``) nor read a reply by a name of its
own for this address (``Host``).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response

from watcher.embedded.server.replies import plain


class Guard:
    """Judges the headers of a request.

    Args:
        token: what callers must send as ``x-api-key``; empty asks for none.
    """

    def __init__(self, token: str) -> None:
        self._hash = hashlib.sha256(token.encode()).digest() if token else b""

    def refusal(self, headers: Headers) -> Response | None:
        """The reply to a request that may not pass, or None."""
        if not self._hash:
            return None if _local(headers) else plain("Only for programs of this machine", 403)
        given = headers.get("x-api-key", "").encode("latin-1", "replace")
        if hmac.compare_digest(hashlib.sha256(given).digest(), self._hash):
            return None
        return plain("Invalid token", 401, {"www-authenticate": "x-api-key"})


def _local(headers: Headers) -> bool:
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return False
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    return is_loopback(_host_of(headers.get("host", "")))


def _host_of(value: str) -> str:
    try:
        return urlsplit(f"//{value}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine for itself alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
