"""All that effects act on: settings, schedulers, files.

Imports ``core``. Invariant: a file is always seen with the settings it was accepted under.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watcher.core.epochs import Epoch, settings_of
from watcher.core.model import FileRecord
from watcher.core.ports import Backend, Files
from watcher.core.settings import Folder, Rule, Settings


@dataclass(frozen=True, slots=True)
class World:
    """All that effects act on."""

    settings: Settings
    backends: Mapping[str, Backend]
    files: Files
    former: Sequence[Epoch] = ()

    def folder(self, name: str, file_id: int) -> Folder:
        """A folder by its name, as a file was accepted under it."""
        settings = settings_of(self.settings, self.former, file_id)
        return next(folder for folder in settings.folders if folder.name == name)

    def rule(self, file: FileRecord) -> Rule:
        """The rule that took a file."""
        rules = self.folder(file.folder, file.id).rules
        return next(rule for rule in rules if rule.name == file.rule)
