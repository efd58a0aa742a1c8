"""``python -m watcher.cli.probe``: asks the daemon of this container how it is.

Imports ``config`` and the standard library. Invariant: exit code 0 when ``/healthz`` says that the
daemon turns, 1 otherwise; where the page is off there is nothing to ask, which is 0.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

from watcher.config.load import find, load
from watcher.core.settings import Http
from watcher.errors import WatcherError

TIMEOUT = 8.0  # seconds
ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  (asked under their own names)


def healthy(http: Http) -> str:
    """What is wrong with the daemon at this address; nothing when it is well."""
    host = ANY.get(http.host) or (f"[{http.host}]" if ":" in http.host else http.host)
    asked = urllib.request.Request(f"http://{host}:{http.port}/healthz")
    if http.token is not None:
        asked.add_header("Authorization", f"Bearer {http.token.reveal()}")
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT):  # noqa: S310  (our own)
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return error.read(1000).decode("utf-8", "replace") or str(error)
    except OSError as error:
        return str(error)


def main() -> int:
    """Ask, and say why not."""
    try:
        http = load(find(None, os.environ), os.environ).settings.http
    except WatcherError as error:
        trouble = str(error)
    else:
        trouble = healthy(http) if http is not None else ""
    if trouble:
        print(trouble, file=sys.stderr)  # noqa: T201  (docker inspect shows it)
    return int(bool(trouble))


if __name__ == "__main__":
    sys.exit(main())
