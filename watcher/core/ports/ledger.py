"""The memory: its changes, its questions, and the seats of those who share it.

Imports ``model``. Invariant: as the package says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from watcher.core.model import (
    FileRecord,
    FileState,
    HistoryRow,
    JobRecord,
    Watcher,
    Work,
)


@dataclass(frozen=True, slots=True)
class Note:
    """A history row to be written with a change; the record tells file, job and state."""

    at: float
    event: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A first sight of an arrival, with its jobs. Refused (``StaleRecord``) when the path already
    has a live record."""

    file: FileRecord
    jobs: tuple[JobRecord, ...]
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class SaveFile:
    """``after`` replaces ``before``; the stored record must have before's state and version.

    ``after.version`` must be ``before.version + 1``; the same goes for ``SaveJob``.
    """

    before: FileRecord
    after: FileRecord
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class SaveJob:
    """As ``SaveFile``, for a job."""

    before: JobRecord
    after: JobRecord
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnTarget:
    """Final names claimed for a source file: from now on these targets are its own."""

    folder: str
    target: str
    path: str
    file_id: int


Change = NewFile | SaveFile | SaveJob | OwnTarget


@dataclass(frozen=True, slots=True)
class Lane:
    """A queue of accepted files: those of one folder and rule."""

    folder: str
    rule: str


@dataclass(frozen=True, slots=True)
class Request:
    """A wish of the command line, noticed by the engine within a second."""

    id: int
    kind: str  # "retry"
    body: Mapping[str, Any]


class Seats(Protocol):
    """Several watchers at one ledger: who works on which file.

    From ``sit`` to ``leave`` every ``Ledger.apply`` is fenced: it raises ``Fenced``, and changes
    nothing, once another watcher has declared this one dead. All methods raise ``Fenced`` so.
    """

    def sit(self) -> int:
        """Take a seat, under this process's name; its number is also the fencing token."""
        ...

    def renew(self) -> None:
        """Give a sign of life."""
        ...

    def leave(self) -> None:
        """Give the seat back: accepted files are free at once, others are inherited."""
        ...

    def claim(self, lane: Lane, limit: int, held: Collection[int]) -> list[Work]:
        """The next accepted files of a lane that nobody holds, now ours, in ``Ledger.waiting``'s
        order. ``held`` are those of ours already in hand."""
        ...

    def lanes(self, known: Collection[Lane]) -> set[Lane]:
        """Which of these lanes have accepted files that nobody holds, or that are ours."""
        ...

    def lapsed(self) -> list[int]:
        """The seats that hold files and whose watchers are dead."""
        ...

    def inherit(self, seat: int) -> list[Work]:
        """Take over a dead watcher's files in work; its accepted ones become free."""
        ...

    def watchers(self) -> list[Watcher]:
        """Who sits at the ledger, in the order of arrival."""
        ...


class Ledger(Protocol):
    """The memory. One transaction a call; durable when the call returns.

    Errors: ``StaleRecord``; ``LedgerUnusable`` for what an operator must mend.
    """

    @property
    def seats(self) -> Seats | None:
        """The seats of the watchers that share it; None for a ledger of one watcher's own."""
        ...

    def new_ids(self, count: int) -> Sequence[int]:
        """Fresh positive 63-bit ids, rising with time, unique among all watchers of the ledger."""
        ...

    def apply(self, changes: Iterable[Change]) -> frozenset[int]:
        """All of the changes or none, and their history; durable on return.

        Where watchers share the ledger, a new file whose path got a live record meanwhile is left
        out with all that belongs to it, and its id is in the result. After an error the same
        changes may be given again: what was recorded all the same is not recorded twice.
        """
        ...

    def live(self, folder: str, paths: Sequence[str]) -> dict[str, FileRecord]:
        """The live records among these paths."""
        ...

    def known(self, folder: str, directory: str) -> set[tuple[str, int, int]]:
        """The live records directly in a directory (``""`` is the top), as an ``Entry`` each."""
        ...

    def known_each(
        self, folder: str, directories: Sequence[str]
    ) -> list[set[tuple[str, int, int]]]:
        """``known`` of each of these directories."""
        ...

    def known_among(
        self, folder: str, directory: str, names: Sequence[str]
    ) -> set[tuple[str, int, int]]:
        """As ``known``, of these names only."""
        ...

    def known_count(self, folder: str, directory: str) -> int:
        """How many live records ``known`` would tell."""
        ...

    def known_names(self, folder: str, directory: str, after: str, limit: int) -> list[str]:
        """The next names that ``known`` would tell, in the order of their bytes; ``""`` begins."""
        ...

    def directories(self, folder: str) -> Iterator[str]:
        """Every directory that has live records, each once; streams."""
        ...

    def last_arrival(self, folder: str, path: str) -> FileRecord | None:
        """The newest record of a path, live or not."""
        ...

    def last_arrivals(self, folder: str, paths: Sequence[str]) -> dict[str, int]:
        """The arrival numbers of the newest records of these paths, live or not."""
        ...

    def needed(self, folder: str, paths: Sequence[str], file_id: int) -> set[str]:
        """Which of these paths are parts of other unfinished files than this one, or have an
        unfinished live record of their own."""
        ...

    def assembled(self, folder: str) -> bool:
        """Whether any file of the folder ever had parts."""
        ...

    def unfinished(self) -> list[Work]:
        """Everything that recovery must look at: files working, or delivered or failed with a
        source not yet disposed of. Not the accepted ones, which lanes give."""
        ...

    def lanes(self) -> dict[Lane, int]:
        """How many accepted files wait in each lane."""
        ...

    def waiting(self, lane: Lane, limit: int, after: tuple[int, int] | None = None) -> list[Work]:
        """The next accepted files of a lane: highest priority first, then oldest (lowest id).

        ``after`` is the (priority, id) of the last one already held.
        """
        ...

    def owners(self, folder: str, targets: Sequence[str]) -> dict[str, str]:
        """Which source path owns each of these targets."""
        ...

    def work(self, file_id: int) -> Work | None:
        """One file with its jobs."""
        ...

    def files(
        self,
        *,
        folder: str = "",
        state: FileState | None = None,
        q: str = "",
        limit: int = 0,
        offset: int = 0,
    ) -> list[Work]:
        """Records newest first, for people. 0 is no limit; ``q`` is part of the path, whatever its
        case."""
        ...

    def counts(self) -> dict[tuple[str, FileState], int]:
        """How many live or final records stand in each (folder, state)."""
        ...

    def history(self, folder: str, path: str) -> list[tuple[FileRecord, list[HistoryRow]]]:
        """Every arrival of a path with its history, oldest first."""
        ...

    def ask(self, kind: str, body: Mapping[str, Any], at: float) -> None:
        """Leave a request for the engine."""
        ...

    def requests(self) -> list[Request]:
        """The requests not yet answered, oldest first."""
        ...

    def answered(self, ids: Sequence[int]) -> None:
        """Take requests off the list."""
        ...

    def compact(self, before: float, *, most: int = 0) -> int:
        """Remove final, no longer live records last changed before this wall time; how many.

        With ``most`` it stops when at least so many are gone: there may be more.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
