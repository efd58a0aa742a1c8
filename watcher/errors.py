"""Every error watcher raises on purpose, as one tree.

A ``WatcherError`` reads as one line: what happened, where, what to do. Code branches on the class,
never on the words. Imports nothing of ours. Invariant: no secret ever enters a message.

::

    WatcherError
    ├── UsageError            bad command line or input; nothing was sent
    ├── ConfigError           the configuration has problems (all of them, with their places)
    ├── StateTaken            another process owns the state folder
    ├── JobFailed             a job ended without success
    ├── TimedOut              what was waited for did not come in time
    ├── SchedulerError        a scheduler did not do what it was asked
    │   ├── Unreachable       it cannot be reached now: wait, costs no attempt
    │   │   ├── Unauthorized  the token is missing or wrong: mendable, so wait
    │   │   ├── StateUnknown  it answers, but has lost sight of its own store
    │   │   ├── Unsent        the request broke off: certainly nothing was taken
    │   │   │   └── Unserved  no connection, or "not now": nobody is served
    │   │   └── Garbled       it answers, with a fault of its own or with nonsense
    │   ├── Refused           this request will never pass
    │   ├── TooEarly          not ready yet: come back
    │   └── JobLost           it no longer knows the job
    ├── FileError             the file system did not do what it was asked
    │   ├── FileGone          the file or folder is not there (any more)
    │   ├── FileChanged       the file is not the one that was meant (replaced or still written)
    │   ├── TargetExists      something else stands under the final name
    │   ├── OutsideRoot       a name or link leads out of its folder; for ever wrong
    │   ├── NotRegular        a folder, FIFO, socket or device where a file is needed
    │   ├── Denied            no permission, or a read-only file system: mendable, so wait
    │   ├── NoSpace           disk or quota full: mendable, so wait
    │   ├── NameTooLong       the name does not fit the file system; for ever wrong
    │   └── FolderOffline     a root is gone, replaced, or not mounted: mendable, so wait
    └── LedgerError
        ├── StaleRecord       a record was not in the state it was changed from
        ├── Fenced            another watcher took over this one's files: begin anew
        └── LedgerUnusable    read-only, of a newer version, or on a network mount
            ├── LedgerAway    locked, no space, no answer: mendable, so wait
            └── LedgerDamaged what it holds cannot be read: no waiting mends it
"""

from __future__ import annotations

from typing import ClassVar


class WatcherError(Exception):
    """An error with its place and its mend.

    Args:
        what: what happened, a clause without a final stop.
        where: the file, URL or key it happened at; empty when the clause names it.
        fix: what the reader can do about it; empty when there is nothing.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        """One line: ``where: what; fix``."""
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line}; {self.fix}" if self.fix else line


class UsageError(WatcherError):
    """The command line or its input is wrong; nothing was sent."""

    exit_code = 2


class ConfigError(WatcherError):
    """The configuration cannot be used; ``problems`` holds every one of them, as printed lines."""

    exit_code = 2

    def __init__(self, problems: tuple[str, ...], *, where: str = "") -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"the configuration has {count}", where=where)
        self.problems = problems


class StateTaken(WatcherError):
    """Another process owns the state folder."""

    exit_code = 3


class JobFailed(WatcherError):
    """A job ended without success."""


class TimedOut(WatcherError):
    """What was waited for did not come within the time that was given."""

    exit_code = 4


class SchedulerError(WatcherError):
    """A scheduler did not do what it was asked."""

    exit_code = 3


class Unreachable(SchedulerError):
    """The scheduler cannot be reached now; waiting may help and costs no attempt."""


class Unauthorized(Unreachable):
    """The scheduler does not take the token; somebody must mend it, so waiting may help."""


class StateUnknown(Unreachable):
    """The scheduler answers, but cannot tell a job's state: its own store is away."""


class Unsent(Unreachable):
    """The request did not arrive whole: the scheduler certainly took nothing."""


class Unserved(Unsent):
    """No connection to the scheduler could be made, or it serves nobody now."""


class Garbled(Unreachable):
    """The scheduler answers this request with a fault of its own, or with nonsense."""


class Refused(SchedulerError):
    """The scheduler will never take this request as it is."""


class TooEarly(SchedulerError):
    """What was asked for is not ready yet."""


class JobLost(SchedulerError):
    """The scheduler no longer knows the job."""


class FileError(WatcherError):
    """The file system did not do what it was asked."""


class FileGone(FileError):
    """The file or folder is not there (any more)."""


class FileChanged(FileError):
    """The file is not the one that was meant."""


class TargetExists(FileError):
    """Something else stands under the final name."""


class OutsideRoot(FileError):
    """A name or link leads out of its folder."""


class NotRegular(FileError):
    """A folder, FIFO, socket or device where a regular file is needed."""


class Denied(FileError):
    """No permission, or a read-only file system."""


class NoSpace(FileError):
    """The disk or the quota is full."""


class NameTooLong(FileError):
    """The name does not fit the file system."""


class FolderOffline(FileError):
    """A root folder is gone, replaced, or not mounted."""


class LedgerError(WatcherError):
    """The ledger did not do what it was asked."""


class StaleRecord(LedgerError):
    """A record was not in the state that it was to be changed from."""


class Fenced(LedgerError):
    """This watcher was silent for too long, and another one took over its files."""

    exit_code = 3


class LedgerUnusable(LedgerError):
    """The ledger is damaged, locked, read-only, too new, or in an unfit place."""

    exit_code = 3


class LedgerNew(LedgerUnusable):
    """There is no ledger, or none of its tables: nothing was ever recorded in it."""


class LedgerAway(LedgerUnusable):
    """The ledger is locked, has no space, or does not answer now; waiting may help."""


class LedgerDamaged(LedgerUnusable):
    """What the ledger holds cannot be read; somebody must restore it or move it away."""
