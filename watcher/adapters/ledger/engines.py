"""Connections to the two databases, set so that both behave alike.

Imports SQLAlchemy, the drivers and errors. Invariant: a transaction begins as it means to go on (to
write, or to read one snapshot), a commit is on disk when it returns, and no password leaves here.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from watcher.errors import LedgerUnusable

CONNECT = 10  # seconds to wait for a database server
READERS = 4  # connections kept for reading


def sqlite_engine(file: Path, *, mode: str, busy: float) -> Engine:
    """An engine on a file; ``mode`` is SQLite's ``ro`` or ``rwc``, ``busy`` seconds of patience."""
    writes = mode != "ro"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(file))}?mode={mode}",
            uri=True,
            timeout=busy,
            isolation_level=None,
            check_same_thread=False,
        )
        if writes:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA cache_size = -16384")
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=1 if writes else READERS,
        max_overflow=0 if writes else -1,
    )
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def postgres_engine(url: str, *, writes: bool) -> Engine:
    """An engine on a PostgreSQL server. Raises ``LedgerUnusable`` for an address that is none."""
    try:
        address = make_url(url).set(drivername="postgresql+psycopg")
        return create_engine(
            address,
            # the prepared statements of ``batch`` take their values by position
            paramstyle="format",
            isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
            pool_size=1 if writes else READERS,
            max_overflow=0 if writes else -1,
            pool_pre_ping=True,  # a server that was restarted costs a new connection, not an error
            connect_args={"connect_timeout": CONNECT, "application_name": "watcher"},
        )
    except ArgumentError as error:
        raise LedgerUnusable("not a PostgreSQL address", where=shown(url)) from error
    except ImportError as error:
        raise LedgerUnusable(
            "PostgreSQL needs its driver",
            where=shown(url),
            fix="pip install 'pixyz-watcher[postgres]'",
        ) from error


def shown(url: str) -> str:
    """An address as it may be printed: without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "ledger"
