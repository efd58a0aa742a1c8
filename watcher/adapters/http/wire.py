"""The replies of the scheduler as types, parsed defensively.

Imports errors and the standard library. Invariant: whatever the server sends becomes a value of
these types or an ``Unreachable`` (mostly ``Garbled``); unknown fields are ignored and wrong ones
never crash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from watcher.errors import Garbled, StateUnknown


class State(StrEnum):
    """The states of a job on the wire."""

    SENT = "SENT"
    PENDING = "PENDING"
    RECEIVED = "RECEIVED"
    STARTED = "STARTED"
    RUNNING = "RUNNING"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"

    @property
    def ended(self) -> bool:
        """Whether the job will not change any more."""
        return self in {State.SUCCESS, State.FAILURE, State.REVOKED}


STATES = {str(state): state for state in State}


@dataclass(frozen=True, slots=True)
class Job:
    """The short form of a job; ``document`` is what the server wrote."""

    uuid: str
    state: State
    name: str | None = None
    progress: int | None = None
    error: str | None = None
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One step; ``duration`` in seconds, None while it runs (-1 on the wire)."""

    info: str
    duration: float | None


@dataclass(frozen=True, slots=True)
class Details:
    """The long form. ``times`` are the server's own texts, ``document`` is all that it wrote."""

    job: Job
    result: Any = None
    steps: tuple[Step, ...] = ()
    times: dict[str, str] = field(default_factory=dict)
    retry: int = 0
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


def parsed(body: bytes, where: str) -> dict[str, Any]:
    """A JSON object, or ``Garbled``: somebody else than the scheduler answers there."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Garbled("the answer is not JSON", where=where) from error
    if not isinstance(value, dict):
        raise Garbled("the answer is not a JSON object", where=where)
    return value


def job(value: Any, where: str) -> Job:
    """A job's short form; state UNKNOWN means that the server lost its own store."""
    if not isinstance(value, dict) or not isinstance(value.get("uuid"), str):
        raise Garbled("the answer is not a job", where=where)
    word = value.get("status")
    state = STATES.get(word) if isinstance(word, str) else None
    if state is None:
        if word == "UNKNOWN":
            raise StateUnknown("the scheduler cannot reach its own store", where=where)
        raise Garbled(f"the job's state is {str(word)[:40]!r}", where=where)
    return Job(
        uuid=value["uuid"],
        state=state,
        name=_text(value.get("name")),
        progress=_percent(value.get("progress")),
        error=_text(value.get("error")),
        document=value,
    )


def details(value: dict[str, Any], where: str) -> Details:
    """A job's long form."""
    steps, times = value.get("steps"), value.get("time_info")
    return Details(
        job=job(value, where),
        result=value.get("result"),
        steps=tuple(_step(each) for each in steps) if isinstance(steps, list) else (),
        times={k: v for k, v in times.items() if isinstance(v, str)}
        if isinstance(times, dict)
        else {},
        retry=int(number) if (number := _number(value.get("retry"))) is not None else 0,
        document=value,
    )


def names(value: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    """A list of names under a key."""
    found = value.get(key)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise Garbled(f"the answer has no list of {key}", where=where)
    return tuple(found)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None  # noqa: PLR2004 - also drops NaN, infinity


def _percent(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else max(0, min(100, int(number)))


def _step(value: Any) -> Step:
    if not isinstance(value, dict):
        return Step("", None)
    duration = _number(value.get("duration"))
    running = duration is None or duration < 0
    return Step(_text(value.get("info")) or "", None if running else duration)
