"""The one place where foreign exceptions and error replies become ``watcher.errors``.

Imports errors, requests and urllib3. Invariant: every exception of ``requests`` and ``urllib3`` has
a class here (a test walks them all), and the server's own explanation is in the text.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager

from requests import exceptions as foreign
from urllib3 import exceptions as pool

from watcher.errors import (
    Garbled,
    JobLost,
    Refused,
    SchedulerError,
    TooEarly,
    Unauthorized,
    Unreachable,
    Unserved,
)

KINDS: dict[int, type[SchedulerError]] = {
    404: JobLost,
    408: Unreachable,  # as 502 and 504: nobody knows what became of the request
    425: TooEarly,
    429: Unserved,
    502: Unreachable,
    503: Unserved,
    504: Unreachable,
}
EXPLANATION = 500  # characters of a server's text that are shown

MAP: dict[type[Exception], tuple[type[SchedulerError], str]] = {
    foreign.ConnectTimeout: (Unserved, "does not accept the connection in time"),
    foreign.ReadTimeout: (Unreachable, "does not answer in time"),
    foreign.Timeout: (Unreachable, "does not answer in time"),
    foreign.SSLError: (Unreachable, "its certificate is not accepted"),
    foreign.ProxyError: (Unreachable, "the proxy does not pass the request on"),
    foreign.ConnectionError: (Unreachable, "cannot be reached"),
    foreign.ChunkedEncodingError: (Unreachable, "the answer was cut short"),
    foreign.ContentDecodingError: (Garbled, "the answer cannot be decoded"),
    foreign.TooManyRedirects: (Unreachable, "redirects without end"),
    foreign.RetryError: (Unreachable, "does not answer"),
    foreign.InvalidJSONError: (Refused, "the request cannot be written as JSON"),
    foreign.JSONDecodeError: (Garbled, "the answer is not JSON"),
    foreign.HTTPError: (Unreachable, "answered with an error"),
    foreign.URLRequired: (Refused, "no address"),
    foreign.MissingSchema: (Refused, "the address lacks http:// or https://"),
    foreign.InvalidSchema: (Refused, "the address is not http or https"),
    foreign.InvalidURL: (Refused, "the address cannot be used"),
    foreign.InvalidProxyURL: (Refused, "the proxy's address cannot be used"),
    foreign.InvalidHeader: (Refused, "the token cannot be sent in a header"),
    foreign.StreamConsumedError: (Unreachable, "the answer was read already"),
    foreign.UnrewindableBodyError: (Unreachable, "the upload cannot be sent twice"),
    foreign.RequestException: (Unreachable, "the request failed"),
    pool.NewConnectionError: (Unserved, "cannot be reached"),
    pool.ConnectTimeoutError: (Unserved, "does not accept the connection in time"),
    pool.TimeoutError: (Unreachable, "does not answer in time"),
    pool.SSLError: (Unreachable, "its certificate is not accepted"),
    pool.ProxySchemeUnsupported: (Refused, "the proxy's address cannot be used"),
    pool.LocationValueError: (Refused, "the address cannot be used"),
    pool.InvalidHeader: (Garbled, "the headers of the answer cannot be read"),
    pool.DecodeError: (Garbled, "the answer cannot be decoded"),
    pool.HTTPError: (Unreachable, "the connection broke"),
    UnicodeError: (Refused, "the address or the token cannot be sent"),
    http.client.HTTPException: (Garbled, "the answer is not HTTP"),
    OSError: (Unreachable, "the connection broke"),
}
FOREIGN = tuple(MAP)


def mapped(error: Exception, where: str) -> SchedulerError:
    """Our error for a foreign one: that of its nearest class; its own words may hold secrets."""
    ours, text = next(MAP[kind] for kind in type(error).__mro__ if kind in MAP)
    return ours(text, where=where)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Let no exception of requests or urllib3 out of the block."""
    try:
        yield
    except FOREIGN as error:
        raise mapped(error, where) from error


def explained(body: bytes) -> tuple[str, bool]:
    """What an error body says, and whether it is the API's own shape (``detail`` an object).

    Source: the error shapes of the scheduler: an object or a string under ``detail``, or text.
    """
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        return ("" if text.startswith("<") else _short(text)), False
    if isinstance(detail, dict):
        return _short(str(detail.get("details") or detail.get("message") or "")), True
    return _short(str(detail)), False


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= EXPLANATION else line[: EXPLANATION - 3] + "..."


def replied(status: int, body: bytes, where: str, moved: str = "") -> SchedulerError:
    """Our error for an error reply; ``moved`` is where a redirect points to."""
    text, own = explained(body)
    said = f"HTTP {status}: {text}" if text else f"HTTP {status}"
    if status in {401, 403}:
        return Unauthorized(said, where=where, fix="check the token")
    if moved:
        fix = "redirects are not followed: check the address"
        return Garbled(f"{said}, moved to {_short(moved)}", where=where, fix=fix)
    kind = KINDS.get(status, Refused if 400 <= status < 500 else Garbled)  # noqa: PLR2004 - 4xx
    if status == 404 and not own:  # noqa: PLR2004 - only the API's own 404 speaks of a job
        kind = Garbled
    return kind(said, where=where)
