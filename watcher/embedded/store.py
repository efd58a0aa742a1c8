"""The embedded scheduler's memory: one SQLite row a job, in the states of the wire.

Imports the standard library, ``core.model`` and ``watcher.errors``. Invariant: a submitted job is
durable on return, where the owner asks for that; an ended job never changes again; what only shows
progress costs no fsync.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watcher.core.model import Fetched
from watcher.errors import StateTaken, Unreachable

PENDING, STARTED, RUNNING, RETRY = "PENDING", "STARTED", "RUNNING", "RETRY"
SUCCESS, FAILURE, REVOKED = "SUCCESS", "FAILURE", "REVOKED"
ENDED = (SUCCESS, FAILURE, REVOKED)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    process TEXT NOT NULL, priority INTEGER NOT NULL, status TEXT NOT NULL, requested REAL NOT NULL,
    started REAL, stopped REAL, progress INTEGER, retry INTEGER NOT NULL DEFAULT 0,
    runs INTEGER NOT NULL DEFAULT 0, permanent INTEGER NOT NULL DEFAULT 0,
    error TEXT, detail TEXT NOT NULL DEFAULT '',
    steps TEXT NOT NULL DEFAULT '[]', warnings TEXT NOT NULL DEFAULT '[]',
    result TEXT NOT NULL DEFAULT 'null'
) STRICT;
"""
_MANY_STAY = "CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status)"
_FEW_STAY = "DROP INDEX IF EXISTS jobs_by_status"  # it would cost more than it saves
_COLUMNS = (
    "seq, id, name, process, priority, status, requested, started, stopped, progress, retry, runs, "
    "permanent, error, detail, steps, warnings, result"
)
_NAMES = tuple(_COLUMNS.replace(" ", "").split(","))
_SUMMARY = (
    "seq, id, name, process, priority, status, requested, started, stopped, progress, retry, error"
)
_MANY = 500  # below SQLite's oldest limit of host parameters


@dataclass(frozen=True, slots=True)
class Step:
    """One step a script reported; ``duration`` in seconds is -1 while it runs."""

    info: str
    duration: float = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as stored. Times are UTC seconds; ``runs`` counts every start, ``retry`` reruns."""

    seq: int
    id: str
    name: str
    process: str
    priority: int
    status: str
    requested: float
    started: float | None = None
    stopped: float | None = None
    progress: int | None = None
    retry: int = 0
    runs: int = 0
    error: str | None = None
    detail: str = ""
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    result: Any = None
    permanent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended: SUCCESS, FAILURE or REVOKED, and what it left to say.

    ``permanent``: the job said itself that running it again cannot help. ``made``: its outputs,
    where its worker listed them; not stored.
    """

    status: str
    error: str | None = None
    detail: str = ""
    result: Any = None
    warnings: tuple[str, ...] = ()
    steps: tuple[Step, ...] = field(default=())
    permanent: bool = False
    made: tuple[Fetched, ...] | None = None


class Store:
    """The table of jobs, for any thread.

    Args:
        path: the database file; its folder must be there, and nobody else uses it.
        durable: whether a job that was added outlives a power cut; ended ones stay for long then.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._durable = durable
        self._lock = threading.Lock()
        try:
            self._db = _opened(path, _SCHEMA + (_MANY_STAY if durable else _FEW_STAY))
        except sqlite3.Error as error:
            raise StateTaken(
                f"the job store cannot be used ({error})",
                where=str(path),
                fix="move it away, or mend the disk",
            ) from error

    def add(self, job: Job) -> int:
        """Keep a new job; its place in the order of jobs, 0 when its id is already known."""
        with self._session(), self._synced():
            done = self._db.execute(
                "INSERT OR IGNORE INTO jobs"
                " (id, name, process, priority, status, requested, retry)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (job.id, job.name, job.process, job.priority, job.status, job.requested, job.retry),
            )
            return (done.lastrowid or 0) if done.rowcount == 1 else 0

    def knows(self, job_id: str) -> bool:
        """Whether there is such a job."""
        with self._session():
            found = self._db.execute("SELECT 1 FROM jobs WHERE id = ?", (job_id,))
            return found.fetchone() is not None

    def get(self, job_id: str) -> Job | None:
        """One job, or None."""
        return self.many([job_id]).get(job_id)

    def many(self, ids: Sequence[str]) -> dict[str, Job]:
        """The known ones among these ids."""
        found: dict[str, Job] = {}
        for start in range(0, len(ids), _MANY):
            some = ids[start : start + _MANY]
            marks = ",".join("?" * len(some))
            found |= {job.id: job for job in self._select(f"WHERE id IN ({marks})", some)}
        return found

    def all(self, *, limit: int = 0) -> list[Job]:
        """Every job, newest first; 0 is no limit."""
        return self._select("ORDER BY seq DESC LIMIT ?", [limit or -1])

    def summaries(self) -> list[Job]:
        """Every job, newest first, without what is long: detail, steps, warnings, result."""
        with self._session():
            rows = self._db.execute(f"SELECT {_SUMMARY} FROM jobs ORDER BY seq DESC").fetchall()  # noqa: S608 - a literal
        return [Job(**dict(zip(_SUMMARY.split(", "), row, strict=True))) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with self._session():
            return dict(self._db.execute("SELECT status, count(*) FROM jobs GROUP BY status"))

    def unfinished(self) -> list[Job]:
        """The jobs that have not ended, oldest first."""
        marks = ",".join("?" * len(ENDED))
        return self._select(f"WHERE status NOT IN ({marks}) ORDER BY seq", ENDED)

    def ended_before(self, moment: float) -> list[Job]:
        """The jobs that ended before a wall time."""
        marks = ",".join("?" * len(ENDED))
        return self._select(f"WHERE status IN ({marks}) AND stopped < ?", [*ENDED, moment])

    def start(self, job_id: str, at: float) -> Job | None:
        """Take a waiting job: STARTED, one run more. None when it no longer waits."""
        changed = self._change(
            "status = ?, started = ?, runs = runs + 1, progress = NULL, steps = '[]'"
            " WHERE id = ? AND status IN (?, ?)",
            (STARTED, at, job_id, PENDING, RETRY),
        )
        return self.get(job_id) if changed else None

    def show(self, job_id: str, progress: int | None, steps: Iterable[Step]) -> None:
        """RUNNING, with its progress."""
        self._change(
            "status = ?, progress = ?, steps = ? WHERE id = ? AND status IN (?, ?)",
            (RUNNING, progress, _dump_steps(steps), job_id, STARTED, RUNNING),
        )

    def again(self, job_id: str, *, error: str, counted: bool) -> None:
        """Back to the queue: RETRY after a run that died, PENDING after one that was left."""
        self._change(
            "status = ?, error = ?, retry = retry + ?, runs = runs - ? WHERE id = ?"
            " AND status IN (?, ?)",
            (
                RETRY if counted else PENDING,
                error or None,
                int(counted),
                int(not counted),
                job_id,
                STARTED,
                RUNNING,
            ),
        )

    def requeue(self, job_id: str) -> None:
        """A job found unfinished at start waits again; its runs stay counted."""
        self._change(
            "status = ? WHERE id = ? AND status IN (?, ?)", (PENDING, job_id, STARTED, RUNNING)
        )

    def end(self, job_id: str, outcome: Outcome, at: float) -> bool:
        """The end of a job; False when it is unknown or had already ended."""
        marks = ",".join("?" * len(ENDED))
        return self._change(
            "status = ?, stopped = ?, progress = ?, error = ?, detail = ?, result = ?,"
            f" warnings = ?, steps = ?, permanent = ? WHERE id = ? AND status NOT IN ({marks})",
            (
                outcome.status,
                at,
                100 if outcome.status == SUCCESS else None,
                outcome.error and _plain(outcome.error),
                _plain(outcome.detail),
                json.dumps(outcome.result),
                json.dumps(outcome.warnings),
                _dump_steps(outcome.steps),
                int(outcome.permanent),
                job_id,
                *ENDED,
            ),
        )

    def remove(self, job_id: str) -> bool:
        """Forget an ended job; False when it is unknown or has not ended."""
        marks = ",".join("?" * len(ENDED))
        query = f"DELETE FROM jobs WHERE id = ? AND status IN ({marks})"  # noqa: S608 - marks only
        with self._session():
            return self._db.execute(query, (job_id, *ENDED)).rowcount == 1

    def close(self) -> None:
        """Close the file."""
        with self._session():
            self._db.close()

    @contextlib.contextmanager
    def _synced(self) -> Iterator[None]:
        """What is written in this block outlives a power cut, where that is wanted."""
        if not self._durable:
            yield
            return
        self._db.execute("PRAGMA synchronous=FULL")
        yield
        self._db.execute("PRAGMA synchronous=NORMAL")

    @contextlib.contextmanager
    def _session(self) -> Iterator[None]:
        """One thread at a time; SQLite's errors in the port's words."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise Unreachable(f"the job store cannot be used ({error})") from error

    def _change(self, clause: str, values: Sequence[Any]) -> bool:
        # every clause is a literal of this module; values are bound
        with self._session():
            return self._db.execute(f"UPDATE jobs SET {clause}", values).rowcount == 1  # noqa: S608

    def _select(self, clause: str, values: Sequence[Any]) -> list[Job]:
        # as above
        query = f"SELECT {_COLUMNS} FROM jobs {clause}"  # noqa: S608
        with self._session():
            rows = self._db.execute(query, values).fetchall()
        return [_job(row) for row in rows]


def _opened(path: Path, schema: str) -> sqlite3.Connection:
    found = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        found.execute("PRAGMA locking_mode=EXCLUSIVE")  # one owner, who then asks for no locks
        found.execute("PRAGMA journal_mode=WAL")
        found.execute("PRAGMA synchronous=NORMAL")
        found.executescript(schema)
    except sqlite3.Error:
        found.close()
        raise
    return found


def _dump_steps(steps: Iterable[Step]) -> str:
    return json.dumps([{"duration": step.duration, "info": step.info} for step in steps])


def _job(row: tuple[Any, ...]) -> Job:
    found = dict(zip(_NAMES, row, strict=True))
    steps, warnings, result = row[-3:]
    found["steps"] = tuple(Step(**step) for step in json.loads(steps)) if steps != "[]" else ()
    found["warnings"] = tuple(json.loads(warnings)) if warnings != "[]" else ()
    found["result"] = json.loads(result)
    return Job(**found)


def _plain(text: str) -> str:
    """A text that can be stored: bytes of names that are no UTF-8 as escapes."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a surrogate pair, from JSON
        return text.encode("utf-8", "backslashreplace").decode()
