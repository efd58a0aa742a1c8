"""Folders of jobs that are over, emptied and kept for the next ones.

Imports the standard library. Invariant: a kept folder holds no file of the job it was of that
anybody else has under another name, and nothing but what the next job writes over.

To make and delete the three folders of a small job costs as much as all its other steps at the
scheduler together; to rename one and unlink two files costs a tenth of that.
"""
# strings: with small files, pathlib costs more than the calls themselves
# ruff: noqa: PTH104, PTH108

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

_MOST = 64
_WRITTEN_OVER = {"spec.json", "log.1"}
_EMPTIED = {"inputs", "outputs"}


class Spares:
    """The kept folders, for any thread."""

    def __init__(self) -> None:
        self._kept: deque[str] = deque()

    def take(self) -> Path | None:
        """A folder with an empty ``inputs`` and ``outputs.1``, if there is one."""
        try:
            return Path(self._kept.pop())
        except IndexError:
            return None

    def keep(self, folder: str) -> bool:
        """Empty a folder and keep it; False when there are enough, or when it holds more than a
        plain job leaves. Raises ``OSError``."""
        if len(self._kept) >= _MOST or not _emptied(folder):
            return False
        self._kept.append(folder)
        return True


def _emptied(folder: str) -> bool:
    with os.scandir(folder) as entries:
        found = {entry.name: entry.stat(follow_symlinks=False).st_nlink for entry in entries}
    if not found.keys() >= _EMPTIED or not found.keys() <= _EMPTIED | _WRITTEN_OVER:
        return False
    if any(found.get(name, 1) > 1 for name in _WRITTEN_OVER):
        return False
    for name in _EMPTIED:
        with os.scandir(f"{folder}/{name}") as entries:
            files = list(entries)
        if any(entry.is_dir(follow_symlinks=False) for entry in files):
            return False
        for entry in files:
            os.unlink(entry.path)
    os.rename(f"{folder}/outputs", f"{folder}/outputs.1")
    return True
