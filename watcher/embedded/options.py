"""The run options of the wire (``config`` of ``POST /jobs``), proved before a job is taken.

Pure: imports the standard library and ``watcher.errors``. Invariant: what is not understood is
refused in words; keys that nobody knows are kept, since the script may know them.

The real scheduler takes any queue and any time limit, and lets such a job wait for ever or fail
later. Here a wrong value is refused at once: nobody waits for a job that cannot run.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from watcher.errors import Refused

QUEUES = ("cpu", "gpu", "gpuhigh", "zip", "clean", "control")
_MOST_RETRIES = 100
_HIGHEST = 1 << 31
_OURS = ("task_id", "entrypoint", "queue", "time_limit")
_DROPPED = ("script", "data", "shadow", "uuid")  # a caller may not name files of the server


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a job is to be run.

    ``key`` is the id that the caller chose, or None. ``time_limit`` in seconds and ``queue`` are
    None where the caller left them to the script. ``rest`` is what else the script is shown,
    with ``countdown``, ``expires`` (seconds from now), ``retries``, ``root_file``,
    ``compute_only`` and ``raw`` among it.
    """

    key: str | None = None
    entrypoint: str = "main"
    queue: str | None = None
    time_limit: float | None = None
    priority: int = 0
    rest: Mapping[str, Any] = field(default_factory=dict)


def read(config: Any) -> RunOptions:
    """The options that a JSON value asks for; null values count as not given.

    Raises:
        Refused: it is no object, or a value cannot be used.
    """
    if not isinstance(config, Mapping):
        raise Refused("config must be a JSON object")
    given = {k: v for k, v in config.items() if v is not None and k not in _DROPPED}
    return RunOptions(
        key=chosen_id(given["task_id"], "config.task_id") if "task_id" in given else None,
        entrypoint=str(given.get("entrypoint", "main")),
        queue=_queue(given.get("queue")),
        time_limit=_seconds(given, "time_limit"),
        priority=_whole(given, "priority", -_HIGHEST, _HIGHEST) or 0,
        rest=_rest({k: v for k, v in given.items() if k not in _OURS}),
    )


def chosen_id(value: Any, where: str) -> str:
    """An id that a caller chose, as it was given; it must be a UUID.

    Raises:
        Refused: it is none.
    """
    try:
        known = isinstance(value, str) and str(uuid.UUID(value)) == value.lower()
    except ValueError:
        known = False
    if not known:
        raise Refused(f"must be a UUID, not {_shown(value)}", where=where)
    return str(value)


def _queue(value: Any) -> str | None:
    if value is not None and value not in QUEUES:
        known = ", ".join(QUEUES)
        raise Refused(f"there is no queue {_shown(value)}", where="config.queue", fix=known)
    return value  # type: ignore[no-any-return]  # one of QUEUES, or None


def _rest(given: dict[str, Any]) -> dict[str, Any]:
    for key in ("countdown", "expires"):
        seconds = _seconds(given, key)
        if seconds is not None and seconds < 0:
            raise Refused("must not be negative", where=f"config.{key}")
    _whole(given, "retries", 0, _MOST_RETRIES)
    root = given.get("root_file")
    if root is not None and not isinstance(root, str):
        raise Refused(f"must be a name, not {_shown(root)}", where="config.root_file")
    for key in ("compute_only", "raw"):
        if key in given:
            given[key] = bool(given[key])
    return given


def _seconds(given: Mapping[str, Any], key: str) -> float | None:
    value = given.get(key)
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or abs(value) > _HIGHEST:
        raise Refused(f"must be a number of seconds, not {_shown(value)}", where=f"config.{key}")
    return value  # type: ignore[no-any-return]  # proved above


def _whole(given: Mapping[str, Any], key: str, least: int, most: int) -> int | None:
    value = given.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        text = f"must be a whole number from {least} to {most}, not {_shown(value)}"
        raise Refused(text, where=f"config.{key}")
    return value


def _shown(value: Any) -> str:
    return repr(value)[:80]
