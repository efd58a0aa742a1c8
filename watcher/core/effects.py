"""What the engine can be told to do, and what comes back: plain data.

Imports ``model`` only. Invariant: an effect holds all that performing it needs besides the
settings, so that performing one needs no record and no decision.
"""

from __future__ import annotations

from dataclasses import dataclass

from watcher.core.model import Fetched, FileRecord, JobRecord, JobStatus
from watcher.errors import WatcherError


@dataclass(frozen=True, slots=True)
class Submit:
    """Send a job. ``resumed``: it may have been sent before, so ask for its key first.

    ``fed``: the job whose staged outputs it is about, instead of the file. ``tries``: sendings
    that went wrong in this life of the daemon; ``unsure``: since when (wall time) its key is asked
    for in vain; ``taken``: how many jobs its scheduler had taken at the last try; ``proven``: it
    took others while this one went wrong.
    """

    file: FileRecord
    job: JobRecord
    resumed: bool = False
    tries: int = 0
    unsure: float = 0.0
    taken: int = 0
    proven: bool = False
    fed: JobRecord | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """Stage the file itself: the job of ``process: pass``."""

    file: FileRecord
    job: JobRecord


@dataclass(frozen=True, slots=True)
class Fetch:
    """Bring a finished job's outputs into staging. ``tries`` and ``since`` (wall time, of the
    first) tell how long this life of the daemon has tried."""

    file: FileRecord
    job: JobRecord
    tries: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """One output to publish: from the staging of a job to its final name. ``alone``: it is what the
    job staged itself, in no folder."""

    job_id: int
    name: str
    target: str
    size: int
    digest: str
    replace: bool
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Publish:
    """Give all outputs of a file their final names; receipts (target, text) come last.

    ``resumed``: an earlier try may have published some of them.
    """

    file: FileRecord
    places: tuple[Place, ...]
    receipts: tuple[tuple[str, str], ...] = ()
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class PassOn:
    """Stage the file itself and give it its final name: both in one go. ``resumed`` as in
    ``Publish``."""

    file: FileRecord
    job: JobRecord
    place: Place
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Dispose:
    """Archive or delete a delivered source, as its folder says, and the parts only it needs."""

    file: FileRecord
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Put a failed file into the failed folder, beside the text that says why."""

    file: FileRecord
    text: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identify:
    """Hash a file whose time changed and whose length did not: touched, or new content."""

    file: FileRecord
    read: bool = True  # False: only prove that it is there


@dataclass(frozen=True, slots=True)
class Return:
    """Move a failed file back into its input: the wish of ``watcher retry``."""

    file: FileRecord


@dataclass(frozen=True, slots=True)
class Clean:
    """Free what a finished or abandoned job left: staging, and its place at the scheduler.

    Best effort; nothing waits for it.
    """

    folder: str
    arrival: int
    jobs: tuple[JobRecord, ...]
    cancel: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """Let the intake look at a path again: it changed while it was read."""

    folder: str
    path: str


Effect = (
    Submit
    | Copy
    | Fetch
    | Publish
    | PassOn
    | Dispose
    | Quarantine
    | Identify
    | Return
    | Clean
    | Look
)


# ---------------------------------------------------------------- what comes back
@dataclass(frozen=True, slots=True)
class Sent:
    """The scheduler has the job. ``digest`` is the main file's, empty when it was not read."""

    remote: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Unsure:
    """A resumed job is not seen yet at the scheduler, and it cannot say that it is absent."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A job's outputs lie in staging, lengths checked. ``digest`` as in ``Sent``."""

    outputs: tuple[Fetched, ...]
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Passed:
    """A copy of the file is under its final name (``named``), or in staging, and then it is not
    under the name, or (``tried``) nobody knows."""

    output: Fetched
    named: bool
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Clash:
    """A final name is taken; ``free`` is one that is not."""

    target: str
    free: str


@dataclass(frozen=True, slots=True)
class Done:
    """The effect did what it says. ``text`` is a digest for ``Identify``."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The effect failed, by the class of its error.

    ``ours``: it happened on our side of the file (output, staging, archive), which an operator can
    mend while the file waits, and not at the source or the scheduler.
    """

    error: WatcherError
    ours: bool = False


Result = Sent | Unsure | Staged | Passed | Clash | Done | Wrong


@dataclass(frozen=True, slots=True)
class Outcome:
    """An effect and its result."""

    effect: Effect
    result: Result


@dataclass(frozen=True, slots=True)
class Left:
    """An effect that was not begun, since the daemon stops: recovery takes it up."""

    effect: Effect


@dataclass(frozen=True, slots=True)
class Told:
    """What a scheduler says of jobs, by remote id; absent ids are certainly not there."""

    scheduler: str
    asked: tuple[str, ...]
    statuses: dict[str, JobStatus]


@dataclass(frozen=True, slots=True)
class Silent:
    """A scheduler did not answer a poll."""

    scheduler: str
    error: WatcherError
