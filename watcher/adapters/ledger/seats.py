"""Several watchers at one ledger: seats, claims, and taking over from the dead.

Imports core, errors, SQLAlchemy and this package. Invariant: a file in work has one holder, and a
watcher whose seat was taken away changes nothing any more. Time is the database's own, so that the
clocks of the machines need not agree. On PostgreSQL, whose row locks it relies on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from watcher.adapters.ledger import reading
from watcher.adapters.ledger.engines import process, session
from watcher.adapters.ledger.rows import read, written
from watcher.adapters.ledger.schema import ACCEPTED, FILES, HELD, UNFINISHED, WATCHERS
from watcher.core.model import Watcher, Work
from watcher.core.ports import Lane
from watcher.errors import Fenced

LEASE = 6.0  # seconds without a sign of life after which a watcher is declared dead
F, W = FILES.c, WATCHERS.c
NOW = func.extract("epoch", func.clock_timestamp())


class SqlSeats:
    """``Seats`` of a ledger.

    Args:
        writing: opens a writing transaction of the ledger.
        reading: opens a reading one.
        new_seat: gives a number that no other seat has.
        lease: seconds without a sign of life until a watcher counts as dead.
    """

    def __init__(
        self,
        writing: Callable[[], AbstractContextManager[Connection]],
        reading: Callable[[], AbstractContextManager[Connection]],
        new_seat: Callable[[], int],
        lease: float = LEASE,
    ) -> None:
        self._writing = writing
        self._reading = reading
        self._new_seat = new_seat
        self._lease = lease
        self._seat = 0
        self._batch = 0

    @property
    def taken(self) -> bool:
        """Whether this watcher sits."""
        return self._seat != 0

    def sit(self) -> int:
        """See ``Seats``."""
        self._seat, self._batch = self._new_seat(), 0
        row = {"seat": self._seat, "name": written(process()), "seen": NOW, "batch": 0}
        with self._writing() as connection:
            connection.execute(insert(WATCHERS).values(row))
        return self._seat

    def renew(self) -> None:
        """See ``Seats``."""
        with self._writing() as connection:
            self._prove(connection)
            connection.execute(update(WATCHERS).where(W.seat == self._seat).values(seen=NOW))

    def leave(self) -> None:
        """See ``Seats``."""
        with self._writing() as connection:
            self._free_accepted(connection, self._seat)
            connection.execute(delete(WATCHERS).where(W.seat == self._seat))
        self._seat = 0

    def fence(self, connection: Connection) -> bool:
        """Begin a batch: False when it is the last one again, which was recorded after all.

        Raises:
            Fenced: the seat was taken away.
        """
        mine = update(WATCHERS).where(W.seat == self._seat, W.batch == self._batch)
        if connection.execute(mine.values(batch=self._batch + 1)).rowcount == 1:
            return True
        self._prove(connection)
        return False

    def passed(self) -> None:
        """The batch that ``fence`` began is recorded."""
        self._batch += 1

    def claim(self, lane: Lane, limit: int, held: Collection[int]) -> list[Work]:
        """See ``Seats``."""
        free = (
            select(F.id)
            .where(F.folder == written(lane.folder), F.rule == written(lane.rule), ACCEPTED)
            # ours and not in hand: the reply of an earlier claim was lost
            .where(F.holder.in_((0, self._seat)), F.id.not_in(tuple(held)))
            .order_by(F.priority.desc(), F.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._writing() as connection:
            self._prove(connection)
            ids = list(connection.scalars(free))
            mine = {"holder": self._seat, "version": F.version + 1}
            connection.execute(update(FILES).where(F.id.in_(ids)).values(mine))
            asked = select(FILES).where(F.id.in_(ids)).order_by(F.priority.desc(), F.id)
            return reading.works(connection, asked)

    def lanes(self, known: Collection[Lane]) -> set[Lane]:
        """See ``Seats``."""
        with self._reading() as connection:
            return {lane for lane in known if self._has_free(connection, lane)}

    def _has_free(self, connection: Connection, lane: Lane) -> bool:
        asked = select(F.id).where(F.folder == written(lane.folder), F.rule == written(lane.rule))
        free = asked.where(ACCEPTED, F.holder.in_((0, self._seat))).limit(1)
        return connection.execute(free).first() is not None

    def lapsed(self) -> list[int]:
        """See ``Seats``."""
        with self._writing() as connection:
            self._prove(connection)
            dead = W.seen < NOW - self._lease
            for name in connection.scalars(select(W.name).where(dead)):
                self._disconnect(connection, read(name))
            connection.execute(delete(WATCHERS).where(dead))
            gone = ~exists().where(W.seat == F.holder)
            return list(connection.scalars(select(F.holder).distinct().where(HELD, gone)))

    def _disconnect(self, connection: Connection, name: str) -> None:
        """End a dead watcher's connections: paused in a transaction, it would hold its locks."""
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
        connection.exec_driver_sql(end, (session(name),))

    def inherit(self, seat: int) -> list[Work]:
        """See ``Seats``."""
        with self._writing() as connection:
            self._prove(connection)
            self._free_accepted(connection, seat)
            taken = (
                update(FILES)
                .where(F.holder == seat, UNFINISHED)
                .values(holder=self._seat, version=F.version + 1)
                .returning(F.id)
            )
            ids = list(connection.scalars(taken))
            return reading.works(connection, select(FILES).where(F.id.in_(ids)).order_by(F.id))

    def watchers(self) -> list[Watcher]:
        """See ``Seats``."""
        with self._reading() as connection:
            asked = select(W.seat, W.name, NOW - W.seen).order_by(W.seat)
            return [
                Watcher(seat, read(name), max(0.0, float(silent)))
                for seat, name, silent in connection.execute(asked)
            ]

    def _free_accepted(self, connection: Connection, seat: int) -> None:
        free = update(FILES).where(F.holder == seat, ACCEPTED)
        connection.execute(free.values(holder=0, version=F.version + 1))

    def _prove(self, connection: Connection) -> None:
        """The seat is still ours, and stays so until this transaction ends."""
        row = select(W.seat).where(W.seat == self._seat).with_for_update(key_share=True, read=True)
        if connection.execute(row).first() is None:
            raise Fenced(
                "another watcher took over this one's files",
                fix="it begins anew by itself",
            )
