"""What people write first: watchdog, a thread pool, ``shutil.copy``. ``naive.py IN OUT``.

Loses what it was not told of, and copies what is still being written.
"""

from __future__ import annotations

import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

SOURCE, TARGET = Path(sys.argv[1]), Path(sys.argv[2])


class Handler(FileSystemEventHandler):
    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool

    def on_closed(self, event: FileSystemEvent) -> None:
        self.pool.submit(copy, Path(str(event.src_path)))


def copy(path: Path) -> None:
    target = TARGET / path.relative_to(SOURCE)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


with ThreadPoolExecutor(4) as pool:
    observer = Observer()
    observer.schedule(Handler(pool), str(SOURCE), recursive=True)
    observer.start()
    while True:
        time.sleep(1)
