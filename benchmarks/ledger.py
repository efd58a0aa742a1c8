"""What group commits of the ledger are worth: ratios against single commits and raw sqlite3.

    python -m benchmarks ledger [--files 20000] [--rounds 5]

A change here is one saved record and its row of history. Imports the ledger and core. Invariant:
every figure of one round comes from the same disk, within the same minute.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.rounds import Sample, show, take_turns
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
    begun = [f._replace(state=FileState.WORKING, version=1) for f in made]
    note = (Note(1.0, "begin"),)
    return [SaveFile(a, b, note) for a, b in zip(made, begun, strict=True)]


def rate(count: int, work: Callable[[], None]) -> Sample:
    """Changes per second of wall time, and CPU of each."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    wall, spent = time.perf_counter() - start, time.process_time() - cpu
    return {"changes/s": count / wall, "CPU us/change": spent / count * 1e6}


def grouped(ledger: SqlLedger, changes: list[SaveFile], size: int) -> None:
    for first in range(0, len(changes), size):
        ledger.apply(changes[first : first + size])


def raw(folder: Path, count: int) -> Sample:
    """The same two writes a change, in hand-written SQL on a narrow table."""
    place = folder / "raw.sqlite"
    place.unlink(missing_ok=True)
    connection = sqlite3.connect(place, isolation_level=None)
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


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks ledger", description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        ledger = open_ledger(folder, read_only=False)

        def together() -> Sample:
            changes = saves(ledger, options.files)
            return rate(options.files, lambda: grouped(ledger, changes, GROUP))

        def singly() -> Sample:
            few = saves(ledger, SINGLES)
            return rate(SINGLES, lambda: grouped(ledger, few, 1))

        taking = {
            f"groups of {GROUP}": together,
            "one commit a change": singly,
            "raw sqlite3, narrow table": lambda: raw(folder, options.files),
        }
        found = take_turns(taking, options.rounds)
        ledger.close()
    show("ledger: changes", found, "one commit a change", {"changes/s": ">= 25"})


if __name__ == "__main__":
    main()
