"""What group commits of the ledger are worth: ratios against single commits and raw sqlite3.

Run with ``python -m benchmarks.ledger [FILES] [FOLDER]``. A change here is one saved record and its
row of history. Imports the ledger and core. Invariant: every figure of one run comes from the same
disk, within the same minute.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from watcher.adapters.ledger import SqlLedger, open_ledger
from watcher.core.model import FileRecord, FileState, Fingerprint
from watcher.core.ports import NewFile, Note, SaveFile

GROUP = 1000
SINGLES = 300  # enough to see the price of one fsync each


def files(ledger: SqlLedger, count: int) -> list[FileRecord]:
    return [
        FileRecord(
            id=number,
            folder="in",
            path=f"d{number % 100}/{number}.step",
            arrival=1,
            state=FileState.ACCEPTED,
            rule="cad",
            print=Fingerprint(1, 1),
        )
        for number in ledger.new_ids(count)
    ]


def saves(ledger: SqlLedger, count: int) -> list[SaveFile]:
    """Accept so many files, and give the changes that begin their work."""
    made = files(ledger, count)
    ledger.apply(NewFile(file, ()) for file in made)
    begun = [replace(f, state=FileState.WORKING, version=1) for f in made]
    note = (Note(1.0, "begin"),)
    return [SaveFile(a, b, note) for a, b in zip(made, begun, strict=True)]


def rate(count: int, work: Callable[[], None]) -> float:
    """Changes per second of wall time."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def grouped(ledger: SqlLedger, changes: list[SaveFile], size: int) -> None:
    for first in range(0, len(changes), size):
        ledger.apply(changes[first : first + size])


def raw(folder: Path, count: int) -> float:
    """The same two writes a change, in hand-written SQL on a narrow table."""
    connection = sqlite3.connect(folder / "raw.sqlite", isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE f (id INTEGER PRIMARY KEY, path TEXT, state TEXT, version INTEGER);"
        "CREATE TABLE h (id INTEGER PRIMARY KEY, file INTEGER, at REAL, event TEXT);"
    )
    rows = [(n, f"d{n % 100}/{n}.step") for n in range(count)]
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO f VALUES (?, ?, 'accepted', 0)", rows)
    connection.execute("COMMIT")

    def work() -> None:
        for first in range(0, count, GROUP):
            some = [(n,) for n in range(first, min(first + GROUP, count))]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "UPDATE f SET state = 'working', version = 1 WHERE id = ? AND version = 0", some
            )
            connection.executemany("INSERT INTO h (file, at, event) VALUES (?, 1.0, 'b')", some)
            connection.execute("COMMIT")

    found = rate(count, work)
    connection.close()
    return found


def main(count: int, folder: Path) -> None:
    ledger = open_ledger(folder, read_only=False)
    changes, few = saves(ledger, count), saves(ledger, SINGLES)
    cpu = time.process_time()
    group = rate(count, lambda: grouped(ledger, changes, GROUP))
    cpu = (time.process_time() - cpu) / count
    single = rate(SINGLES, lambda: grouped(ledger, few, 1))
    ledger.close()
    print(f"groups of {GROUP} against one commit a change: {group / single:.1f}x")
    floor = raw(folder, count)
    print(f"groups of {GROUP} against raw sqlite3 on a narrow table: {group / floor:.2f}x")
    print(f"CPU of a change against that of opening a file: {cpu / opening(folder):.1f}x")


def opening(folder: Path) -> float:
    """CPU seconds of opening and closing a file, a yardstick of the machine."""
    place, rounds = folder / "raw.sqlite", 20_000
    start = time.process_time()
    for _ in range(rounds):
        place.open("rb").close()
    return (time.process_time() - start) / rounds


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as place:  # noqa: PLR2004  (the second argument)
        main(number, Path(place))
