"""The vocabulary: what a file, a job, an output and a look at the disk are.

Imports the standard library's data types only. Invariant: everything here is immutable. The two
records that the ledger keeps are named tuples, since half of what the engine decides is the next
version of one, which ``_replace`` makes at a quarter of what it costs for a dataclass.
Paths of files are relative to their folder's input root, with ``/``, as found on disk (undecodable
bytes as surrogate escapes). Times are seconds; wall times are UTC since the epoch.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from watcher.core.printing import printable as printable  # noqa: PLC0414 - a name's other face


class FileState(StrEnum):
    """The states of a file. ``SETTLING`` is never stored."""

    SETTLING = "settling"
    ACCEPTED = "accepted"
    WORKING = "working"
    DELIVERED = "delivered"
    ARCHIVED = "archived"
    FAILED = "failed"
    HELD = "held"


class JobState(StrEnum):
    """The states of one job of a file."""

    WAITING = "waiting"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    RUNNING = "running"
    FETCHING = "fetching"
    STAGED = "staged"
    DELIVERED = "delivered"
    FAILED = "failed"


class Lease(StrEnum):
    """What asking the kernel for a read lease said about writers of a file."""

    FREE = "free"  # nobody on this machine has it open for writing
    REFUSED = "refused"  # somebody has: proof that it is not complete
    UNKNOWN = "unknown"  # cannot be asked here (owner, file system)
    UNREADABLE = "unreadable"  # we have no permission even to read it


class Phase(StrEnum):
    """What a scheduler says of a job, in one vocabulary for all schedulers."""

    UNSEEN = "unseen"  # queued, or never heard of: the real scheduler cannot tell
    SILENT = "silent"  # no word this time: ask again
    QUEUED = "queued"  # certainly known and waiting
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells contents apart cheaply: length in bytes and modification time in ns."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Facts:
    """One look at a regular file (``lstat`` plus a lease probe)."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    lease: Lease = Lease.UNKNOWN

    @property
    def fingerprint(self) -> Fingerprint:
        """The part that is kept."""
        return Fingerprint(self.size, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class Part:
    """A file that belongs to an asset beside its main file (an MTL, a texture, a buffer).

    A part without a name is not sent with the job: a marker, a sidecar.
    """

    path: str  # relative to the input root
    name: str  # the name the job sees, relative to the main file's (or the unit's) folder
    print: Fingerprint


@dataclass(frozen=True, slots=True)
class Asset:
    """The unit of work: one settled main file plus its parts.

    ``missing`` names referenced files that did not come before the deadline. ``cut``: the main file
    itself looks cut short, so that its list of parts proves nothing. ``rule``: who takes it, found
    with all that was seen of the file; empty when its name and size decide. ``whole``: its parts
    are as much of it as its main file, so that a change of one is a change of the asset. ``params``
    are those of its sidecar, and ``fault`` is why it cannot be taken as it is.
    """

    folder: str
    path: str
    print: Fingerprint
    parts: tuple[Part, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    cut: bool = False
    rule: str = ""
    whole: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a job. ``name`` is relative to the job's outputs, ``target`` to the folder's.

    ``digest`` is the xxh3_128 of the content in hex; ``target`` is empty until it is planned.
    """

    name: str
    size: int
    digest: str
    target: str = ""
    published: bool = False


class FileRecord(NamedTuple):
    """What the ledger knows of one arrival of a file.

    ``live`` is true while the record stands for what lies (or lay, in work) under ``path``: there
    is at most one live record per (folder, path). ``holder`` is the seat of the watcher that works
    on it, where several share a ledger. ``disposed`` is true once nothing remains to be
    done with the source (archived, moved to failed, or to be kept). ``next_at`` is the wall time
    of the next attempt of what is pending for the file as a whole (publish, dispose), 0 for now.
    """

    id: int
    folder: str
    path: str
    arrival: int
    state: FileState
    rule: str
    print: Fingerprint
    digest: str = ""
    parts: tuple[Part, ...] = ()
    priority: int = 0
    reason: str = ""
    warnings: tuple[str, ...] = ()
    params: Mapping[str, Any] = MappingProxyType({})  # of its sidecar
    live: bool = True
    disposed: bool = False
    disposal: str = ""  # where the source goes or went, relative to the archive or failed root
    attempt: int = 0  # failed tries of the pending publish or disposal
    next_at: float = 0.0
    accepted_at: float = 0.0
    changed_at: float = 0.0
    version: int = 0
    holder: int = 0


class JobRecord(NamedTuple):
    """One job of a file. ``key`` is the UUID4 chosen before sending; a new attempt takes a new one.

    ``remote`` is the id under which the scheduler is asked (the reply's, if it ignored ours).
    """

    id: int
    file_id: int
    index: int  # type: ignore[assignment]  # instead of the method of tuples, which nobody needs here
    label: str
    scheduler: str
    state: JobState
    key: str = ""
    remote: str = ""
    attempt: int = 0  # failed runs so far
    next_at: float = 0.0
    submitted_at: float = 0.0
    changed_at: float = 0.0
    progress: int | None = None
    step: str = ""
    error: str = ""
    outputs: tuple[Output, ...] = ()
    warnings: tuple[str, ...] = ()
    result: Any = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """A file and its jobs, as the engine holds them."""

    file: FileRecord
    jobs: tuple[JobRecord, ...]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of a file's history, as ``explain`` prints it. ``job`` is a label or empty."""

    at: float
    event: str
    state: str
    job: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A scheduler's word on one job."""

    phase: Phase
    progress: int | None = None
    step: str = ""
    error: str = ""  # short reason of a failure, for people
    detail: str = ""  # the long form (a traceback)
    result: Any = None
    warnings: tuple[str, ...] = ()
    permanent: bool = False  # of a failure: running it again cannot help


@dataclass(frozen=True, slots=True)
class Fetched:
    """One output fetched into staging; ``name`` is relative and proved inside it."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """A scheduler's receipt. ``remote`` is the id to ask for."""

    remote: str


@dataclass(frozen=True, slots=True)
class Watcher:
    """A daemon at a shared ledger. ``silent`` is for how many seconds it has given no sign."""

    seat: int
    name: str
    silent: float


def nfc(text: str) -> str:
    """The composed form in which names are compared; macOS writes the decomposed one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files stand in each state, per folder."""

    by_state: dict[tuple[str, FileState], int] = field(default_factory=dict)
