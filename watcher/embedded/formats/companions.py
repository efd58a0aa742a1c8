"""The files beside a model that it names: materials, textures, buffers.

Imports the standard library and ``watcher.embedded.script``. Invariant: nothing outside the folder
of the input is opened, whatever a model says and whatever links lie there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

Warn = Callable[[str], None]
LARGEST = 512 << 20


@dataclass
class Companions:
    """Looks names up inside ``folder``; what it cannot give, it tells ``warn`` once.

    Attributes:
        folder: the folder of the input file.
        warn: told of each missing or refused name.
        found: what was read so far, by the name as the model writes it.
    """

    folder: Path
    warn: Warn
    found: dict[str, bytes] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def find(self, name: str) -> Path | None:
        """The regular file that ``name`` means, or None when missing or outside the folder."""
        root = self.folder.resolve()
        for candidate in _spellings(name):
            path = (root / candidate).resolve()
            if path.is_relative_to(root) and path.is_file() and path.stat().st_size <= LARGEST:
                return path
        return None

    def read(self, name: str, what: str) -> bytes | None:
        """The bytes of ``name``; None, and a warning that calls it ``what``, when not to be had."""
        if name not in self.found:
            path = self.find(name)
            if path is None:
                self._tell(name, what)
                return None
            self.found[name] = path.read_bytes()
        return self.found[name]

    def _tell(self, name: str, what: str) -> None:
        if name in self._told:
            return
        self._told.add(name)
        if leads_outside(name):
            self.warn(f"{what} {name!r} leads outside the input's folder and was not read")
        else:
            self.warn(f"{what} {name!r} is missing beside the input")


def leads_outside(name: str) -> bool:
    """Whether a reference is absolute, a URL, or climbs with ``..``."""
    parts = unquote(name).replace("\\", "/").split("/")
    return ".." in parts or not parts[0] or ":" in parts[0]


def _spellings(name: str) -> list[str]:
    """The ways to read a reference: as it stands, percent-decoded, with Windows separators."""
    plain = [name, unquote(name)]
    slashed = [text.replace("\\", "/").removeprefix("./") for text in plain]
    usable = [text for text in dict.fromkeys(plain + slashed) if text and "\0" not in text]
    return [text for text in usable if not leads_outside(text)]
