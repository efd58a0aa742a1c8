"""Staging many small files in one go: each by itself, under its token.

Imports ``beneath``, ``faults``, ``rename``, ``staging``, the content digest, model and ports.
Invariant: what is staged is the content that was expected, proved before and after it was read.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from watcher import content
from watcher.adapters.files import staging
from watcher.adapters.files.beneath import CREATE, Held, facts_at, open_file, open_folder, split
from watcher.adapters.files.faults import Told, shown
from watcher.adapters.files.rename import copy_all
from watcher.core.model import Fetched, Fingerprint, printable
from watcher.core.ports import Lone
from watcher.errors import FileChanged, FileError, FileGone, NoSpace

_HELD_AT_MOST = 64  # folders of sources


def stage(output: Path, state: Path, lones: Sequence[Lone]) -> list[Fetched | FileError]:
    """See ``Files.stage_lone``."""
    place = staging.staged(output, state, lones[0].token)
    with Held(staging.home(place)) as folder, _Sources() as sources:
        goal = _Goal(folder, _room(folder, output), output)
        answers: list[Fetched | FileError] = []
        for lone in lones:
            try:
                answers.append(_copied(goal, sources, lone))
            except FileError as error:
                answers.append(error)
    return answers


@dataclass(slots=True)
class _Goal:
    """The open staging folder, and how many bytes are left in it."""

    folder: int
    room: int
    output: Path

    def take(self, lone: Lone) -> None:
        """A file that cannot fit is not begun: it would fill the disk that others still fit on."""
        if lone.expect.size > self.room:
            raise NoSpace(
                f"the disk of the output has {self.room >> 20} MiB free, and this file needs "
                f"{lone.expect.size >> 20}",
                where=shown(self.output),
                fix="free some space; it goes on by itself",
            )
        self.room -= lone.expect.size


class _Sources:
    """The folders that sources lie in, opened once and closed at the end of the block."""

    def __init__(self) -> None:
        self._open: dict[tuple[Path, str], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def at(self, root: Path, directory: str) -> int:
        """A descriptor of a folder; lives until ``at`` is called again."""
        fd = self._open.get((root, directory))
        if fd is None:
            if len(self._open) >= _HELD_AT_MOST:
                self.__exit__(None, None, None)
            names = split(directory) if directory else []
            fd = self._open[root, directory] = open_folder(root, names)
        return fd


def _room(folder: int, output: Path) -> int:
    with Told(shown(output)):
        found = os.fstatvfs(folder)
    return found.f_bavail * found.f_frsize


def _copied(goal: _Goal, sources: _Sources, lone: Lone) -> Fetched:
    split(lone.path)
    directory, _, name = lone.path.rpartition("/")
    there = sources.at(lone.root, directory)
    with Held(open_file(there, name, lone.path)) as source, Told(lone.path):
        _prove(os.fstat(source), lone)
        goal.take(lone)
        with Held(_fresh(goal.folder, lone.token)) as fd:
            size, digest = copy_all(source, fd, min(content.CHUNK, lone.expect.size + 1))
        _prove(facts_at(there, name), lone)
    return Fetched(name, size, digest)


def _prove(found: os.stat_result | None, lone: Lone) -> None:
    if found is None:
        raise FileGone("the file is gone", where=printable(lone.path))
    if Fingerprint(found.st_size, found.st_mtime_ns) != lone.expect:
        raise FileChanged(
            "it changed while it was read; it settles anew", where=printable(lone.path)
        )


def _fresh(folder: int, token: str) -> int:
    """A new file in staging, whatever an earlier try left there."""
    try:
        return os.open(token, CREATE, 0o666, dir_fd=folder)
    except FileExistsError:
        staging.clear_tree(folder, token)
        return os.open(token, CREATE, 0o666, dir_fd=folder)
