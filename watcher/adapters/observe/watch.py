"""The native watch: watchdog's events as hints, and the proof that it still hears.

Imports watchdog and core. Invariant: an event only says "look there"; nothing here reads, decides
or raises in watchdog's threads, and losing every event changes only how soon a scan finds a file.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import ObservedWatch

from watcher.adapters.observe.mounts import file_system, is_remote, watch_limit
from watcher.adapters.observe.tree import Observer, count_folders
from watcher.core.settings import Folder
from watcher.core.settle import Hint

# Never opened or closed-without-write (our own reads make those), nor modified (a flood while a
# big file is written, and the mask that made watchdog miss 99 of 100 files on 10,000 folders).
EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileMovedEvent,
    FileCreatedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
_HINTS: dict[type[FileSystemEvent], Hint] = {
    FileClosedEvent: Hint.CLOSED,
    FileMovedEvent: Hint.MOVED,
    FileCreatedEvent: Hint.CREATED,
}
_LOGGER = "watchdog.observers.inotify_c"
_SILENT = logging.NullHandler()
SHARE = 0.8  # of the watch limit that we take, since other programs need some


@dataclass(frozen=True, slots=True)
class Look:
    """Look at a path of a folder; ``hint`` is None for a directory: scan it (``""``: all)."""

    folder: str
    path: str
    hint: Hint | None = None


@dataclass(frozen=True, slots=True)
class Watching:
    """How a root is watched. ``reason`` says why not natively; empty when as configured."""

    native: bool
    reason: str = ""


@dataclass(slots=True)
class _Armed:
    folder: Folder
    watch: ObservedWatch
    identity: tuple[int, int]
    folders: int


class Observe:
    """One watchdog observer for all roots. ``tell`` gets the hints, from any thread."""

    def __init__(self, tell: Callable[[Look], None], *, limit: int | None = None) -> None:
        self._tell = tell
        self._limit = watch_limit() if limit is None else limit
        self._armed: dict[str, _Armed] = {}
        self._observer: Observer | None = None
        self._lock = threading.RLock()
        self._overflow = _Overflow(self._lost)

    def start(self) -> None:
        """Make ready; cheap until the first native watch."""
        # each racing directory raises one with the whole watch table in its text
        warnings.filterwarnings(
            "ignore", category=RuntimeWarning, module=r"watchdog\.observers\.inotify"
        )
        # what it has to say beside that is no JSON line, and `hears` finds out by itself
        logging.getLogger("watchdog").addHandler(_SILENT)
        logger = logging.getLogger(_LOGGER)
        logger.setLevel(logging.WARNING)  # whatever the program's level: lost events are told there
        logger.addHandler(self._overflow)

    def stop(self) -> None:
        """End all threads; hints stop."""
        logging.getLogger(_LOGGER).removeHandler(self._overflow)
        with self._lock:
            self._armed.clear()
            self._end()

    def add(self, folder: Folder) -> Watching:
        """Watch a root as its folder asks, or say why only scans will do."""
        with self._lock:
            self.remove(folder.name)
            if folder.watch == "polling":
                return Watching(native=False)
            room = self._room()
            folders = count_folders(folder.input, enough=room + 1) if folder.recursive else 1
            reason = self._objection(folder, fits=folders <= room)
            return Watching(native=False, reason=reason) if reason else self._arm(folder, folders)

    def remove(self, name: str) -> None:
        """Stop watching a root; fine when it is not watched."""
        with self._lock:
            armed = self._armed.pop(name, None)
            if armed is not None and self._observer is not None:
                self._unschedule(self._observer, armed.watch)

    def hears(self, name: str) -> bool:
        """Whether a watch is what ``add`` made it; if not, ``add`` the folder again, then scan."""
        with self._lock:
            armed = self._armed.get(name)
            if armed is None:
                return True
            if not self._threads_alive():
                self._end()
            return self._hears(armed)

    def covers(self, name: str, folders: int) -> bool:
        """Whether there are watches enough for a root that has grown to so many folders; watchdog
        says nothing when the kernel refuses one. If not, ``add`` the folder again."""
        with self._lock:
            armed = self._armed.get(name)
            if armed is None or not armed.folder.recursive:
                return True
            room = self._room() + armed.folders
            armed.folders = folders
            return folders <= room

    # ------------------------------------------------------------ arming
    def _room(self) -> int:
        """How many more folders may be watched."""
        taken = sum(armed.folders for armed in self._armed.values())
        limit = self._limit if self._limit is not None else sys.maxsize
        return max(0, int(limit * SHARE) - taken)

    def _objection(self, folder: Folder, *, fits: bool) -> str:
        kind = file_system(folder.input)
        if folder.watch == "auto" and is_remote(kind):
            return f"{kind} does not report what other machines write"
        if fits:
            return ""
        return (
            f"more folders than inotify watches (limit {self._limit}): "
            "raise it with sysctl fs.inotify.max_user_watches=1048576"
        )

    def _arm(self, folder: Folder, folders: int) -> Watching:
        try:
            identity = _identity(folder.input)
            observer = self._running()
            watch = observer.schedule(
                _Relay(folder.name, folder.input, self._tell),
                str(folder.input),
                recursive=folder.recursive,
                event_filter=EVENTS,
            )
        except OSError as error:
            return Watching(native=False, reason=_why(error))
        self._armed[folder.name] = _Armed(folder, watch, identity, folders)
        return Watching(native=True)

    def _running(self) -> Observer:
        if self._observer is None:
            observer = Observer()
            observer.start()
            self._observer = observer
        return self._observer

    def _end(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join(timeout=5)

    @staticmethod
    def _unschedule(observer: Observer, watch: ObservedWatch) -> None:
        try:
            observer.unschedule(watch)
        except (KeyError, OSError):
            # it ended by itself when its root was deleted
            return

    # ------------------------------------------------------------ liveness
    def _threads_alive(self) -> bool:
        observer = self._observer
        if observer is None or not observer.is_alive():
            return False
        # watchdog tells nobody that its reader died; it is only reachable through the observer
        reader = observer._inotify_fd  # noqa: SLF001
        return reader.is_alive()

    def _hears(self, armed: _Armed) -> bool:
        observer = self._observer
        emitters = observer.emitters if observer is not None else set()
        alive = any(e.watch == armed.watch and e.is_alive() for e in emitters)
        try:
            return alive and _identity(armed.folder.input) == armed.identity
        except OSError:
            return False

    def _lost(self) -> None:
        """The kernel threw events away: everything must be scanned."""
        for name in tuple(self._armed):
            self._tell(Look(name, ""))


class _Relay(FileSystemEventHandler):
    """Turns one root's events into hints. Never raises: that would end watchdog's dispatcher."""

    def __init__(self, folder: str, root: Path, tell: Callable[[Look], None]) -> None:
        self._folder = folder
        self._prefix = os.path.join(os.fspath(root), "")  # noqa: PTH118  (Path drops the slash)
        self._tell = tell

    def dispatch(self, event: FileSystemEvent) -> None:
        path = os.fsdecode(event.dest_path or event.src_path)
        if path.startswith(self._prefix):
            self._tell(Look(self._folder, path[len(self._prefix) :], _HINTS.get(type(event))))


class _Overflow(logging.Handler):
    """Hears watchdog's only word about lost events: a log line."""

    def __init__(self, lost: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._lost = lost

    def emit(self, record: logging.LogRecord) -> None:
        if "queue overflowed" in record.getMessage():
            self._lost()


def _identity(root: Path) -> tuple[int, int]:
    found = root.stat()
    return found.st_dev, found.st_ino


def _why(error: OSError) -> str:
    words = error.strerror or str(error)
    if "instance limit" in words:
        return f"{words}: raise it with sysctl fs.inotify.max_user_instances=1024"
    if "watch limit" in words:
        return f"{words}: raise it with sysctl fs.inotify.max_user_watches=1048576"
    return words
