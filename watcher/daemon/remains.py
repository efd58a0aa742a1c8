"""What must be there before a daemon begins, and what an earlier life of it left behind.

Imports core and ``effects`` (whose staging it is). Invariant: nothing of a file that is still in
work is touched.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from watcher.core.lifecycle import UNFINISHED
from watcher.core.ports import Files, Ledger
from watcher.core.settings import Settings
from watcher.daemon.effects import file_of
from watcher.errors import WatcherError


def make_folders(settings: Settings) -> None:
    """Make the folders that we write into; an input is its users' and is waited for."""
    for folder in settings.folders:
        for path in (folder.output, folder.failed, folder.done):
            if isinstance(path, Path):
                with suppress(OSError):
                    path.mkdir(parents=True, exist_ok=True)


def sweep(settings: Settings, files: Files, ledger: Ledger) -> None:
    """Remove the staging folders that a killed daemon left of files that came to their end."""
    for folder in settings.folders:
        with suppress(WatcherError):
            for name in files.leftovers(folder.output, settings.state):
                work = ledger.work(file_of(name) or 0)
                if work is not None and work.file.state not in UNFINISHED:
                    files.discard(folder.output, settings.state, name)
