"""The file system below given roots.

Imports ``model`` and the errors. Invariant: as the package says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from watcher.core.model import Facts, Fetched, Fingerprint
from watcher.errors import FileError


class Entry(NamedTuple):
    """One file of a folder: what a scan sees of it, and what the ledger remembers for the scan. A
    plain tuple, so that a million of them are compared by the set."""

    name: str
    size: int
    mtime_ns: int

    @property
    def facts(self) -> Facts:
        """The same as facts, without a lease (``Lease.UNKNOWN``), inode and time of change."""
        return Facts(self.size, self.mtime_ns, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Listing:
    """One directory of a scan, or a piece of a large one: then ``more`` pieces follow at once.
    ``error`` says why it could not be read (then nothing else is set).

    ``rows`` are the files, each the plain tuple of an ``Entry``: a million objects of a class of
    ours would keep the garbage collector busy for as long as reading them took.
    ``odd`` are names that are neither regular files nor folders (links, FIFOs, sockets, devices).
    ``mark`` stands for what the directory held when it was read, for ``Files.changed``.
    """

    directory: str
    rows: tuple[tuple[str, int, int], ...] = ()
    folders: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    error: str = ""
    more: bool = False
    mark: int = 0

    @property
    def files(self) -> Iterator[Entry]:
        """The files."""
        return map(Entry._make, self.rows)


@dataclass(frozen=True, slots=True)
class Placement:
    """One staged file to publish under its final name.

    ``replace``: the target may be replaced. ``resumed``: an earlier try may already have published
    it, so an equal content under the name counts as done.
    """

    staged: Path
    target: str
    size: int
    digest: str
    replace: bool = False
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Lone:
    """A file to be staged by itself, under its token instead of in a folder of that name."""

    token: str
    root: Path
    path: str
    expect: Fingerprint


class Files(Protocol):
    """The file system below given roots. No method follows a symbolic link below a root, opens
    anything but regular files, or blocks on a FIFO. Errors: the ``FileError`` family."""

    def identity(self, root: Path) -> tuple[int, int]:
        """(device, inode) of a root folder. Raises ``FolderOffline`` when it is not there."""
        ...

    def look(self, root: Path, path: str) -> Facts | None:
        """Facts with a lease probe; None when gone. Raises ``NotRegular`` for anything else.

        A file that may not be read has facts too, with ``Lease.UNREADABLE``.
        """
        ...

    def walk(
        self,
        root: Path,
        below: str = "",
        *,
        recursive: bool = True,
        skip: Callable[[str], bool] | None = None,
    ) -> Iterator[Listing]:
        """Every directory from ``below`` down, parents first, streamed; a large one in pieces.

        A directory below it for which ``skip`` is true is not entered; its parent still names it.
        """
        ...

    def changed(self, root: Path, marks: Mapping[str, int]) -> Iterator[str]:
        """Which of these directories may hold other names than when a walk gave them their marks,
        or are gone. A file written in place is no other name. A mark of 0 is never trusted.
        Raises ``FolderOffline`` when the root is not there."""
        ...

    def missing(self, root: Path, directory: str, names: Sequence[str]) -> list[str]:
        """Which of these names no file of a directory has now."""
        ...

    def open(self, root: Path, path: str) -> IO[bytes]:
        """A binary stream of a regular file."""
        ...

    def digest(self, root: Path, path: str) -> str:
        """xxh3_128 of the content, in hex."""
        ...

    def find(self, root: Path, directory: str, name: str) -> str | None:
        """The path of a referenced file as it is really spelled: exact first, then without case
        and in NFC; slashes either way; None when absent. Raises ``OutsideRoot`` when the name
        leads out of ``root``."""
        ...

    def staging(self, output: Path, state: Path, token: str) -> Path:
        """An empty private folder for ``token`` on the output's file system (emptied if it was
        there). Raises ``FolderOffline`` when the output root is gone."""
        ...

    def staged(self, output: Path, state: Path, token: str) -> Path:
        """Where ``staging`` put a token's folder, left as it is."""
        ...

    def discard(self, output: Path, state: Path, token: str) -> None:
        """Remove the staging folder of a token; fine when there is none."""
        ...

    def leftovers(self, output: Path, state: Path) -> tuple[str, ...]:
        """The tokens of all staging folders that are there, ours or another watcher's."""
        ...

    def adopt(self, seats: Path, mine: str, living: Sequence[str]) -> None:
        """Take over the staging of dead watchers: in ``seats``, whose folders are named after
        seats, all that is neither ``mine`` nor among ``living`` moves into ``mine``, and no path
        into it leads anywhere any more. Fine when ``seats`` is not there; repeatable after a crash
        at any point. Raises ``FolderOffline`` when the root above it is gone."""
        ...

    def stage_copy(self, root: Path, path: str, into: Path, name: str) -> Fetched:
        """Copy a file into staging, hashing on the way."""
        ...

    def stage_lone(
        self, output: Path, state: Path, lones: Sequence[Lone]
    ) -> list[Fetched | FileError]:
        """Copy files into staging, each as ``staged(output, state, token)`` itself, hashing on the
        way; what stood there is replaced. ``Fetched.name`` is the source's base name.

        One answer a file: an error of one stops no other. ``FileChanged`` when the source is not
        the expected one before and after it was read, ``FileGone`` when it is not there. Raises
        ``FolderOffline`` when the output or state root is gone, ``NoSpace`` when they do not fit.
        """
        ...

    def publish(self, output: Path, placements: Sequence[Placement]) -> None:
        """Give staged files their final names: length, fsync, rename, fsync of the folders.

        The only function that creates a final name. Makes missing parent folders. Raises
        ``TargetExists`` (``where`` is the target) when it may not replace; the ones before it
        may be published by then, so the caller repeats with ``resumed``.
        """
        ...

    def publish_each(
        self, output: Path, units: Sequence[Sequence[Placement]]
    ) -> list[FileError | None]:
        """``publish`` for each unit, with one fsync of each folder for all of them.

        One answer a unit: an error of one stops no other, and all that have none are durable when
        it returns.
        """
        ...

    def archive(self, root: Path, path: str, expect: Fingerprint, into: Path, target: str) -> None:
        """Move a source below ``into``, across file systems if need be, replacing nothing.

        Repeatable: a source gone while the target holds it counts as done. Raises ``FileChanged``
        when the source is not the expected one, ``TargetExists`` when the name is taken,
        ``FileGone`` when neither is there.
        """
        ...

    def remove(self, root: Path, path: str, expect: Fingerprint) -> None:
        """Delete a source if it is the expected one; fine when it is gone."""
        ...

    def prune(self, root: Path, directory: str) -> None:
        """Remove the empty folders from ``directory`` down, itself included; what holds a file
        stays. Fine when there is none."""
        ...

    def write(self, root: Path, target: str, content: bytes, *, replace: bool = True) -> None:
        """Publish a small file of our own (a receipt, an error text) atomically."""
        ...

    def free_name(self, root: Path, target: str) -> str:
        """``target``, or the first ``stem (n).ext`` below ``root`` that is free."""
        ...

    def space(self, root: Path) -> int:
        """Free bytes for us on the root's file system."""
        ...
