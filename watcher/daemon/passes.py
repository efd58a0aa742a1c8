"""Passes over one root: each directory that a walk comes by is compared with the ledger.

Imports ``core``, the comparison and the sightings. Invariant: a full pass finds everything; a quick
one leaves out only directories that hold the same names as when all in them was known. Absence is
only noted: whoever asked for the pass concludes from it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from watcher.core import bundles, companions, rules
from watcher.core.ports import Files, Ledger, Listing
from watcher.core.settings import Folder
from watcher.daemon.compare import Comparison
from watcher.daemon.sightings import Absent, Refusal, Sighting
from watcher.errors import FileError, FolderOffline

GROUP = 500
PAGE = 5000  # names looked for at once
SMALL = 100  # directories of which the ledger is asked at once,
ROWS = 2000  # or as many as have so many files


@dataclass(frozen=True, slots=True)
class Found:
    """New or changed files of one directory; ``silent`` when a periodic scan found them."""

    folder: str
    paths: tuple[str, ...]
    silent: bool


@dataclass(frozen=True, slots=True)
class Receivers:
    """``found`` gets new or changed files, and may block to slow the walk down; ``deliver`` gets
    what the engine should know."""

    found: Callable[[Found], None]
    deliver: Callable[[list[Sighting]], None]


@dataclass(slots=True)
class Seen:
    """What one pass came by: how many files, how many of them known.

    ``marks`` are the directories, each with what ``Files.changed`` is to be asked with, or 0 where
    not all was known. ``failed`` could not be read, and why; ``lacking`` had not all the files that
    are known.
    """

    ended: bool = False  # came to the end of the tree
    failed: dict[str, str] = field(default_factory=dict)
    files: int = 0
    known: int = 0
    marks: dict[str, int] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)

    def knows(self, directory: str) -> bool:
        """Whether the walk came by a directory, or could not see whether it is there."""
        if directory in self.marks:
            return True
        while directory:
            directory = posixpath.dirname(directory)
            if directory in self.failed:
                return True
        return False


class Passes:
    """The passes over one root, and what they leave for the next quick one."""

    def __init__(self, folder: Folder, files: Files, ledger: Ledger, receivers: Receivers) -> None:
        self.folder = folder
        self._files = files
        self._ledger = ledger
        self._receivers = receivers
        self._marks: dict[str, int] = {}
        self._told: set[str] = set()
        self._stopping = False

    def stop(self) -> None:
        """End soon, also in the middle of a walk."""
        self._stopping = True

    def full(self, below: str = "", *, silent: bool) -> Seen:
        """Every directory from ``below`` down."""
        seen = Seen()
        seen.ended = self._skipped(below) or self._walked(below, seen, silent=silent)
        if seen.ended and not below:
            self._marks = seen.marks
        elif seen.ended:
            self._marks |= seen.marks
        return seen

    def quick(self, *, silent: bool) -> Seen:
        """The directories that hold other names than in the pass before, or held what was not
        known, and those that are new in them."""
        seen, before = Seen(), self._marks
        changed = list(self._files.changed(self.folder.input, before))
        seen.ended = all(
            self._walked(one, seen, silent=silent, but=before.__contains__) for one in changed
        )
        if seen.ended:
            self._marks |= seen.marks
        return seen

    @property
    def folders(self) -> int:
        """How many directories the passes have come by."""
        return len(self._marks)

    def forget(self) -> None:
        """Keep nothing for a quick pass: none will follow."""
        self._marks = {}

    # ------------------------------------------------------------ one directory after the other
    def _walked(
        self, below: str, seen: Seen, *, silent: bool, but: Callable[[str], bool] | None = None
    ) -> bool:
        """Whether it came to the end; directories below for which ``but`` is true are left out."""
        walk = self._files.walk(
            self.folder.input,
            below,
            recursive=self.folder.recursive,
            skip=lambda one: self._skipped(one) or (but is not None and but(one)),
        )
        large: Comparison | None = None
        small: list[Listing] = []
        rows = 0
        for listing in walk:
            if self._stopping:
                return False
            directory = listing.directory
            if listing.error:
                seen.failed[directory] = listing.error
                seen.marks[directory] = 0
                large = None
            elif large is None and not listing.more:
                small.append(listing)
                rows += len(listing.rows)
                if rows >= ROWS or len(small) == SMALL:
                    self._compare_all(small, seen, silent=silent)
                    small, rows = [], 0
            else:
                if large is None:
                    large = Comparison(self._ledger, self.folder.name, directory)
                    seen.marks[directory] = listing.mark
                self._compare(listing, large, seen, silent=silent)
                if not listing.more:
                    self._end(directory, large, seen)
                    large = None
        self._compare_all(small, seen, silent=silent)
        return True

    def _compare_all(self, small: list[Listing], seen: Seen, *, silent: bool) -> None:
        """Whole directories, of which the ledger is asked in one go."""
        name = self.folder.name
        each = self._ledger.known_each(name, [one.directory for one in small]) if small else []
        for listing, known in zip(small, each, strict=True):
            comparison = Comparison(self._ledger, name, listing.directory, known)
            seen.marks[listing.directory] = listing.mark
            self._compare(listing, comparison, seen, silent=silent)
            self._end(listing.directory, comparison, seen)

    def _compare(
        self, listing: Listing, comparison: Comparison, seen: Seen, *, silent: bool
    ) -> None:
        """Hand over what the ledger does not know."""
        seen.files += len(listing.rows)
        other = comparison.other(listing)
        if not other and not listing.odd:
            return
        prefix = f"{listing.directory}/" if listing.directory else ""
        new = [prefix + one.name for one in other if self._wanted(prefix + one.name, one.size)]
        if new:
            seen.marks[listing.directory] = 0  # to be looked at until it is known
        for start in range(0, len(new), GROUP):
            paths = tuple(new[start : start + GROUP])
            self._receivers.found(Found(self.folder.name, paths, silent))
        for name in listing.odd:
            if self._wanted(prefix + name, 0):
                self._refuse(prefix + name, "is a link, FIFO, socket or device: never read")

    @staticmethod
    def _end(directory: str, comparison: Comparison, seen: Seen) -> None:
        seen.known += comparison.met
        if comparison.lacking:
            seen.lacking.append(directory)
            seen.marks[directory] = 0

    def _skipped(self, directory: str) -> bool:
        """Whether nothing below a directory is ever looked at."""
        return bool(directory) and rules.ignored(self.folder, directory) is not None

    def _wanted(self, path: str, size: int) -> bool:
        if rules.ignored(self.folder, path) is not None:
            return False
        return bool(companions.of(self.folder, path)) or bundles.wanted(self.folder, path, size)

    def _refuse(self, path: str, reason: str) -> None:
        if path not in self._told:
            self._receivers.deliver([Refusal(self.folder.name, path, reason)])
            self._told.add(path)

    # ------------------------------------------------------------ absence
    def lost(self, seen: Seen) -> bool:
        """Whether files are known that a full pass did not come by."""
        return bool(seen.lacking) or any(True for _ in self._unseen(seen))

    def _unseen(self, seen: Seen) -> Iterator[str]:
        """Directories with live records that a full pass proved to be gone."""
        every = self._ledger.directories(self.folder.name)
        return (one for one in every if not seen.knows(one) and not self._skipped(one))

    def conclude(self, seen: Seen, *, full: bool) -> None:
        """Deliver what is gone: from the directories that lacked something, and after a full pass
        from those that are not there."""
        for directory in seen.lacking:
            self._gone_from(directory)
        for directory in self._unseen(seen) if full else ():
            self._gone_from(directory)

    def _gone_from(self, directory: str) -> None:
        """Every known file is looked for once more, in pages."""
        name, prefix, after = self.folder.name, f"{directory}/" if directory else "", ""
        while names := self._ledger.known_names(name, directory, after, PAGE):
            gone = self._files.missing(self.folder.input, directory, names)
            paths = [prefix + one for one in gone if self._is_gone(prefix + one)]
            for start in range(0, len(paths), GROUP):
                self._receivers.deliver([Absent(name, tuple(paths[start : start + GROUP]))])
            after = names[-1]

    def _is_gone(self, path: str) -> bool:
        """The ledger was asked after the walk, so the file may have come in between."""
        try:
            return self._files.look(self.folder.input, path) is None
        except FolderOffline:
            raise
        except FileError:
            return False
