"""``status_file: true``: a text in the drop folder that tells artists what became of their files.

Imports ``core``; sees the ledger and the files as ports. Invariant: the engine never waits for it,
it is written at most once a second, and what cannot be written is left for the next change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from watcher.core.delivery import stamp
from watcher.core.model import FileState, Work, printable
from watcher.core.ports import Change, Clock, Files, Ledger, NewFile, SaveFile
from watcher.core.rules import STATUS_FILE
from watcher.core.settings import Folder, Settings
from watcher.errors import WatcherError

EVERY = 1.0  # seconds between two writings at least
SHOWN = 200  # files, newest first
_HEADINGS = (
    ("Waiting or in work", (FileState.ACCEPTED, FileState.WORKING, FileState.HELD)),
    ("Failed", (FileState.FAILED,)),
    ("Delivered", (FileState.DELIVERED, FileState.ARCHIVED)),
)


class StatusFiles:
    """See the module; ``changed`` is called by the engine, the rest happens in a thread."""

    def __init__(
        self, settings: Callable[[], Settings], ledger: Ledger, files: Files, clock: Clock
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._files = files
        self._clock = clock
        self._due: set[str] = set()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def changed(self, changes: Sequence[Change]) -> None:
        """Something was recorded."""
        files = [one for one in changes if isinstance(one, NewFile | SaveFile)]
        touched = {(one.file if isinstance(one, NewFile) else one.after).folder for one in files}
        wanted = {one.name for one in self._settings().folders if one.status_file}
        if touched & wanted:
            with self._wake:
                self._due |= touched & wanted
                self._wake.notify()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="watcher-status", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Write what is due a last time, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._due or self._stopping)
                due, self._due = self._due, set()
            for folder in self._settings().folders:
                if folder.name in due:
                    self._write(folder)
            with self._wake:
                if self._stopping and not self._due:
                    return
                self._wake.wait_for(lambda: self._stopping, timeout=EVERY)

    def _write(self, folder: Folder) -> None:
        with suppress(WatcherError):  # the folder is offline, read-only or full: others tell of it
            works = self._ledger.files(folder=folder.name, limit=SHOWN)
            text = status(folder, works, self._clock.now())
            self._files.write(folder.input, STATUS_FILE, text.encode("utf-8", "backslashreplace"))


def status(folder: Folder, works: Sequence[Work], now: float) -> str:
    """The text for people who have no access to the server."""
    newest: dict[str, Work] = {}
    for work in works:
        newest.setdefault(work.file.path, work)
    lines = [f"What became of the files in this folder, {stamp(now)}", ""]
    for heading, states in _HEADINGS:
        shown = [work for work in newest.values() if work.file.state in states]
        lines += [heading, *(f"  {_line(folder, work)}" for work in shown), ""] if shown else []
    lines.append("Written by watcher, which renews it by itself; deleting it does no harm.")
    return "\n".join(lines) + "\n"


def _line(folder: Folder, work: Work) -> str:
    file = work.file
    name = printable(file.path)
    if file.state is FileState.FAILED:
        return f"{name}: {printable(file.reason)} (it stands in {folder.failed.name})"
    if file.state in (FileState.DELIVERED, FileState.ARCHIVED):
        made = [printable(one.target) for job in work.jobs for one in job.outputs if one.target]
        return f"{name}: {stamp(file.changed_at)}" + (f" -> {', '.join(made)}" if made else "")
    why = f", {printable(file.reason)}" if file.reason else ""
    return f"{name}: {file.state}{why}"
