"""What lies in one directory against what the ledger knows to lie there.

Imports the ports. Invariant: the memory taken does not grow with the directory, nothing is done for
a single file that both sides agree on, and the ledger is asked after the disk was read: so what was
recorded meanwhile is never taken for news.
"""

from __future__ import annotations

from watcher.core.ports import Entry, Ledger, Listing

LARGE = 100_000  # known files of one directory that are held at once: about 20 MB


class Comparison:
    """One directory, given in pieces.

    Args:
        ledger: what is known.
        folder: its name in the ledger.
        directory: the one to be compared.
        large: known files from which on they are asked for by name, which takes twice as long.
    """

    def __init__(self, ledger: Ledger, folder: str, directory: str, large: int = LARGE) -> None:
        self._ledger = ledger
        self._at = folder, directory
        self._large = large
        self._pieces = 0
        self._left: set[tuple[str, int, int]] | None = None  # known, and not met; None: too many
        self._changed: set[str] = set()
        self._total = 0
        self._met = 0

    def other(self, listing: Listing) -> list[Entry]:
        """The files of the next piece that are not known as they are."""
        self._pieces += 1
        if self._pieces == 1:
            self._begin(whole=not listing.more)
        if self._left is None:
            return self._asked_by_name(listing)
        rows, left = listing.rows, self._left
        if left.issuperset(rows):
            if len(rows) == len(left):  # as nearly always
                self._left = set()
            else:
                left.difference_update(rows)
            return []
        other = [row for row in rows if row not in left]
        left.difference_update(rows)
        if left:
            self._changed |= {row[0] for row in left}.intersection(row[0] for row in other)
        if self._pieces > 1:  # known since, perhaps
            known = self._ledger.known_among(*self._at, [row[0] for row in other])
            other = [row for row in other if row not in known]
        return [Entry._make(row) for row in other]

    @property
    def met(self) -> int:
        """How many known files were there, changed or not."""
        if self._left is None:
            return self._met
        return self._total - len(self._left) + len(self._changed)

    @property
    def lacking(self) -> bool:
        """Whether, at the end, known files were not among those of any piece."""
        if self._left is None:
            return self._ledger.known_count(*self._at) > self._met
        return len(self._left) > len(self._changed)

    def _begin(self, *, whole: bool) -> None:
        if whole or self._ledger.known_count(*self._at) <= self._large:
            self._left = self._ledger.known(*self._at)
            self._total = len(self._left)

    def _asked_by_name(self, listing: Listing) -> list[Entry]:
        known = self._ledger.known_among(*self._at, [row[0] for row in listing.rows])
        self._met += len(known)
        if known.issuperset(listing.rows):
            return []
        return [Entry._make(row) for row in listing.rows if row not in known]
