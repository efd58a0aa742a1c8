"""Changes into statements: a batch becomes a few prepared statements with many rows each.

Imports core, errors, SQLAlchemy, ``schema``, ``rows``. Invariant: the outcome is the same as if the
changes were applied one by one in their order. Within a segment the order is: new files, new jobs,
saved files, saved jobs, parts, targets, history, tallies; a change that this order would harm
begins the next segment.

The statements are compiled once and run through the driver's ``executemany``: SQLAlchemy's own
handling of each row costs more than SQLite's work on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Dialect, Table, Update, bindparam, insert, select, update
from sqlalchemy.dialects import sqlite

from watcher.adapters.ledger.rows import (
    Row,
    encoded,
    file_move,
    file_rest,
    file_row,
    is_counted,
    job_move,
    job_row,
    same_rest,
    written,
)
from watcher.adapters.ledger.schema import FILES, HISTORY, JOBS, PARTS, TALLIES, TARGETS
from watcher.core.model import FileRecord
from watcher.core.ports import Change, NewFile, Note, OwnTarget, SaveFile, SaveJob
from watcher.errors import StaleRecord

# the order in which a segment runs
NEW_FILE, NEW_JOB, MOVE_FILE, SAVE_FILE, MOVE_JOB, SAVE_JOB, PART, OWN, HISTORY_ROW, TALLY = range(
    10
)
CHUNK = 500  # values in one IN list
GUARDED = frozenset({MOVE_FILE, SAVE_FILE, MOVE_JOB, SAVE_JOB})
Tallies = dict[tuple[str, str], int]
# in which column of a row its file (or job) stands
_OWNER = {
    NEW_JOB: 1, MOVE_FILE: -3, SAVE_FILE: -3, MOVE_JOB: -3, SAVE_JOB: -3, PART: 2, OWN: 3,
    HISTORY_ROW: 0,
}  # fmt: skip


@dataclass(slots=True)
class Segment:
    """Rows per statement that may run in the order of the statements."""

    rows: tuple[list[Row], ...] = field(default_factory=lambda: tuple([] for _ in range(10)))
    shapes: dict[int, int] = field(default_factory=dict)  # the statement that saves a record
    released: set[tuple[str, str]] = field(
        default_factory=set
    )  # paths whose life or arrival came free
    tallies: list[tuple[int, str, str, int]] = field(default_factory=list)  # file and difference

    def add(self, change: Change) -> bool:
        """Take a change; false when it must begin the next segment."""
        match change:
            case SaveJob():
                return self._save_job(change)
            case SaveFile():
                return self._save_file(change)
            case NewFile():
                return self._new_file(change)
            case OwnTarget():
                paths = encoded(change.target), encoded(change.path)
                self.rows[OWN].append((written(change.folder), *paths, change.file_id))
                return True

    def _new_file(self, change: NewFile) -> bool:
        file = change.file
        touched = not self.shapes.keys().isdisjoint((file.id, *(job.id for job in change.jobs)))
        keyed = bool(self.rows[SAVE_JOB]) and any(job.key for job in change.jobs)
        if touched or keyed or (file.folder, file.path) in self.released:
            return False
        self.rows[NEW_FILE].append(file_row(file))
        self.rows[NEW_JOB].extend(map(job_row, change.jobs))
        self._call_for(file)
        self._tell(file.id, str(file.state), "", change.notes)
        self._tally(file, 1)
        return True

    def _call_for(self, file: FileRecord) -> None:
        folder = written(file.folder)
        self.rows[PART].extend((folder, encoded(part.path), file.id) for part in file.parts)

    def _save_file(self, change: SaveFile) -> bool:
        before, after = change.before, change.after
        light = same_rest(before, after)
        shape = MOVE_FILE if light else SAVE_FILE
        if self.shapes.setdefault(before.id, shape) != shape:
            return False
        row = file_move(after) if light else file_move(after) + file_rest(after)
        self.rows[shape].append((*row, before.id, str(before.state), before.version))
        if after.parts != before.parts:
            self._call_for(after)
        if (before.live and not after.live) or before.arrival != after.arrival:
            self.released.add((before.folder, before.path))
        self._tell(before.id, str(after.state), "", change.notes)
        if before.state is not after.state or before.live != after.live:
            self._tally(before, -1)
            self._tally(after, 1)
        return True

    def _save_job(self, change: SaveJob) -> bool:
        before, after = change.before, change.after
        light = before.key == after.key
        shape = MOVE_JOB if light else SAVE_JOB
        if self.shapes.setdefault(before.id, shape) != shape:
            return False
        row = job_move(after) if light else (*job_move(after), after.key)
        self.rows[shape].append((*row, before.id, str(before.state), before.version))
        self._tell(before.file_id, str(after.state), written(after.label), change.notes)
        return True

    def _tell(self, file_id: int, state: str, job: str, notes: tuple[Note, ...]) -> None:
        told = self.rows[HISTORY_ROW]
        for note in notes:
            text = written(note.text) if note.text else ""
            told.append((file_id, note.at, written(note.event), state, job, text))

    def _tally(self, file: FileRecord, count: int) -> None:
        if is_counted(file):
            self.tallies.append((file.id, written(file.folder), str(file.state), count))

    def close(self) -> None:
        """Turn the differences into rows."""
        sums: Tallies = defaultdict(int)
        for _, folder, state, count in self.tallies:
            sums[folder, state] += count
        self.rows[TALLY][:] = [(*key, count) for key, count in sums.items() if count]

    def forget(self, files: frozenset[int]) -> None:
        """Leave out what belongs to these new files."""
        gone = set(files)
        gone.update(row[0] for row in self.rows[NEW_JOB] if row[1] in files)
        for number, column in _OWNER.items():
            self.rows[number][:] = [row for row in self.rows[number] if row[column] not in gone]
        self.tallies = [row for row in self.tallies if row[0] not in files]
        self.close()


def segments(changes: Iterable[Change]) -> list[Segment]:
    """The changes, grouped into as few segments as their order allows."""
    found = [Segment()]
    for change in changes:
        if not found[-1].add(change):
            found.append(Segment())
            found[-1].add(change)
    for segment in found:
        segment.close()
    return found


def run(connection: Connection, statements: tuple[str, ...], batch: list[Segment]) -> None:
    """Write the segments in the caller's transaction. Raises ``StaleRecord``."""
    for segment in batch:
        for number, rows in enumerate(segment.rows):
            if rows:
                _write(connection, statements, number, rows)


def run_shared(
    connection: Connection, statements: tuple[str, ...], batch: list[Segment]
) -> frozenset[int]:
    """As ``run``, beside other watchers: new files that another one made first are left out, and
    their ids returned."""
    refused: frozenset[int] = frozenset()
    for segment in batch:
        if segment.rows[NEW_FILE]:
            refused |= _make(connection, statements, segment.rows[NEW_FILE])
        if refused:
            segment.forget(refused)
        for number, rows in enumerate(segment.rows):
            if rows and number != NEW_FILE:
                _write(connection, statements, number, rows)
    return refused


def absent(connection: Connection, batch: list[Segment]) -> frozenset[int]:
    """Which new files of a batch that was written are not in the ledger."""
    return _absent(connection, [row for segment in batch for row in segment.rows[NEW_FILE]])


def _make(connection: Connection, statements: tuple[str, ...], rows: list[Row]) -> frozenset[int]:
    done = connection.exec_driver_sql(statements[NEW_FILE] + " ON CONFLICT DO NOTHING", rows)
    return frozenset() if done.rowcount == len(rows) else _absent(connection, rows)


def _absent(connection: Connection, rows: list[Row]) -> frozenset[int]:
    ids = [row[0] for row in rows]
    found: set[int] = set()
    for start in range(0, len(ids), CHUNK):
        some = ids[start : start + CHUNK]
        found.update(connection.scalars(select(FILES.c.id).where(FILES.c.id.in_(some))))
    return frozenset(ids) - found


def _write(
    connection: Connection, statements: tuple[str, ...], number: int, rows: list[Row]
) -> None:
    done = connection.exec_driver_sql(statements[number], rows)
    if number in GUARDED and done.rowcount != len(rows):
        raise StaleRecord("a record was changed by somebody else meanwhile")


def _upsert(dialect: Dialect) -> Any:
    """Both dialects spell it alike, but SQLAlchemy has one class for each."""
    if dialect.name != "postgresql":
        return sqlite.insert
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415  (2 MB, for a shared ledger alone)

    return postgresql.insert


def compiled(dialect: Dialect) -> tuple[str, ...]:
    """The statements by their numbers, for a dialect with positional parameters."""
    upsert = _upsert(dialect)
    own, tally = _insert(TARGETS, upsert), _insert(TALLIES, upsert)
    own = own.on_conflict_do_update(
        index_elements=[TARGETS.c.folder, TARGETS.c.target],
        set_={"path": own.excluded.path, "file_id": own.excluded.file_id},
    )
    tally = tally.on_conflict_do_update(
        index_elements=[TALLIES.c.folder, TALLIES.c.state],
        set_={"files": TALLIES.c.files + tally.excluded.files},
    )
    statements = (
        _insert(FILES, insert),
        _insert(JOBS, insert),
        _save(FILES, "state", "version"),
        _save(FILES, "state", "params"),
        _save(JOBS, "state", "version"),
        _save(JOBS, "state", "key"),
        _insert(PARTS, upsert).on_conflict_do_nothing(),
        own,
        _insert(HISTORY, insert, skip="id"),
        tally,
    )
    return tuple(str(statement.compile(dialect=dialect)) for statement in statements)


def _insert(table: Table, verb: Any, skip: str = "") -> Any:
    """A row of all columns in the table's order; ``verb`` is one of SQLAlchemy's inserts."""
    names = [column.name for column in table.columns if column.name != skip]
    return verb(table).values({name: bindparam(name) for name in names}).inline()


def _save(table: Table, first: str, last: str) -> Update:
    """An update of the columns from ``first`` to ``last``, if state and version are as before."""
    names = [column.name for column in table.columns]
    names = names[names.index(first) : names.index(last) + 1]
    return (
        update(table)
        .ordered_values(*((table.c[name], bindparam(f"new_{name}")) for name in names))
        .where(table.c.id == bindparam("was_id"))
        .where(table.c.state == bindparam("was_state"))
        .where(table.c.version == bindparam("was_version"))
    )
