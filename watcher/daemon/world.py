"""All that effects act on: settings, schedulers, files.

Imports ``core``. Invariant: a file is always seen with the settings it was accepted under.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watcher.core.epochs import Epoch, settings_of
from watcher.core.model import FileRecord
from watcher.core.ports import Backend, Files
from watcher.core.settings import Folder, Rule, Settings
from watcher.daemon.seat import home as seat_home


@dataclass(frozen=True, slots=True)
class World:
    """All that effects act on."""

    settings: Settings
    backends: Mapping[str, Backend]
    files: Files
    former: Sequence[Epoch] = ()
    seat: int = 0

    def home(self, folder: Folder) -> Path:
        """Where staging is kept: the state folder, or where watchers share a ledger, the seat's own
        folder in the output, which whoever takes over can take away."""
        if not self.seat:
            return self.settings.state
        place = seat_home(folder.output, self.seat)
        with suppress(OSError):
            # not its parents: an output that is gone stays gone
            place.parent.mkdir(mode=0o700, exist_ok=True)
            place.mkdir(mode=0o700, exist_ok=True)
        return place

    def folder(self, name: str, file_id: int) -> Folder:
        """A folder by its name, as a file was accepted under it."""
        settings = settings_of(self.settings, self.former, file_id)
        return next(folder for folder in settings.folders if folder.name == name)

    def rule(self, file: FileRecord) -> Rule:
        """The rule that took a file."""
        rules = self.folder(file.folder, file.id).rules
        return next(rule for rule in rules if rule.name == file.rule)
