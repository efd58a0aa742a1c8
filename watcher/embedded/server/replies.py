"""What the server answers: JSON, and one shape for each kind of error.

Imports Starlette and ``watcher.errors``. Invariant: no error shows a folder of this machine or a
traceback; a fault of our own is told in the log, not to the caller.

::

    {"detail": {"code": 400, "message": "Bad Request", "details": "why"}}    errors of the API
    {"detail": "Invalid token"}                                 401, 403, 404 of routes, 405, 503
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from watcher.errors import (
    FileGone,
    JobLost,
    NoSpace,
    OutsideRoot,
    Refused,
    TooEarly,
    Unreachable,
    WatcherError,
)

MESSAGES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    413: "Content Too Large",
    425: "Too early",
    500: "Internal Server Error",
    507: "Insufficient Storage",
}
_CODES: tuple[tuple[type[WatcherError], int], ...] = (
    (Refused, 400),
    (OutsideRoot, 400),
    (FileGone, 404),
    (JobLost, 404),
    (TooEarly, 425),
    (NoSpace, 507),
)


def as_json(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON reply: UTF-8 as it is, escaped only where a text has no UTF-8 form."""
    try:
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, from a script or a file name
        body = json.dumps(document).encode()
    return Response(body, status, headers, media_type="application/json")


def plain(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An error of the frame: ``{"detail": "text"}``."""
    return as_json({"detail": text}, status, headers)


def failed(code: int, details: str) -> Response:
    """An error of the API."""
    return as_json({"detail": {"code": code, "message": MESSAGES[code], "details": details}}, code)


def told(error: WatcherError) -> Response:
    """The reply to an error of ours, by its class."""
    if isinstance(error, Unreachable):
        return plain(f"Service not available: {error.what}", 503)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), 500)
    return failed(code, str(error))
