"""What lies in one directory against what the ledger knows to lie there.

Imports the ports. Invariant: the memory taken does not grow with the directory, nothing is done for
a single file that both sides agree on, and the ledger is asked after the disk was read: so what was
recorded meanwhile is never taken for news.
"""

from __future__ import annotations

from watcher.core.ports import Entry, Ledger, Listing

Known = set[tuple[str, int, int]]
LARGE = 150_000  # known files of one directory that are held at once: about 40 MB


class Comparison:
    """One directory, given in pieces.

    Args:
        ledger: what is known.
        folder: its name in the ledger.
        directory: the one to be compared.
        known: what is known to lie in it, where that was asked for after its only piece was read.
        large: known files from which on they are asked for by name, which takes twice as long.
    """

    def __init__(
        self,
        ledger: Ledger,
        folder: str,
        directory: str,
        known: Known | None = None,
        large: int = LARGE,
    ) -> None:
        self._ledger = ledger
        self._at = folder, directory
        self._large = large
        self._begun = known is not None
        self._known = known  # None: too many
        self.met = 0  # known files that were there, changed or not

    def other(self, listing: Listing) -> list[Entry]:
        """The files of the next piece that are not known as they are."""
        if not self._begun:
            self._begin()
        rows, known = listing.rows, self._known
        if known is not None and known.issuperset(rows):
            self.met += len(rows)
            return []
        other = rows if known is None else [row for row in rows if row not in known]
        # by name: with another content, or known since
        again = self._ledger.known_among(*self._at, [row[0] for row in other])
        self.met += len(rows) - len(other) + len(again)
        return [Entry._make(row) for row in other if row not in again]

    @property
    def lacking(self) -> bool:
        """Whether, at the end, known files were not among those of any piece."""
        if self._known is None:
            return self._ledger.known_count(*self._at) > self.met
        return len(self._known) > self.met

    def _begin(self) -> None:
        self._begun = True
        if self._ledger.known_count(*self._at) <= self._large:
            self._known = self._ledger.known(*self._at)
