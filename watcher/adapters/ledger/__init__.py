"""The ledger on SQLAlchemy Core: what watcher remembers, in SQLite on a local disk.

``place`` says whether a folder can hold it, ``troubles`` maps foreign errors, ``schema`` owns the
tables, ``rows`` the shape of a record in them, ``batch`` turns changes into statements, ``store``
is the port's implementation. May import core and errors. Invariant: what ``apply`` returned from
is on disk, whole.
"""

from watcher.adapters.ledger.store import SqlLedger, open_ledger

__all__ = ["SqlLedger", "open_ledger"]
