"""The one map from the errors of SQLAlchemy, SQLite and PostgreSQL to ours.

Imports errors, SQLAlchemy and sqlite3's codes. Invariant: a foreign error never leaves the ledger.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from watcher.errors import LedgerAway, LedgerDamaged, LedgerError, LedgerUnusable, StaleRecord

_PRIMARY = 0xFF  # extended result codes keep the primary one in their low byte
_DAMAGED = (
    "the ledger is damaged",
    "stop watcher, then restore the file or move it away with its -wal and -shm",
)
_TOLD = {
    sqlite3.SQLITE_BUSY: (
        "the ledger is locked by another program",
        "end the program that holds it, then try again",
    ),
    sqlite3.SQLITE_LOCKED: (
        "the ledger is locked by another program",
        "end the program that holds it, then try again",
    ),
    sqlite3.SQLITE_FULL: ("no space for the ledger", "free space on its disk"),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FORMAT: _DAMAGED,
    sqlite3.SQLITE_SCHEMA: _DAMAGED,
    sqlite3.SQLITE_READONLY: (
        "the ledger is read-only",
        "make the file and its folder writable, or run as its owner",
    ),
    sqlite3.SQLITE_PERM: ("the ledger may not be opened", "run as its owner"),
    sqlite3.SQLITE_AUTH: ("the ledger may not be opened", "run as its owner"),
    sqlite3.SQLITE_CANTOPEN: (
        "the ledger cannot be opened",
        "check that its folder is there, and run as its owner",
    ),
    sqlite3.SQLITE_IOERR: ("the disk fails under the ledger", "check the disk and the system log"),
}

_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_ROOM = 65536  # bytes: less has no room for the shared memory of SQLite's WAL (32 kB a segment)

_RETURNS = "check that PostgreSQL runs and takes this user; it is tried again"
# PostgreSQL's states: appendix "PostgreSQL Error Codes" of its manual
_STATES = {
    "42501": ("the ledger may not be used by this database user", "grant it the ledger's tables"),
    "53100": ("no space for the ledger", "free space on the database server's disk"),
    "25006": ("the ledger's database is read-only", "use the primary server, not a standby"),
    "25P03": ("the ledger's database ended a transaction that was paused", "it is tried again"),
    "40001": ("the ledger was written by others at the same moment", "it is tried again"),
    "40P01": ("the ledger was written by others at the same moment", "it is tried again"),
    "55P03": ("the ledger is held up by another watcher", "it is tried again"),
}
_PASSING_STATES = {"25P03", "40001", "40P01", "55P03"}


def translated(error: SQLAlchemyError | sqlite3.Error, *, where: str) -> LedgerError:
    """What an operator should read instead of a database error."""
    inner = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, IntegrityError) or isinstance(inner, sqlite3.IntegrityError):
        return StaleRecord(f"the change contradicts what is stored ({_line(inner)})", where=where)
    what, fix = _words(inner, where)
    return _kind(inner)(what, where=where, fix=fix)


def _kind(inner: BaseException | None) -> type[LedgerUnusable]:
    """Whether waiting helps."""
    code = getattr(inner, "sqlite_errorcode", 0) & _PRIMARY
    if _TOLD.get(code) is _DAMAGED:
        return LedgerDamaged
    state: str | None = getattr(inner, "sqlstate", "")
    unanswered = state is None or state[:2] in {"08", "57"}
    passing = code in _PASSING or state in _PASSING_STATES
    return LedgerAway if passing or unanswered else LedgerUnusable


def _words(inner: BaseException | None, where: str) -> tuple[str, str]:
    """What happened and what to do, by SQLite's result code or PostgreSQL's SQLSTATE."""
    code = getattr(inner, "sqlite_errorcode", 0) & _PRIMARY
    if code == sqlite3.SQLITE_IOERR and _full(where):
        return _TOLD[sqlite3.SQLITE_FULL]
    if code in _TOLD:
        return _TOLD[code]
    # psycopg's OperationalError has no state when no server answered
    state: str | None = getattr(inner, "sqlstate", "")
    if state is None or state[:2] in {"08", "57"}:
        said = f" ({_said(inner)})" if state is None else ""
        return f"the ledger's database cannot be reached{said}", _RETURNS
    if state in _STATES:
        return _STATES[state]
    return f"the ledger cannot be used ({_line(inner)})", "see what the database says"


def _full(where: str) -> bool:
    """Whether the disk under a file is full: SQLite calls a shared-memory file that has no room
    an I/O error."""
    try:
        found = os.statvfs(os.path.dirname(where) or ".")  # noqa: PTH120  (a text, maybe an address)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM


def _line(error: BaseException | None) -> str:
    """The first line of an error: SQLAlchemy adds statement and values below it."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _said(error: BaseException | None) -> str:
    """Why a connection was refused: libpq puts the server's own word last."""
    words = [line for line in str(error).splitlines() if line.strip()]
    return (words or [""])[-1].rpartition("failed: ")[2].strip()


@contextmanager
def told(where: str) -> Iterator[None]:
    """Foreign errors raised within come out as ours."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise translated(error, where=where) from error
