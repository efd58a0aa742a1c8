"""The four things outside, as Protocols: a scheduler, the ledger, the files, the clock.

Imports ``model``, ``settings``, ``source`` and the errors only. Invariant: each method's promise
stands here, and one conformance suite per port (``tests/contract``) holds every implementation to
it, fakes included. All methods may be called from any thread unless they say otherwise; none
retries or sleeps inside (pacing decides when to try again), and none lets a foreign exception out:
only ``watcher.errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from watcher.core.model import (
    Facts,
    Fetched,
    FileRecord,
    FileState,
    Fingerprint,
    HistoryRow,
    JobRecord,
    JobStatus,
    Submitted,
    Watcher,
    Work,
)
from watcher.core.source import Reads as Reads  # noqa: PLC0414 - part of the ports all the same
from watcher.core.source import Source as Source  # noqa: PLC0414 - as above
from watcher.errors import FileError


# ---------------------------------------------------------------- scheduler
@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One job to submit. Sources: none, or the main file first and its parts after it.

    ``key`` is the caller's UUID4. ``queue`` and ``time_limit`` are sent only when set. ``command``
    is a program of this machine with its arguments, instead of a process or script; the fields in
    them stand in ``values``. Only an embedded scheduler takes one.
    """

    key: str
    name: str
    process: str = ""
    script: Path | None = None
    command: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    at: float = 0.0  # wall time that ``{date}`` in a command speaks of
    entrypoint: str = "main"
    params: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    root_file: str = ""  # which file of an archive that was dropped the job is about
    queue: str = ""
    time_limit: float | None = None
    priority: int = 0


class Backend(Protocol):
    """A scheduler of jobs.

    Errors of every method: ``Unreachable`` (try later, nothing is known to have happened),
    ``Refused`` (never pass), and what it names itself.
    """

    def submit(self, request: JobRequest) -> Submitted:
        """Send the job. A repeat with the same key starts no second job and gives the same id.

        A scheduler may take the key for the job's id and answer with another one: the caller asks
        for both, and follows the one that is seen.

        The sources are read in this call and never again. ``Unreachable`` after the job may have
        been taken is allowed: the caller asks for the key again.
        """
        ...

    def status(self, remotes: Sequence[str]) -> dict[str, JobStatus]:
        """The word on each id. An id never heard of is ``Phase.UNSEEN``, or absent when the
        scheduler is certain that it has no such job. ``Phase.SILENT``: ask again. Of no ids it
        answers nothing, but has asked: ``Unreachable`` when the scheduler does not do its part."""
        ...

    def fetch(self, remote: str, into: Path) -> tuple[Fetched, ...]:
        """Bring all outputs of a succeeded job, sub-folders included, into an empty folder.

        Names are proved to stay inside ``into``; lengths are checked; nothing is fsynced.
        Raises ``TooEarly`` when they are not ready, ``JobLost`` when they are gone.
        """
        ...

    def forget(self, remote: str) -> None:
        """The outputs were delivered: storage may be freed. Never an error for no such job."""
        ...

    def cancel(self, remote: str) -> None:
        """Stop the job if it can be stopped; a scheduler that cannot lets it run. Never an error
        for no such job."""
        ...

    def processes(self) -> tuple[str, ...]:
        """The names of the processes it can run."""
        ...

    def listen(self, changed: Callable[[str], None]) -> None:
        """Call ``changed(id)`` from any thread when a job may have news. Only a hint: a scheduler
        that cannot do it never calls, and polling finds out."""
        ...

    def close(self) -> None:
        """Free threads, processes and connections. Jobs in work are left to be found again."""
        ...


# ---------------------------------------------------------------- ledger
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


# ---------------------------------------------------------------- files
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
    """One directory of a scan. ``error`` says why it could not be read (then nothing else is set).

    ``odd`` are names that are neither regular files nor folders (links, FIFOs, sockets, devices).
    """

    directory: str
    files: tuple[Entry, ...] = ()
    folders: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    error: str = ""


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
        """Every directory from ``below`` down, parents first, streamed.

        A directory below it for which ``skip`` is true is not entered; its parent still names it.
        """
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


# ---------------------------------------------------------------- clock
class Clock(Protocol):
    """Time."""

    def now(self) -> float:
        """Wall time, UTC, seconds since the epoch; may step."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; for deciding."""
        ...


# kept beside the ports so that every reader of them has one import
__all__ = [
    "Backend",
    "Change",
    "Clock",
    "Entry",
    "FileRecord",
    "Files",
    "JobRecord",
    "JobRequest",
    "Lane",
    "Ledger",
    "Listing",
    "Lone",
    "NewFile",
    "Note",
    "OwnTarget",
    "Placement",
    "Request",
    "SaveFile",
    "SaveJob",
    "Seats",
    "Source",
]
