"""The four things outside, as Protocols: a scheduler, the ledger, the files, the clock.

Imports ``model``, ``settings``, ``source`` and the errors only. Invariant: each method's promise
stands here, and one conformance suite per port (``tests/contract``) holds every implementation to
it, fakes included. All methods may be called from any thread unless they say otherwise; none
retries or sleeps inside (pacing decides when to try again), and none lets a foreign exception out:
only ``watcher.errors``.
"""

from __future__ import annotations

from watcher.core.model import FileRecord, JobRecord
from watcher.core.ports.clock import Clock
from watcher.core.ports.files import Entry, Files, Listing, Lone, Placement
from watcher.core.ports.ledger import (
    Change,
    Lane,
    Ledger,
    NewFile,
    Note,
    OwnTarget,
    Request,
    SaveFile,
    SaveJob,
    Seats,
)
from watcher.core.ports.scheduler import Backend, JobRequest
from watcher.core.source import Reads, Source

# every reader of the ports has one import
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
    "Reads",
    "Request",
    "SaveFile",
    "SaveJob",
    "Seats",
    "Source",
]
