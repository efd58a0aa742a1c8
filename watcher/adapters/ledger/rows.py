"""The shape of records in the tables: record to row and row to record.

Imports core's model and the standard library. Invariant: ``file_of(file_row(f)) == f``, and the
same for jobs, for every record that can be made from names on a disk and JSON. Text is kept as the
inside of an ASCII JSON string, so ordinary words stay readable and surrogates and NUL pass.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from watcher.core.model import (
    FileRecord,
    FileState,
    Fingerprint,
    JobRecord,
    JobState,
    Output,
    Part,
)

Row = tuple[Any, ...]
FINAL = frozenset({FileState.DELIVERED, FileState.ARCHIVED, FileState.FAILED})
_dumps = json.JSONEncoder(separators=(",", ":")).encode
_FILE_STATES = {state.value: state for state in FileState}
_JOB_STATES = {state.value: state for state in JobState}


def is_final(state: FileState, *, disposed: bool) -> bool:
    """Whether nothing is in work for a file any more."""
    return disposed and state in FINAL


def is_counted(file: FileRecord) -> bool:
    """Whether a record belongs to the tallies: live, or in a last state."""
    return file.live or file.state in FINAL


def written(text: str) -> str:
    """Text as it is stored."""
    if text.isascii() and text.isprintable() and "\\" not in text and '"' not in text:
        return text
    return _dumps(text)[1:-1]


def read(text: str) -> str:
    """Stored text as it was."""
    value: str = json.loads(f'"{text}"') if "\\" in text else text
    return value


encoded = os.fsencode
decoded = os.fsdecode


def split(path: str) -> tuple[bytes, bytes]:
    """Directory and name of a path, as bytes."""
    directory, _, name = encoded(path).rpartition(b"/")
    return directory, name


def joined(directory: bytes, name: bytes) -> str:
    """The path of a directory and a name."""
    return decoded(directory + b"/" + name if directory else name)


def _words(words: tuple[str, ...]) -> str:
    return _dumps(words) if words else ""


def _as_words(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text else ()


def _parts(parts: tuple[Part, ...]) -> str:
    return (
        _dumps([(p.path, p.name, p.print.size, p.print.mtime_ns) for p in parts]) if parts else ""
    )


def _as_parts(text: str) -> tuple[Part, ...]:
    if not text:
        return ()
    return tuple(Part(path, name, Fingerprint(s, m)) for path, name, s, m in json.loads(text))


def _outputs(outputs: tuple[Output, ...]) -> str:
    if not outputs:
        return ""
    return _dumps([(o.name, o.size, o.digest, o.target, o.published) for o in outputs])


def _as_outputs(text: str) -> tuple[Output, ...]:
    return tuple(Output(*fields) for fields in json.loads(text)) if text else ()


def file_move(f: FileRecord) -> Row:
    """What changes with every step: ``state`` to ``version`` in the table's order."""
    return (
        str(f.state),
        written(f.reason) if f.reason else "",
        f.digest,
        _words(f.warnings),
        int(f.disposed),
        written(f.disposal) if f.disposal else "",
        f.attempt,
        f.next_at,
        f.accepted_at,
        f.changed_at,
        f.version,
    )


def file_rest(f: FileRecord) -> Row:
    """What changes seldom and stands in indexes: ``rule`` to ``params``."""
    size, mtime_ns = f.print.size, f.print.mtime_ns
    rest = (written(f.rule), size, mtime_ns, _parts(f.parts), f.priority, int(f.live), f.arrival)
    return (*rest, _dumps(dict(f.params)) if f.params else "")


def same_rest(a: FileRecord, b: FileRecord) -> bool:
    """Whether two versions of a record differ in what ``file_move`` gives alone."""
    return (
        a.live == b.live
        and a.arrival == b.arrival
        and a.priority == b.priority
        and a.rule == b.rule
        and a.print == b.print
        and a.parts == b.parts
        and a.params == b.params
    )


def file_row(f: FileRecord) -> Row:
    """A whole row of ``files``."""
    return (f.id, written(f.folder), *split(f.path), *file_move(f), *file_rest(f), f.holder)


def file_of(row: Sequence[Any]) -> FileRecord:
    """The record of a row of ``files``."""
    return FileRecord(
        id=row[0],
        folder=read(row[1]),
        path=joined(row[2], row[3]),
        state=_FILE_STATES[row[4]],
        reason=read(row[5]),
        digest=row[6],
        warnings=_as_words(row[7]),
        disposed=bool(row[8]),
        disposal=read(row[9]),
        attempt=row[10],
        next_at=row[11],
        accepted_at=row[12],
        changed_at=row[13],
        version=row[14],
        rule=read(row[15]),
        print=Fingerprint(row[16], row[17]),
        parts=_as_parts(row[18]),
        priority=row[19],
        live=bool(row[20]),
        arrival=row[21],
        params=json.loads(row[22]) if row[22] else {},
        holder=row[23],
    )


def job_move(j: JobRecord) -> Row:
    """What changes with every step of a job: ``state`` to ``version``."""
    return (
        str(j.state),
        written(j.remote) if j.remote else "",
        j.attempt,
        j.next_at,
        j.submitted_at,
        j.changed_at,
        j.progress,
        written(j.step) if j.step else "",
        written(j.error) if j.error else "",
        _outputs(j.outputs),
        _words(j.warnings),
        "" if j.result is None else _dumps(j.result),
        j.version,
    )


def job_row(j: JobRecord) -> Row:
    """A whole row of ``jobs``."""
    names = (written(j.label), written(j.scheduler))
    return (j.id, j.file_id, j.index, *names, *job_move(j), j.key)


def job_of(row: Sequence[Any]) -> JobRecord:
    """The record of a row of ``jobs``."""
    return JobRecord(
        id=row[0],
        file_id=row[1],
        index=row[2],
        label=read(row[3]),
        scheduler=read(row[4]),
        state=_JOB_STATES[row[5]],
        remote=read(row[6]),
        attempt=row[7],
        next_at=row[8],
        submitted_at=row[9],
        changed_at=row[10],
        progress=row[11],
        step=read(row[12]),
        error=read(row[13]),
        outputs=_as_outputs(row[14]),
        warnings=_as_words(row[15]),
        result=json.loads(row[16]) if row[16] else None,
        version=row[17],
        key=row[18],
    )
