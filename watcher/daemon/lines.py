"""Log lines as JSON, many in one go: how an event becomes a line, and the line gets out.

Imports structlog's types. Invariant: each event is one line of printable ASCII; a line is out when
the call returns, or when the ``together`` block around it ends, whatever happens inside.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

Say = Callable[[str, str, Mapping[str, str]], None]
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_ENCODER = json.JSONEncoder(default=repr)  # made once, which json.dumps would do for every line


def render(_: WrappedLogger, level: str, event: EventDict) -> str:
    """One event as a line, with its level and time."""
    return _line(level, event, _now())


def _now() -> str:
    return datetime.now(UTC).isoformat()[:-6] + "Z"


def _line(level: str, event: EventDict, at: str) -> str:
    """Half of what a file costs the engine would be its lines, were each value handed to the
    general encoder."""
    event["level"] = "error" if level == "exception" else level
    event["timestamp"] = at
    pairs = [
        f'"{key}": {quoted(value) if type(value) is str else _ENCODER.encode(value)}'
        for key, value in event.items()
    ]
    return "{" + ", ".join(pairs) + "}"


class Writer:
    """The logger beneath structlog's, and its factory: writes lines to a stream."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.RLock()

    def __call__(self, *_: object) -> Writer:
        """As a factory."""
        return self

    def msg(self, line: str) -> None:
        """Write a line, or several."""
        with self._lock:
            self._out.write(line + "\n")
            self._out.flush()

    debug = info = warning = error = critical = exception = log = msg


@contextmanager
def together(log: FilteringBoundLogger) -> Iterator[Say]:
    """A block of many events of one moment. What it gives says one: level, name, fields.

    As JSON they bear the time at which the block began and leave at its end in one go, past the
    steps that the general road takes for each; in another form it is the general road.
    """
    config = structlog.get_config()
    writer, (*processors, last) = config["logger_factory"], config["processors"]
    if last is not render or not isinstance(writer, Writer):
        yield lambda level, event, fields: getattr(log, level)(event, **fields)
        return
    told: list[str] = []
    at, bound, least = _now(), structlog.get_context(log), log.get_effective_level()

    def say(level: str, event: str, fields: Mapping[str, str]) -> None:
        if _LEVELS[level] < least:
            return
        row: EventDict = {**bound, **fields, "event": event}
        for processor in processors:
            row = cast("EventDict", processor(writer, level, row))
        told.append(_line(level, row, at))

    try:
        yield say
    finally:
        if told:
            writer.msg("\n".join(told))
