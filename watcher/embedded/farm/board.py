"""The notice board in Redis: what runs where, what ended, what must stop.

Imports redis and the standard library. Invariant: nothing here is the only copy; a board that is
emptied is written anew by those who know.

::

    watcher:<farm>:running   hash: job -> one attempt at work, with a beat that counts up
    watcher:<farm>:progress  hash: job -> its progress and steps
    watcher:<farm>:stop      hash: job -> the highest attempt that must stop
    watcher:<farm>:ended     list: attempts whose verdict stands in the shared folder
    watcher:<farm>:epoch     made anew when the board was emptied
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import redis

ANSWER_WITHIN = 5.0  # seconds
_MANY = 1000  # ended attempts that are read at once

BoardError = redis.RedisError


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attempt at work, as its worker last told. ``began`` in UTC seconds; ``shown`` counts the
    changes of its progress."""

    attempt: int
    began: float
    worker: str
    beat: int
    shown: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """The progress of a job: percent or None, and its steps as (text, seconds)."""

    progress: int | None
    steps: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """The attempts that must stop, by job; and the epoch, empty where ``serve`` set none yet."""

    stops: dict[str, int]
    epoch: str


class Board:
    """The board of one farm.

    Args:
        url: redis:// or rediss://.
        farm: the farm's name.

    Every method raises ``BoardError`` when Redis does not do its part.
    """

    def __init__(self, url: str, farm: str) -> None:
        # its types differ between releases, and say little
        self._redis: Any = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=ANSWER_WITHIN,
            socket_connect_timeout=ANSWER_WITHIN,
            socket_keepalive=True,
        )
        self._keys = {name: f"watcher:{farm}:{name}" for name in _NAMES}

    # ---------------------------------------------------------------- the worker's side
    def beat(self, rows: Mapping[str, Row], shown: Mapping[str, Shown]) -> Heard:
        """Tell what runs here; hear who must stop."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.info("server")
        pipe.get(self._keys["epoch"])
        if rows:
            told = {job: json.dumps(asdict(row)) for job, row in rows.items()}
            pipe.hset(self._keys["running"], mapping=told)
            pipe.hmget(self._keys["stop"], list(rows))
        if shown:
            told = {job: json.dumps([one.progress, one.steps]) for job, one in shown.items()}
            pipe.hset(self._keys["progress"], mapping=told)
        server, epoch, *replies = pipe.execute()
        stops = replies[1] if rows else []
        heard = {job: int(stop) for job, stop in zip(rows, stops, strict=True) if stop}
        return Heard(heard, _epoch(server, epoch) if epoch else "")

    def ended(self, job_id: str, attempt: int) -> None:
        """Tell that the verdict on an attempt can be read."""
        pipe = self._redis.pipeline()
        pipe.rpush(self._keys["ended"], json.dumps([job_id, attempt]))
        for name in ("running", "progress", "stop"):
            pipe.hdel(self._keys[name], job_id)
        pipe.execute()

    # ---------------------------------------------------------------- the side of serve
    def epoch(self) -> str:
        """A word that changes whenever the server was started anew or emptied."""
        self._redis.set(self._keys["epoch"], secrets.token_hex(4), nx=True)
        return _epoch(self._redis.info("server"), self._redis.get(self._keys["epoch"]))

    def news(self, wait: float) -> list[tuple[str, int]]:
        """The attempts that ended; waits for some, up to so many seconds."""
        first = self._redis.blpop([self._keys["ended"]], timeout=wait)
        if first is None:
            return []
        more = self._redis.lpop(self._keys["ended"], _MANY) or []
        return [(job, attempt) for job, attempt in map(json.loads, [first[1], *more])]

    def rows(self) -> dict[str, Row]:
        """What runs, everywhere."""
        told = self._redis.hgetall(self._keys["running"])
        return {job: Row(**json.loads(text)) for job, text in told.items()}

    def shown(self, jobs: Collection[str]) -> dict[str, Shown]:
        """The progress of these."""
        if not jobs:
            return {}
        texts = self._redis.hmget(self._keys["progress"], list(jobs))
        found = {job: json.loads(text) for job, text in zip(jobs, texts, strict=True) if text}
        return {
            job: Shown(progress, tuple((text, seconds) for text, seconds in steps))
            for job, (progress, steps) in found.items()
        }

    def stop(self, attempts: Mapping[str, int]) -> None:
        """Have these attempts, and earlier ones, stopped."""
        if attempts:
            self._redis.hset(self._keys["stop"], mapping=dict(attempts))

    def clear(self, jobs: Collection[str]) -> None:
        """Take down what is told of these."""
        if jobs:
            for name in ("running", "progress", "stop"):
                self._redis.hdel(self._keys[name], *jobs)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _epoch(server: Mapping[str, Any], mark: str) -> str:
    return f"{server.get('run_id', '')}:{mark}"


_NAMES = ("running", "progress", "stop", "ended", "epoch")
