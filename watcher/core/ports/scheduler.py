"""A scheduler of jobs.

Imports ``model`` and ``source``. Invariant: as the package says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from watcher.core.model import Fetched, JobStatus, Submitted
from watcher.core.source import Source


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
