"""What one sink is still to tell, in alerts.db: a sink that hangs holds up its own cursor alone.

A row leaves when the sink's receiver has taken it; an event is kept until no sink has a row of it any more. A row that
the receiver refuses is *parked*, and with it the later events of its chain, so that no event overtakes an earlier one
of its key. Why rows and not one number a sink: receivers refuse one event and take the next, and they acknowledge out
of order, so that "all up to here" would tell much of it twice after a crash.

A sink that `mirrors` the alert table, as retained messages do, also has a row for each key whose copy is behind. Such a
row says what stands when it is sent, not when it was made; a later one of the key replaces it, so there is never more
than one of a key.

The bound counts events. Where there are more, updates go first and then the oldest, but never the newest event of a key
whose alert stands, of which there are no more than keys. So a receiver that comes back after a week is told of all that
stands, and of each key in its order.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from agent.store.database import Database
from agent.store.schema import ALERTS, chain_of, key_of, read_alert, read_event
from agent.words import AlertEvent, AlertKey

_IS_FIRST = """(event IS NULL OR number = (SELECT min(number) FROM due AS other
    WHERE other.sink = due.sink AND other.chain = due.chain AND other.event IS NOT NULL))"""
_IS_NEWEST = _IS_FIRST.replace("min(", "max(")


class Parked(IntEnum):
    """Why a row is not to be sent now, and so when it is tried again."""

    NO = 0
    FOR_NOW = 1  # refused for a reason that may pass by itself
    FOR_GOOD = 2  # refused for one that a person must mend
    TOO_LARGE = 3  # for what the receiver says that it takes
    UNPROVEN = 4  # taken, as the receiver says; nothing shows that it is true


@dataclass(frozen=True, slots=True)
class Due:
    """One thing to tell. `number` is never used again.

    is_alert  False: the event happened. True: what stands of the key now is `event`, its newest one, or nothing where
              that has ended or is None
    """

    number: int
    key: AlertKey
    event: AlertEvent | None
    is_alert: bool


class Cursor:
    """Of one sink. `events_max` bounds the events that are due; `dropped` counts those that it pushed out."""

    def __init__(self, database: Database, sink: str, events_max: int, *, mirrors: bool) -> None:
        self.sink = sink
        self.dropped = 0
        self._database = database
        self._events_max = events_max
        self._mirrors = mirrors
        self._counted = -1, {False: 0, True: 0}  # at which transaction; rows by whether they are parked

    def sendable(self, limit: int) -> list[Due]:
        """The oldest that may be sent; those of one chain only after each other."""
        return self._rows("parked = 0 ORDER BY number LIMIT ?", limit)

    def refused(self, why: Parked, after: int, limit: int) -> list[Due]:
        """The oldest parked ones with a number above `after`, only the first of each chain."""
        return self._rows(f"parked = ? AND number > ? AND {_IS_FIRST} ORDER BY number LIMIT ?", why, after, limit)

    def settle(self, taken: Iterable[int], refused: Mapping[int, Parked]) -> None:
        """Remove what was taken, which frees what is parked behind it; park what was refused, and what follows."""
        with self._database.transaction() as db:
            for number in taken:
                _mark(db, number, Parked.NO)
                _remove(db, number)
            for number, reason in refused.items():
                _mark(db, number, reason)

    def unpark(self) -> None:
        """Another connection, another chance: everything may be sent."""
        self._unpark("parked != 0")

    def unpark_proven(self, *, is_alert: bool) -> None:
        """What was UNPROVEN may be sent again: events, or what stands."""
        self._unpark(f"parked = {int(Parked.UNPROVEN)} AND (event IS NULL) = {int(is_alert)}")

    def _unpark(self, which: str) -> None:
        if self.parked:
            with self._database.transaction() as db:
                db.execute(f"UPDATE due SET parked = 0 WHERE sink = ? AND {which}", (self.sink,))

    def copy(self, key: AlertKey) -> Due:
        """What stands of the key now, to be told beside the rows: it has the number 0."""
        return self._due(0, chain_of(key), None)

    def park_copy(self, key: AlertKey, why: Parked) -> None:
        """The receiver refuses what stands of the key: it becomes a row that is parked."""
        with self._database.transaction() as db:
            self._add_alert(db, chain_of(key), why)

    def standing(self) -> list[AlertKey]:
        """Whose alerts stand now."""
        query = "SELECT source, device, model, head FROM alert WHERE stands ORDER BY source, device, model, head"
        return list(self._database.read(query))

    def __len__(self) -> int:
        """What is due."""
        return self.waiting + self.parked

    @property
    def waiting(self) -> int:
        """What may be sent."""
        return self._count()[False]

    @property
    def parked(self) -> int:
        """What was refused, and what follows it."""
        return self._count()[True]

    def add(self, db: sqlite3.Connection, events: Sequence[tuple[int, AlertEvent]]) -> None:
        """Make events due that were just stored under these numbers, in the transaction of `db`."""
        for number, event in events:
            chain = chain_of(event.key)
            query = "SELECT ifnull(max(parked), 0) FROM due WHERE sink = ? AND chain = ? AND event IS NOT NULL"
            (parked,) = db.execute(query, (self.sink, chain)).fetchone()  # it waits for what the earlier ones wait for
            row = (self.sink, number, chain, parked)
            db.execute("INSERT INTO due (sink, event, chain, parked) VALUES (?, ?, ?, ?)", row)
            if self._mirrors:
                self._add_alert(db, chain)

    def keep_bound(self, db: sqlite3.Connection) -> None:
        """Push out events beyond the bound: updates first, then the oldest, but not the newest of what stands."""
        query = "SELECT count(*) FROM due WHERE sink = ? AND event IS NOT NULL"
        excess = db.execute(query, (self.sink,)).fetchone()[0] - self._events_max
        for which in (f"kind = 'updated' AND NOT {_IS_NEWEST}", f"(kind = 'cleared' OR NOT {_IS_NEWEST})"):
            if excess > 0:
                oldest = f"""SELECT number FROM (SELECT due.*, event.kind FROM due
                    JOIN event ON event.number = due.event) AS due
                    WHERE sink = ? AND {which} ORDER BY number LIMIT ?"""
                gone = db.execute(oldest, (self.sink, excess)).fetchall()
                for (number,) in gone:
                    _remove(db, number)
                self.dropped += len(gone)
                excess -= len(gone)

    def _add_alert(self, db: sqlite3.Connection, chain: str, parked: Parked = Parked.NO) -> None:
        db.execute("DELETE FROM due WHERE sink = ? AND chain = ? AND event IS NULL", (self.sink, chain))
        db.execute("INSERT INTO due (sink, chain, parked) VALUES (?, ?, ?)", (self.sink, chain, parked))

    def _rows(self, where: str, *values: int) -> list[Due]:
        query = f"""SELECT number, chain, (SELECT event FROM event WHERE event.number = due.event)
            FROM due WHERE sink = ? AND {where}"""
        return [self._due(*row) for row in self._database.read(query, self.sink, *values).fetchall()]

    def _due(self, number: int, chain: str, data: bytes | None) -> Due:
        key = key_of(chain)
        if data is not None:
            return Due(number, key, read_event(data, f"event {number} of the outbox"), is_alert=False)
        where = f"{ALERTS} WHERE source = ? AND device = ? AND model = ? AND head = ?"
        row = self._database.read(where, *key).fetchone()
        return Due(number, key, row and read_alert(row), is_alert=True)

    def _count(self) -> dict[bool, int]:
        if self._counted[0] != self._database.n_transactions:
            query = "SELECT parked != 0, count(*) FROM due WHERE sink = ? GROUP BY parked != 0"
            counts = dict(self._database.read(query, self.sink))
            self._counted = self._database.n_transactions, {one: counts.get(int(one), 0) for one in (False, True)}
        return self._counted[1]


def _mark(db: sqlite3.Connection, number: int, reason: Parked) -> None:
    """Park the row and the other events of its chain, or free them."""
    db.execute("UPDATE due SET parked = ? WHERE number = ?", (reason, number))
    whose = "SELECT sink, chain FROM due WHERE number = ? AND event IS NOT NULL"
    query = f"UPDATE due SET parked = ? WHERE (sink, chain) = ({whose}) AND event IS NOT NULL"
    db.execute(query, (reason, number))


def _remove(db: sqlite3.Connection, number: int) -> None:
    """Remove a row, and its event where no other sink is to tell it."""
    event = db.execute("SELECT event FROM due WHERE number = ?", (number,)).fetchone()
    db.execute("DELETE FROM due WHERE number = ?", (number,))
    if event is not None:
        unused = "DELETE FROM event WHERE number = ? AND NOT EXISTS (SELECT 1 FROM due WHERE due.event = event.number)"
        db.execute(unused, event)
