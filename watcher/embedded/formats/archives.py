"""Zip-based formats, looked at before anything is unpacked.

Imports the standard library and ``watcher.embedded.script``. Invariant: what passes here unpacks to
a bounded size and names nothing outside itself.
"""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

from watcher.embedded.formats.checks import AGAIN
from watcher.embedded.script import JobFailure

LARGEST = 2 << 30
RATIO = 200
SMALL = 16 << 20


def check(path: Path) -> None:
    """Refuse an archive that is damaged, unpacks out of proportion, or names files elsewhere.

    Raises:
        JobFailure: with the entry and the numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            for entry in entries:
                _name(entry.filename, path.name)
            _proportion(entries, path)
            for entry in entries:
                _no_entities(archive, entry, path.name)
    except (zipfile.BadZipFile, EOFError) as error:
        raise JobFailure(
            f"the copy seems cut short or damaged: its ZIP directory cannot be read ({error})",
            where=path.name,
            fix=AGAIN,
        ) from error


def _name(entry: str, where: str) -> None:
    parts = PurePosixPath(entry.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts:
        raise JobFailure(f"the archive entry {entry!r} leads outside the archive", where=where)


def _proportion(entries: list[zipfile.ZipInfo], path: Path) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    packed = max(path.stat().st_size, 1)
    if unpacked > LARGEST or (unpacked > SMALL and unpacked > RATIO * packed):
        raise JobFailure(
            f"it would unpack from {packed} to {unpacked} bytes, out of all proportion",
            where=path.name,
            fix="save the model again without compression tricks",
        )


def _no_entities(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> None:
    if entry.filename.lower().endswith((".model", ".rels", ".xml", ".3dxml", ".3drep")):
        with archive.open(entry) as stream:
            refuse_entities(stream.read(1 << 16), where)


def refuse_entities(head: bytes, where: str) -> None:
    """Refuse XML that declares entities of its own: no model needs them, bombs do."""
    text = head.replace(b"\0", b"")
    if b"<!ENTITY" in text:
        raise JobFailure("its XML declares entities, which no model needs", where=where)
