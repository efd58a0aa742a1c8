"""The tables, their constraints and indexes, and the steps from one schema version to the next.

Imports SQLAlchemy and errors. Invariant: what must never be true of two records is refused by the
schema itself. Types and expressions are those that SQLite and PostgreSQL share. Paths are bytes (a
name may be undecodable), split into directory and name so that one directory is one key range;
other text is ASCII (see ``rows``). Truth values are 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TextClause,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.schema import CreateColumn
from sqlalchemy.types import TypeEngine

from watcher.errors import LedgerUnusable

METADATA = MetaData()
# on SQLite only INTEGER PRIMARY KEY is the row's own key and spares an index
_ID = BigInteger().with_variant(Integer(), "sqlite")


def _column(name: str, kind: type[TypeEngine[Any]]) -> Column[Any]:
    return Column(name, kind, nullable=False)


FILES = Table(
    "files",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=False),
    _column("folder", Text),
    _column("directory", LargeBinary),
    _column("name", LargeBinary),
    _column("state", Text),
    _column("reason", Text),
    _column("digest", Text),
    _column("warnings", Text),
    _column("disposed", SmallInteger),
    _column("disposal", Text),
    _column("attempt", BigInteger),
    _column("next_at", Float),
    _column("accepted_at", Float),
    _column("changed_at", Float),
    _column("version", BigInteger),
    _column("rule", Text),
    _column("size", BigInteger),
    _column("mtime_ns", BigInteger),
    _column("parts", Text),
    _column("priority", BigInteger),
    _column("live", SmallInteger),
    _column("arrival", BigInteger),
    Column("params", Text, nullable=False, server_default=text("''")),
    Column("holder", BigInteger, nullable=False, server_default=text("0")),
)
JOBS = Table(
    "jobs",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=False),
    Column("file_id", BigInteger, ForeignKey("files.id"), nullable=False),
    _column("index", BigInteger),
    _column("label", Text),
    _column("scheduler", Text),
    _column("state", Text),
    _column("remote", Text),
    _column("attempt", BigInteger),
    _column("next_at", Float),
    _column("submitted_at", Float),
    _column("changed_at", Float),
    Column("progress", BigInteger),
    _column("step", Text),
    _column("error", Text),
    _column("outputs", Text),
    _column("warnings", Text),
    _column("result", Text),
    _column("version", BigInteger),
    _column("key", Text),
)
HISTORY = Table(
    "history",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("file_id", BigInteger, ForeignKey("files.id"), nullable=False, index=True),
    _column("at", Float),
    _column("event", Text),
    _column("state", Text),
    _column("job", Text),
    _column("note", Text),
)
# no foreign key: a target stays its source's own after the record was compacted
TARGETS = Table(
    "targets",
    METADATA,
    Column("folder", Text, primary_key=True),
    Column("target", LargeBinary, primary_key=True),
    _column("path", LargeBinary),
    _column("file_id", BigInteger),
)
# which files call for a part: what two assets share is disposed of only after both
PARTS = Table(
    "parts",
    METADATA,
    Column("folder", Text, primary_key=True),
    Column("path", LargeBinary, primary_key=True),
    Column("file_id", BigInteger, ForeignKey("files.id"), primary_key=True, index=True),
)
REQUESTS = Table(
    "requests",
    METADATA,
    Column("id", _ID, primary_key=True),
    _column("kind", Text),
    _column("body", Text),
    _column("at", Float),
    sqlite_autoincrement=True,  # an answered id must not come again
)
# the daemons at a shared ledger; a row that is gone is a watcher declared dead
WATCHERS = Table(
    "watchers",
    METADATA,
    Column("seat", _ID, primary_key=True, autoincrement=False),
    _column("name", Text),
    _column("seen", Float),  # the database's own clock, seconds since the epoch
    _column("batch", BigInteger),  # of the last transaction, to know it again
)
# how many records stand in each state, kept by apply so that nobody counts a million rows
TALLIES = Table(
    "tallies",
    METADATA,
    Column("folder", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    _column("files", BigInteger),
)
META = Table(
    "meta", METADATA, Column("name", Text, primary_key=True), Column("value", Text, nullable=False)
)

# A partial index serves a query only if the query says the same words: so each stands here once.
LIVE = text("live = 1")
DEAD = text("live = 0")
ACCEPTED = text("state = 'accepted'")
UNFINISHED = text(
    "(state IN ('working', 'held') OR (disposed = 0 AND state IN ('delivered', 'failed')))"
)
HELD = text(
    "(holder <> 0 AND (state IN ('accepted', 'working', 'held')"
    " OR (disposed = 0 AND state IN ('delivered', 'failed'))))"
)
_KEYED = text("key <> ''")


def _partial(name: str, *columns: object, where: TextClause, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=where, info={"where": where})  # type: ignore[arg-type]  # columns and their descents


def _partial_on_server() -> None:
    """To name PostgreSQL to an index loads all that SQLAlchemy has for it: 2 MB, that only those
    with such a server need."""
    for table in METADATA.tables.values():
        for index in table.indexes:
            if "where" in index.info:
                index.dialect_kwargs["postgresql_where"] = index.info["where"]


_c = FILES.c
# the name stands first, so that no planner takes this index, dead records and all, for a directory
Index("files_arrival", _c.name, _c.directory, _c.folder, _c.arrival, unique=True)
_partial("files_live", _c.folder, _c.directory, _c.name, where=LIVE, unique=True)
# all that a scan asks of a file, so that a million of them are compared without their records;
# SQLite wants even the column of the condition for that
_partial(
    "files_seen", *(_c.folder, _c.directory, _c.name, _c.size, _c.mtime_ns, _c.live), where=LIVE
)
_partial("files_dead", _c.changed_at, where=DEAD)
_partial("files_lane", _c.folder, _c.rule, _c.priority.desc(), _c.id, where=ACCEPTED)
_partial("files_unfinished", _c.id, where=UNFINISHED)
_partial("files_held", _c.holder, where=HELD)
Index("jobs_index", JOBS.c.file_id, JOBS.c["index"], unique=True)
_partial("jobs_key", JOBS.c.key, where=_KEYED, unique=True)


def _shared(connection: Connection) -> None:
    """Version 2: several watchers at one ledger."""
    WATCHERS.create(connection)
    holder = CreateColumn(FILES.c.holder).compile(dialect=connection.dialect)
    connection.execute(text(f"ALTER TABLE files ADD COLUMN {holder}"))
    next(index for index in FILES.indexes if index.name == "files_held").create(connection)


def _sidecars(connection: Connection) -> None:
    """Version 3: the params of a file's sidecar."""
    params = CreateColumn(FILES.c.params).compile(dialect=connection.dialect)
    connection.execute(text(f"ALTER TABLE files ADD COLUMN {params}"))


def _seen(connection: Connection) -> None:
    """Version 4: what a scan asks for stands in an index of its own."""
    next(index for index in FILES.indexes if index.name == "files_seen").create(connection)


# from version n to n + 1; each leaves what older watchers write and read as it was, so that the
# watchers of a shared ledger can be upgraded one after the other
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_shared, _sidecars, _seen)
VERSION = len(MIGRATIONS) + 1
_MIGRATING = 0x77617463686572  # any number that is ours: "watcher" in ASCII


def stored_version(connection: Connection, *, where: str) -> int:
    """The schema version of a ledger, 0 for an empty one. Raises ``LedgerUnusable`` if newer."""
    if not inspect(connection).has_table(META.name):
        return 0
    found = connection.scalar(select(META.c.value).where(META.c.name == "version"))
    version = int(found) if found is not None and found.isdecimal() else 0
    if version > VERSION:
        raise LedgerUnusable(
            f"the ledger has version {version}, this watcher knows versions up to {VERSION}",
            where=where,
            fix="run the newer watcher that wrote it",
        )
    return version


def migrate(connection: Connection, *, where: str) -> None:
    """Bring the ledger to this version, in the caller's transaction."""
    if connection.dialect.name == "postgresql":
        _partial_on_server()
        # SQLite's writer is alone anyway; here two starters must not both make the tables
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
    version = stored_version(connection, where=where)
    if version == 0:
        METADATA.create_all(connection)
        connection.execute(insert(META).values(name="version", value=str(VERSION)))
    elif version < VERSION:
        for step in MIGRATIONS[version - 1 :]:
            step(connection)
        connection.execute(update(META).where(META.c.name == "version").values(value=str(VERSION)))
