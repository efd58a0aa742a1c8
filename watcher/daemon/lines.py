"""Log lines as JSON, many in one go: how an event becomes a line, and the line gets out.

Imports structlog's types. Invariant: each event is one line of printable ASCII; a line is out when
the call returns, or when the ``together`` block around it ends, whatever happens inside.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

_ENCODER = json.JSONEncoder(default=repr)  # made once, which json.dumps would do for every line


def render(_: WrappedLogger, level: str, event: EventDict) -> str:
    """One event as a line, with its level and time. Half of what a file costs the engine would be
    its lines, were each value handed to the general encoder."""
    event["level"] = "error" if level == "exception" else level
    event["timestamp"] = datetime.now(UTC).isoformat()[:-6] + "Z"
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
        self._held = 0

    def __call__(self, *_: object) -> Writer:
        """As a factory."""
        return self

    def msg(self, line: str) -> None:
        """Write a line."""
        with self._lock:
            self._out.write(line + "\n")
            if not self._held:
                self._out.flush()

    debug = info = warning = error = critical = exception = log = msg

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written inside leaves at the end, in one go."""
        with self._lock:
            self._held += 1
        try:
            yield
        finally:
            with self._lock:
                self._held -= 1
                if not self._held:
                    self._out.flush()


@contextmanager
def together() -> Iterator[None]:
    """``Writer.together`` of the present configuration; nothing under another one."""
    writer = structlog.get_config()["logger_factory"]
    if isinstance(writer, Writer):
        with writer.together():
            yield
    else:
        yield
