"""The ledger's answers to a scan, which asks of every directory and of a million files.

Imports SQLAlchemy, sqlite3, ``schema``, ``rows``. Invariant: changes nothing, and what is asked of
each directory is answered from an index alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, select, text

from watcher.adapters.ledger.batch import CHUNK
from watcher.adapters.ledger.rows import decoded, encoded, written
from watcher.adapters.ledger.schema import FILES, LIVE

Seen = set[tuple[str, int, int]]
F = FILES.c
# SQLite's driver decodes text in C; and asked without SQLAlchemy it answers for a directory of ten
# files in a tenth of the time
ROWS = (
    "SELECT {name}, size, mtime_ns FROM files INDEXED BY files_seen"
    " WHERE folder = ? AND directory = ? AND live = 1"
)
AS_TEXT = ROWS.format(name="CAST(name AS TEXT)")
AS_BYTES = ROWS.format(name="name")
# from one directory to the next without a look at the files between them
DIRECTORIES = text(
    "WITH RECURSIVE found(directory) AS ("
    " SELECT (SELECT f.directory FROM files f WHERE f.folder = :folder AND f.live = 1"
    " AND f.directory >= :begin ORDER BY f.directory LIMIT 1)"
    " UNION ALL"
    " SELECT (SELECT f.directory FROM files f WHERE f.folder = :folder AND f.live = 1"
    " AND f.directory > found.directory ORDER BY f.directory LIMIT 1)"
    " FROM found WHERE found.directory IS NOT NULL)"
    " SELECT directory FROM found WHERE directory IS NOT NULL LIMIT :limit"
)


def known(connection: Connection, folder: str, directory: str) -> Seen:
    """The live records directly in a directory: name, size, time."""
    if connection.dialect.name != "sqlite":
        return _decoded(connection.execute(_rows(folder, directory)))
    driver: Any = connection.connection.driver_connection
    at = written(folder), encoded(directory)
    try:
        return set(driver.execute(AS_TEXT, at))
    except sqlite3.OperationalError:  # a name that is no text; any other error comes again
        return _decoded(driver.execute(AS_BYTES, at))


def known_each(connection: Connection, folder: str, directories: Sequence[str]) -> list[Seen]:
    """``known`` of each of these directories."""
    several = connection.dialect.name == "sqlite" and len(directories) > 1
    driver: Any = connection.connection.driver_connection
    if several:  # to begin for each anew takes longer than to answer for a few files
        driver.execute("BEGIN")
    try:
        return [known(connection, folder, directory) for directory in directories]
    finally:
        if several:
            driver.execute("ROLLBACK")


def known_among(connection: Connection, folder: str, directory: str, names: Sequence[str]) -> Seen:
    """As ``known``, of these names only."""
    found: Seen = set()
    wanted = [encoded(name) for name in names]
    for start in range(0, len(wanted), CHUNK):
        some = wanted[start : start + CHUNK]
        if connection.dialect.name != "sqlite":
            asked = _rows(folder, directory).where(F.name.in_(some))
            found |= _decoded(connection.execute(asked))
            continue
        marks = ",".join("?" * len(some))
        driver: Any = connection.connection.driver_connection
        at = written(folder), encoded(directory), *some
        found |= _decoded(driver.execute(f"{AS_BYTES} AND name IN ({marks})", at))
    return found


def known_count(connection: Connection, folder: str, directory: str) -> int:
    """How many live records lie directly in a directory."""
    asked = _in(select(func.count()), folder, directory)
    return connection.scalar(asked) or 0


def known_names(
    connection: Connection, folder: str, directory: str, after: str, limit: int
) -> list[str]:
    """The next names in a directory, in the order of their bytes."""
    asked = _in(select(F.name), folder, directory).where(F.name > encoded(after))
    return [decoded(name) for name in connection.scalars(asked.order_by(F.name).limit(limit))]


def directories(connection: Connection, folder: str, after: bytes | None) -> list[bytes]:
    """The next directories with live records, in the order of their bytes."""
    begin = b"" if after is None else after + b"\0"  # the next that there can be
    at = {"folder": written(folder), "begin": begin, "limit": CHUNK}
    return list(connection.scalars(DIRECTORIES, at))


def _decoded(rows: Iterable[Any]) -> Seen:
    return {(decoded(name), size, at) for name, size, at in rows}


def _rows(folder: str, directory: str) -> Select[Any]:
    return _in(select(F.name, F.size, F.mtime_ns), folder, directory)


def _in(asked: Select[Any], folder: str, directory: str) -> Select[Any]:
    at = (F.folder == written(folder)) & (F.directory == encoded(directory))
    return asked.where(at).where(LIVE)
