"""The least that a durable copier must do, and no more. ``durable.py IN OUT``.

It is told of closed files, records a group of them, copies, fsyncs and renames each, fsyncs the
folder, and records that they are delivered: two commits a group. It has no rules, scans or errors.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import sys
from pathlib import Path

from watchdog.events import FileClosedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

SOURCE, TARGET = Path(sys.argv[1]), Path(sys.argv[2])
GROUP = 500
paths: queue.SimpleQueue[str] = queue.SimpleQueue()


class Handler(FileSystemEventHandler):
    def on_closed(self, event: FileSystemEvent) -> None:
        paths.put(str(event.src_path))


def group() -> list[str]:
    found = [paths.get()]
    while len(found) < GROUP:
        try:
            found.append(paths.get_nowait())
        except queue.Empty:
            break
    return found


def main() -> None:
    ledger = sqlite3.connect(TARGET.parent / "durable.sqlite", isolation_level=None)
    ledger.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE files (path TEXT PRIMARY KEY, state TEXT)"
    )
    observer = Observer()
    observer.schedule(Handler(), str(SOURCE), recursive=True, event_filter=[FileClosedEvent])
    observer.start()
    folder = os.open(TARGET, os.O_RDONLY)
    while True:
        some = group()
        ledger.execute("BEGIN")
        ledger.executemany(
            "INSERT OR REPLACE INTO files VALUES (?, 'accepted')", [(p,) for p in some]
        )
        ledger.execute("COMMIT")
        for path in some:
            name = os.path.basename(path)  # noqa: PTH119  (measured)
            with open(path, "rb") as source, open(f"{TARGET}/.{name}", "wb") as target:  # noqa: PTH123
                target.write(source.read())
                target.flush()
                os.fsync(target.fileno())
            os.rename(f"{TARGET}/.{name}", f"{TARGET}/{name}")  # noqa: PTH104
        os.fsync(folder)
        ledger.execute("BEGIN")
        ledger.executemany(
            "UPDATE files SET state = 'delivered' WHERE path = ?", [(p,) for p in some]
        )
        ledger.execute("COMMIT")


main()
