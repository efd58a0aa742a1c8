"""Posting one message to a webhook.

Imports errors and requests. Invariant: the address may hold a token, so no error names more of it
than the host; redirects are not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from watcher.errors import Refused, Unreachable

TIMEOUT = 10.0  # seconds
BUSY = (408, 425, 429)  # answers after which trying again may help, besides 5xx


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send it.

    Raises:
        Unreachable: nobody took it now; trying again may help.
        Refused: it will never be taken as it is.
    """
    import requests  # noqa: PLC0415  (taken into memory by those alone who have a webhook)

    host = urlsplit(url).hostname or ""
    try:
        with requests.post(
            url, data=body, headers=dict(headers), timeout=TIMEOUT, allow_redirects=False,
            stream=True,
        ) as reply:  # fmt: skip
            status = reply.status_code
    except (requests.RequestException, OSError, UnicodeError) as error:
        raise Unreachable(f"no answer ({type(error).__name__})", where=host) from None
    if status in BUSY or status >= 500:  # noqa: PLR2004  (RFC 9110: the server's fault)
        raise Unreachable(f"answered {status}", where=host)
    if status >= 300:  # noqa: PLR2004  (RFC 9110: not done)
        raise Refused(f"answered {status}", where=host)
