"""Receipts in the output folder: written last, and never over anything but another receipt.

Imports ``core`` and ``world``. Invariant: what a receipt replaces is a receipt of the same output
(or, where a job made none, of the same source).
"""

from __future__ import annotations

import json
from typing import Any

from watcher.core.effects import Publish
from watcher.core.settings import Folder
from watcher.daemon.world import World
from watcher.errors import FileError, FileGone

_LONGEST = 1 << 20


def write(world: World, folder: Folder, effect: Publish) -> None:
    """Write the receipts of a file that has just got its final names.

    Raises:
        FileError: the output folder refuses.
    """
    for target, text in effect.receipts:
        free = target
        if not _replaceable(world, folder, target, text):
            free = world.files.free_name(folder.output, target)
        world.files.write(folder.output, free, text.encode())


def _replaceable(world: World, folder: Folder, target: str, text: str) -> bool:
    """Whether nothing lies there, or an earlier receipt of the same."""
    try:
        with world.files.open(folder.output, target) as stream:
            there = stream.read(_LONGEST)
    except FileGone:
        return True
    except FileError:
        return False  # a folder, a link: whatever it is, it is none of ours
    try:
        return _of(json.loads(there)) == _of(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _of(receipt: Any) -> tuple[str, str]:
    """What a receipt is about."""
    if receipt["output"]:
        return "output", receipt["output"]
    return receipt["source"]["path"], receipt["job"]["label"]
