"""The ledger port over two engines: one writing connection and many reading ones.

Imports core, errors, SQLAlchemy and this package. Invariant: one transaction a call; one writer at
a time; readers see whole batches and never wait for the writer (SQLite's WAL).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select

from watcher.adapters.ledger import reading, scanning
from watcher.adapters.ledger.batch import (
    CHUNK,
    TALLY,
    Tallies,
    absent,
    compiled,
    run,
    run_shared,
    segments,
)
from watcher.adapters.ledger.calm import Calm
from watcher.adapters.ledger.engines import postgres_engine, shown, sqlite_engine
from watcher.adapters.ledger.ids import Ids
from watcher.adapters.ledger.place import MOUNTS, check_place
from watcher.adapters.ledger.rows import FINAL, decoded, written
from watcher.adapters.ledger.schema import (
    DEAD,
    FILES,
    HISTORY,
    JOBS,
    PARTS,
    REQUESTS,
    migrate,
    stored_version,
)
from watcher.adapters.ledger.seats import LEASE, SqlSeats
from watcher.adapters.ledger.troubles import told
from watcher.core.model import FileRecord, FileState, HistoryRow, Work
from watcher.core.ports import Change, Lane, Request
from watcher.errors import LedgerNew, LedgerUnusable

SQLITE = "sqlite"
BUSY = 10.0  # seconds to wait for another program's write
COMPACTED = 500  # records removed in one transaction, so that a writer waits a few ms at most


class SqlLedger:
    """``Ledger`` on SQLAlchemy engines; ``write`` is None for a ledger opened to be read."""

    def __init__(
        self,
        *,
        read: Engine,
        write: Engine | None,
        where: str,
        ids: Ids,
        aside: Engine | None = None,
        lease: float = LEASE,
    ) -> None:
        self._read = read
        self._write = write
        self._where = where
        self._ids = ids
        self._lock = threading.Lock()
        self._statements = compiled(read.dialect)
        # a sign of life must not wait for a batch: seats have a connection of their own
        self._aside = aside
        self._calm = Calm()
        self._seats = SqlSeats(self._beside, self._reading, lambda: ids.take(1)[0], lease)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with told(self._where), self._read.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._write is None:
            raise LedgerUnusable("the ledger was opened for reading only", where=self._where)
        with told(self._where), self._lock, self._write.begin() as connection:
            yield connection

    @contextmanager
    def _beside(self) -> Iterator[Connection]:
        """A writing transaction beside those of ``apply``."""
        if self._aside is None:
            raise LedgerUnusable("the ledger is not one to be shared", where=self._where)
        with told(self._where), self._aside.begin() as connection:
            yield connection

    def new_ids(self, count: int) -> Sequence[int]:
        """See ``Ledger``."""
        return self._ids.take(count)

    @property
    def seats(self) -> SqlSeats | None:
        """See ``Ledger``: on PostgreSQL."""
        return self._seats if self._read.dialect.name == "postgresql" else None

    @property
    def places(self) -> tuple[Path, ...]:
        """The files that it lies in; none on a server."""
        if self.seats is not None:
            return ()
        return tuple(Path(self._where + end) for end in ("", "-wal", "-shm"))

    def apply(self, changes: Iterable[Change]) -> frozenset[int]:
        """See ``Ledger``."""
        batch = segments(changes)
        with self._writing() as connection:
            if not self._seats.taken:
                run(connection, self._statements, batch)
                return frozenset()
            if self._seats.fence(connection):
                refused = run_shared(connection, self._statements, batch)
            else:
                refused = absent(connection, batch)
        self._seats.passed()
        return refused

    def live(self, folder: str, paths: Sequence[str]) -> dict[str, FileRecord]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.live(connection, folder, paths)

    def known(self, folder: str, directory: str) -> set[tuple[str, int, int]]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return scanning.known(connection, folder, directory)

    def known_each(
        self, folder: str, directories: Sequence[str]
    ) -> list[set[tuple[str, int, int]]]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return scanning.known_each(connection, folder, directories)

    def known_among(
        self, folder: str, directory: str, names: Sequence[str]
    ) -> set[tuple[str, int, int]]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return scanning.known_among(connection, folder, directory, names)

    def known_count(self, folder: str, directory: str) -> int:
        """See ``Ledger``."""
        with self._reading() as connection:
            return scanning.known_count(connection, folder, directory)

    def known_names(self, folder: str, directory: str, after: str, limit: int) -> list[str]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return scanning.known_names(connection, folder, directory, after, limit)

    def directories(self, folder: str) -> Iterator[str]:
        """See ``Ledger``. Read in pages: a slow reader must not keep the WAL from being emptied."""
        last: bytes | None = None
        while True:
            with self._reading() as connection:
                page = scanning.directories(connection, folder, last)
            yield from map(decoded, page)
            if len(page) < CHUNK:
                return
            last = page[-1]

    def last_arrival(self, folder: str, path: str) -> FileRecord | None:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.last_arrival(connection, folder, path)

    def last_arrivals(self, folder: str, paths: Sequence[str]) -> dict[str, int]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.last_arrivals(connection, folder, paths)

    def needed(self, folder: str, paths: Sequence[str], file_id: int) -> set[str]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.needed(connection, folder, paths, file_id)

    def assembled(self, folder: str) -> bool:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.assembled(connection, folder)

    def unfinished(self) -> list[Work]:
        """See ``Ledger``. Held files are among them; oldest first."""
        with self._reading() as connection:
            return reading.unfinished(connection)

    def lanes(self) -> dict[Lane, int]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.lanes(connection)

    def waiting(self, lane: Lane, limit: int, after: tuple[int, int] | None = None) -> list[Work]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.waiting(connection, lane, limit, after)

    def owners(self, folder: str, targets: Sequence[str]) -> dict[str, str]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.owners(connection, folder, targets)

    def work(self, file_id: int) -> Work | None:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.one(connection, file_id)

    def files(
        self,
        *,
        folder: str = "",
        state: FileState | None = None,
        q: str = "",
        limit: int = 0,
        offset: int = 0,
    ) -> list[Work]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.listed(
                connection, folder=folder, state=state, q=q, limit=limit, offset=offset
            )

    def counts(self) -> dict[tuple[str, FileState], int]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.counts(connection)

    def history(self, folder: str, path: str) -> list[tuple[FileRecord, list[HistoryRow]]]:
        """See ``Ledger``."""
        with self._reading() as connection:
            return reading.history(connection, folder, path)

    def ask(self, kind: str, body: Mapping[str, Any], at: float) -> None:
        """See ``Ledger``."""
        row = {"kind": written(kind), "body": json.dumps(dict(body)), "at": at}
        with self._writing() as connection:
            connection.execute(insert(REQUESTS).values(row))

    def requests(self) -> list[Request]:
        """See ``Ledger``. Asked every second for as long as the daemon runs, so a file that nobody
        wrote to is not read."""
        looks = self._calm.looks(self.places[:2])
        if self._calm.unchanged(looks):
            return []
        with self._reading() as connection:
            found = reading.requests(connection)
        self._calm.found_nothing(() if found else looks)
        return found

    def answered(self, ids: Sequence[int]) -> None:
        """See ``Ledger``. Nothing is kept of an answered request: history tells what it did."""
        with self._writing() as connection:
            for some in reading.chunks(ids):
                connection.execute(delete(REQUESTS).where(REQUESTS.c.id.in_(some)))

    def compact(self, before: float, *, most: int = 0) -> int:
        """See ``Ledger``. In many short transactions, so that others write between them."""
        removed = 0
        while True:
            with self._writing() as connection:
                count = self._compact_some(connection, before)
            removed += count
            if count < COMPACTED or (most and removed >= most):
                return removed

    def _compact_some(self, connection: Connection, before: float) -> int:
        c = FILES.c
        final = c.state.in_([state.value for state in FINAL]) & (c.disposed == 1)
        asked = select(c.id, c.folder, c.state).where(DEAD, c.changed_at < before, final)
        rows = connection.execute(asked.order_by(c.changed_at).limit(COMPACTED)).all()
        ids = [row[0] for row in rows]
        for column in (HISTORY.c.file_id, PARTS.c.file_id, JOBS.c.file_id, c.id):
            connection.execute(delete(column.table).where(column.in_(ids)))
        less: Tallies = {}
        for _, folder, state in rows:
            less[folder, state] = less.get((folder, state), 0) - 1
        if less:
            rows_less = [(*key, count) for key, count in less.items()]
            connection.exec_driver_sql(self._statements[TALLY], rows_less)
        return len(rows)

    def close(self) -> None:
        """See ``Ledger``."""
        with told(self._where):
            self._read.dispose()
            for engine in (self._write, self._aside):
                if engine is not None:
                    engine.dispose()


def open_ledger(
    state: Path,
    *,
    read_only: bool,
    url: str = SQLITE,
    busy: float = BUSY,
    lease: float = LEASE,
    mounts: str | None = None,
    now: Callable[[], float] = time.time,
) -> SqlLedger:
    """The ledger in a state folder, or on the PostgreSQL server that ``url`` names; made or brought
    to this version unless ``read_only``.

    Beside a running daemon another process may open it either way; ``busy`` is how many seconds it
    waits for the other's writes, ``lease`` how many without a sign of life make a watcher of a
    shared ledger count as dead. ``mounts`` stands for the text of ``/proc/self/mountinfo``.
    Raises ``LedgerUnusable``.
    """
    if url == SQLITE:
        table = _mounts() if mounts is None else mounts
        file = check_place(state, read_only=read_only, mounts=table)
        where = str(file)
        write, read = (
            sqlite_engine(file, mode="rwc", busy=busy),
            sqlite_engine(file, mode="ro", busy=busy),
        )
    else:
        where = shown(url)
        write, read = postgres_engine(url, writes=True), postgres_engine(url, writes=False)
    try:
        with told(where):
            above = _prepared(read, None if read_only else write, where)
    except BaseException:
        write.dispose()
        read.dispose()
        raise
    ids = Ids(now, above=above)
    given = None if read_only else write
    shared = url != SQLITE and given is not None
    aside = postgres_engine(url, writes=True, many=2) if shared else None
    return SqlLedger(read=read, write=given, where=where, ids=ids, aside=aside, lease=lease)


def _mounts() -> str:
    """Where the kernel tells nothing of mounts, nothing can be refused."""
    try:
        return MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _prepared(read: Engine, write: Engine | None, where: str) -> int:
    """Bring the schema to this version, if it may be written; the highest id in use.

    One transaction, so that two starters do it once.
    """
    if write is not None:
        with write.begin() as connection:
            migrate(connection, where=where)
    with read.connect() as connection:
        if not stored_version(connection, where=where):
            raise LedgerNew("the ledger is empty", where=where, fix="start watcher run")
        return reading.highest_id(connection)
