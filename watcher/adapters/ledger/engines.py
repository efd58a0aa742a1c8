"""Connections to the two databases, set so that both behave alike.

Imports SQLAlchemy, the drivers and errors. Invariant: a transaction begins as it means to go on (to
write, or to read one snapshot), a commit is on disk when it returns, and no password leaves here.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from watcher.errors import LedgerUnusable

# seconds that a writing transaction may lie open without a word, and that anybody waits for a
# lock: a watcher that was paused in the middle of one would hold all others up for ever
PAUSED = 4
# a reader holds up only who brings the tables to another version, and takes what it read apart
# between two statements: that of a million files takes its time
READING = 120
CUT = 10  # seconds without an answer after which a line counts as cut
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
        connection.execute(f"PRAGMA cache_size = -{8192 if writes else 4096}")
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


def postgres_engine(url: str, *, writes: bool, many: int = 1) -> Engine:
    """An engine on a PostgreSQL server; ``many`` connections may write at once.

    Raises:
        LedgerUnusable: the address is none, or the driver is not installed.
    """
    open_most = PAUSED if writes else READING
    try:
        address = make_url(url).set(drivername="postgresql+psycopg")
        return create_engine(
            address,
            # the prepared statements of ``batch`` take their values by position
            paramstyle="format",
            isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
            pool_size=many if writes else READERS,
            max_overflow=0 if writes else -1,
            pool_pre_ping=True,  # a server that was restarted costs a new connection, not an error
            connect_args={
                "connect_timeout": CONNECT,
                "application_name": session(),
                # a server behind a cut line is given up before the kernel would (libpq's names)
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": CUT * 1000,
                "options": f"-c idle_in_transaction_session_timeout={open_most * 1000}"
                f" -c lock_timeout={PAUSED * 1000}",
            },
        )
    except ArgumentError as error:
        raise LedgerUnusable("not a PostgreSQL address", where=shown(url)) from error
    except ImportError as error:
        raise LedgerUnusable(
            "PostgreSQL needs its driver",
            where=shown(url),
            fix="pip install 'pixyz-watcher[postgres]'",
        ) from error


def process() -> str:
    """This process, for people and for those who take over from it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def session(name: str = "") -> str:
    """What the database calls the connections of a process: pg_stat_activity's application_name,
    which is cut at 63 bytes."""
    return f"watcher {name or process()}"[:63]


def shown(url: str) -> str:
    """An address as it may be printed: without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "ledger"
