"""The ledger on SQLAlchemy Core: what watcher remembers, in SQLite on a local disk or
in PostgreSQL.

``place`` says whether a folder can hold it, ``engines`` opens the databases, ``troubles`` maps
foreign errors, ``schema`` owns the tables, ``rows`` the shape of a record in them, ``batch`` turns
changes into statements, ``store`` is the port's implementation. May import core and errors.
Invariant: what ``apply`` returned from is on disk, whole.
"""

from watcher.adapters.ledger.place import forgotten
from watcher.adapters.ledger.store import SQLITE, SqlLedger, open_ledger

__all__ = ["SQLITE", "SqlLedger", "forgotten", "open_ledger"]
