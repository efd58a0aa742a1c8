"""Time windows as the file writes them: hours, and the clock that they are read on.

Imports ``core.windows`` and the standard library. Invariant: a window always has a zone; without
one in the file it is this machine's.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from watcher.core import windows
from watcher.core.settings import When

_ZONE = re.compile(r"(.*\S)\s+(UTC|[A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+)", re.DOTALL)
_HERE = Path("/etc/localtime")


def when(hours: list[str], zone: str | None) -> When:
    """The windows of a rule. A text may hold several with ``;`` between, and end in a zone.

    Raises:
        ValueError: in words, for what is no window or no zone.
    """
    texts: list[str] = []
    for text in hours:
        found = _ZONE.fullmatch(text.strip())
        if found is not None:
            if zone not in (None, found[2]):
                raise ValueError(f"two zones: {zone} and {found[2]}")
            zone = found[2]
        texts += (found[1] if found else text).split(";")
    return When(tuple(windows.parse(text.strip()) for text in texts), named(zone))


def named(zone: str | None) -> tzinfo:
    """A time zone by its name; None is this machine's."""
    if zone is None:
        return here()
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"there is no time zone {zone!r} here, such as Europe/Berlin or UTC"
        ) from error


def here() -> tzinfo:
    """This machine's zone: ``$TZ``, else ``/etc/localtime``, else UTC."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if name:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return UTC
    try:
        with _HERE.open("rb") as file:
            return ZoneInfo.from_file(file, key="local")
    except (OSError, ValueError):
        return UTC
