"""What intake says of the folders themselves: told in the log, and kept for health.

Imports structlog's types, sightings and metrics. Invariant: ``roots`` holds the last word on each
folder; whoever reads it takes a copy.
"""

from __future__ import annotations

from collections.abc import Collection

from structlog.typing import FilteringBoundLogger

from watcher.daemon.metrics import Meters
from watcher.daemon.sightings import Fault, Refusal, RootState, ScanDone


class Lookout:
    """``refused`` are the paths that a rule would take and that cannot be taken."""

    def __init__(self, log: FilteringBoundLogger, meters: Meters) -> None:
        self.roots: dict[str, RootState] = {}
        self.refused: set[tuple[str, str]] = set()
        self._log = log
        self._meters = meters

    def keep(self, folders: Collection[str]) -> None:
        """Forget all folders but these, which a new configuration leaves as they are."""
        self.roots = {name: root for name, root in self.roots.items() if name in folders}

    def tell(self, one: RootState | ScanDone | Refusal | Fault) -> None:
        """Note it, and say so."""
        if isinstance(one, RootState):
            self._root(one)
        elif isinstance(one, ScanDone):
            self._meters.scanned(one)
            facts = {"files": one.files, "seconds": round(one.seconds, 3), "quick": one.quick}
            self._log.debug("scan.done", folder=one.folder, **facts)
        else:
            if isinstance(one, Refusal):
                self.refused.add((one.folder, one.path))
            event = "file.refused" if isinstance(one, Refusal) else "fault"
            self._log.warning(event, folder=one.folder, file=one.path, reason=one.reason)

    def _root(self, one: RootState) -> None:
        self.roots[one.folder] = one
        if not one.online:
            self._log.error("root.offline", folder=one.folder, reason=one.reason)
            return
        how = "native" if one.native else "polling"
        self._log.info("root.online", folder=one.folder, watch=how, note=one.reason)
        if one.trouble:
            self._log.error("root.trouble", folder=one.folder, reason=one.trouble)
