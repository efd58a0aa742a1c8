"""The ledger's answers: queries and their records.

Imports core, SQLAlchemy, ``schema``, ``rows``. Invariant: changes nothing, and every query for the
daemon finds its rows through an index.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select

from watcher.adapters.ledger.batch import CHUNK
from watcher.adapters.ledger.rows import (
    decoded,
    encoded,
    file_of,
    job_of,
    joined,
    read,
    split,
    written,
)
from watcher.adapters.ledger.schema import (
    ACCEPTED,
    FILES,
    HISTORY,
    JOBS,
    LIVE,
    PARTS,
    REQUESTS,
    TALLIES,
    TARGETS,
    UNFINISHED,
)
from watcher.core.model import (
    FileRecord,
    FileState,
    HistoryRow,
    JobRecord,
    Work,
    nfc,
)
from watcher.core.ports import Lane, Request

UNFINISHED_STATES = (FileState.ACCEPTED, FileState.WORKING, FileState.HELD)
F = FILES.c


def chunks(values: Sequence[Any]) -> list[Sequence[Any]]:
    """The values in runs that fit one statement."""
    return [values[i : i + CHUNK] for i in range(0, len(values), CHUNK)]


def live(connection: Connection, folder: str, paths: Sequence[str]) -> dict[str, FileRecord]:
    """The live records among these paths."""
    found: dict[str, FileRecord] = {}
    for directory, some in _by_directory(paths):
        asked = _in_directory(select(FILES), folder, directory).where(F.name.in_(some))
        found.update((f.path, f) for f in map(file_of, connection.execute(asked.where(LIVE))))
    return found


def _by_directory(paths: Sequence[str]) -> Iterator[tuple[bytes, Sequence[bytes]]]:
    """Each directory with runs of its names, so that one statement reads one key range."""
    names: dict[bytes, list[bytes]] = defaultdict(list)
    for path in paths:
        directory, name = split(path)
        names[directory].append(name)
    return ((directory, some) for directory, inside in names.items() for some in chunks(inside))


def last_arrival(connection: Connection, folder: str, path: str) -> FileRecord | None:
    """The newest record of a path."""
    asked = _at(folder, path).order_by(F.arrival.desc()).limit(1)
    row = connection.execute(asked).first()
    return None if row is None else file_of(row)


def last_arrivals(connection: Connection, folder: str, paths: Sequence[str]) -> dict[str, int]:
    """The newest arrival number of each of these paths that has one."""
    found: dict[str, int] = {}
    for directory, some in _by_directory(paths):
        newest = select(F.name, func.max(F.arrival)).where(F.name.in_(some)).group_by(F.name)
        for name, arrival in connection.execute(_in_directory(newest, folder, directory)):
            found[joined(directory, name)] = arrival
    return found


def needed(connection: Connection, folder: str, paths: Sequence[str], file_id: int) -> set[str]:
    """Which of these paths other unfinished files call for, or are such files themselves."""
    found = {
        path
        for path, record in live(connection, folder, paths).items()
        if record.state in UNFINISHED_STATES and record.id != file_id
    }
    p = PARTS.c
    for some in chunks([encoded(path) for path in paths]):
        asked = (
            select(p.path)
            .join(FILES, F.id == p.file_id)
            .where(p.folder == written(folder), p.path.in_(some), p.file_id != file_id)
            .where(F.state.in_([state.value for state in UNFINISHED_STATES]))
        )
        found.update(decoded(path) for path in connection.scalars(asked))
    return found


def assembled(connection: Connection, folder: str) -> bool:
    """Whether any file of the folder ever had parts."""
    asked = select(PARTS.c.file_id).where(PARTS.c.folder == written(folder)).limit(1)
    return connection.execute(asked).first() is not None


def unfinished(connection: Connection) -> list[Work]:
    """Everything that recovery must look at, oldest first."""
    return works(connection, select(FILES).where(UNFINISHED).order_by(F.id))


def lanes(connection: Connection) -> dict[Lane, int]:
    """How many accepted files wait in each lane."""
    asked = select(F.folder, F.rule, func.count()).where(ACCEPTED).group_by(F.folder, F.rule)
    return {Lane(read(folder), read(rule)): n for folder, rule, n in connection.execute(asked)}


def waiting(
    connection: Connection, lane: Lane, limit: int, after: tuple[int, int] | None
) -> list[Work]:
    """The next accepted files of a lane."""
    asked = select(FILES).where(F.folder == written(lane.folder), F.rule == written(lane.rule))
    if after is not None:
        priority, last = after
        asked = asked.where(or_(F.priority < priority, and_(F.priority == priority, F.id > last)))
    asked = asked.where(ACCEPTED).order_by(F.priority.desc(), F.id).limit(limit)
    return works(connection, asked)


def owners(connection: Connection, folder: str, targets: Sequence[str]) -> dict[str, str]:
    """Which source path owns each of these targets."""
    t = TARGETS.c
    found: dict[str, str] = {}
    for some in chunks([encoded(target) for target in targets]):
        asked = select(t.target, t.path).where(t.folder == written(folder), t.target.in_(some))
        found.update((decoded(row[0]), decoded(row[1])) for row in connection.execute(asked))
    return found


def listed(
    connection: Connection,
    *,
    folder: str,
    state: FileState | None,
    q: str,
    limit: int,
    offset: int,
) -> list[Work]:
    """Records newest first."""
    asked = select(FILES).order_by(F.id.desc())
    if folder:
        asked = asked.where(F.folder == written(folder))
    if state is not None:
        asked = asked.where(F.state == state.value)
    if q:
        wanted = islice(_holding(connection, asked, q), offset, offset + limit if limit else None)
        return works_of(connection, list(wanted))
    if limit or offset:
        # SQLite has no OFFSET without a LIMIT
        asked = asked.limit(limit or 2**62).offset(offset)
    return works(connection, asked)


def _holding(connection: Connection, asked: Select[Any], q: str) -> Iterator[int]:
    """The ids of those whose path holds ``q``. Compared here, since no engine folds the case of
    bytes; newest first, so that a look at the first ones reads no more than it must."""
    word = nfc(q).casefold()
    for number, directory, name in connection.execute(
        asked.with_only_columns(F.id, F.directory, F.name)
    ):
        if word in nfc(joined(directory, name)).casefold():
            yield number


def works_of(connection: Connection, ids: Sequence[int]) -> list[Work]:
    """The files of these ids, newest first."""
    found: list[Work] = []
    for some in chunks(ids):
        found += works(connection, select(FILES).where(F.id.in_(some)).order_by(F.id.desc()))
    return found


def counts(connection: Connection) -> dict[tuple[str, FileState], int]:
    """The tallies that are not zero."""
    t = TALLIES.c
    rows = connection.execute(select(t.folder, t.state, t.files).where(t.files != 0))
    return {(read(folder), FileState(state)): n for folder, state, n in rows}


def history(
    connection: Connection, folder: str, path: str
) -> list[tuple[FileRecord, list[HistoryRow]]]:
    """Every arrival of a path with its history, oldest first."""
    files = [file_of(row) for row in connection.execute(_at(folder, path).order_by(F.arrival))]
    h = HISTORY.c
    told: dict[int, list[HistoryRow]] = defaultdict(list)
    for some in chunks([file.id for file in files]):
        asked = select(h.file_id, h.at, h.event, h.state, h.job, h.note)
        for row in connection.execute(asked.where(h.file_id.in_(some)).order_by(h.id)):
            told[row[0]].append(
                HistoryRow(row[1], read(row[2]), row[3], read(row[4]), read(row[5]))
            )
    return [(file, told[file.id]) for file in files]


def requests(connection: Connection) -> list[Request]:
    """The requests not yet answered, oldest first."""
    r = REQUESTS.c
    rows = connection.execute(select(r.id, r.kind, r.body).order_by(r.id))
    return [Request(number, read(kind), json.loads(body)) for number, kind, body in rows]


def highest_id(connection: Connection) -> int:
    """The highest id of a file or job, 0 when there is none."""
    return max(connection.scalar(select(func.max(t.c.id))) or 0 for t in (FILES, JOBS))


def works(connection: Connection, asked: Select[Any]) -> list[Work]:
    """The files of a query, in its order, with their jobs."""
    files = [file_of(row) for row in _rows(connection, asked)]
    jobs: dict[int, list[JobRecord]] = defaultdict(list)
    for some in chunks([file.id for file in files]):
        mine = select(JOBS).where(JOBS.c.file_id.in_(some))
        for row in _rows(connection, mine.order_by(JOBS.c.file_id, JOBS.c["index"])):
            jobs[row[1]].append(job_of(row))
    return [Work(file, tuple(jobs[file.id])) for file in files]


def _rows(connection: Connection, asked: Select[Any]) -> list[Any]:
    """The driver's own rows: files in work have no time for another object each."""
    with closing(connection.execute(asked).cursor) as cursor:
        return list(cursor.fetchall())


def one(connection: Connection, file_id: int) -> Work | None:
    """One file with its jobs."""
    return next(iter(works(connection, select(FILES).where(F.id == file_id))), None)


def _at(folder: str, path: str) -> Select[Any]:
    directory, name = split(path)
    return _in_directory(select(FILES), folder, directory).where(F.name == name)


def _in_directory(asked: Select[Any], folder: str, directory: bytes) -> Select[Any]:
    return asked.where(F.folder == written(folder), F.directory == directory)
