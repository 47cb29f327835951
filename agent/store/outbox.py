"""Alert table and outbox in one SQLite database, changed together in one transaction a batch that has alerts.

A row leaves the outbox when the broker has taken it. One that the broker refuses is *parked*, and with it the later
ones of its chain, so that no event overtakes an earlier one of its device. The table has one row a device and head: its
standing alert, or the last one that ended. WAL with `synchronous=FULL`: a commit is on the disk when it returns. One
thread writes.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import msgspec

from agent.store.file import set_aside
from agent.store.schema import ALERTS, SCHEMA_VERSION, Unusable, check_rows, create, migrate, read_alert
from agent.words import AlertEvent

ALERT_TABLE = "alerts.db"  # in the state directory
BUSY_TIMEOUT_S = 30.0  # a person's shell may hold the database for a while
_COLUMNS = "number, kind, topic, payload, retain, chain"
_IS_FIRST = "(chain = '' OR number = (SELECT min(number) FROM outbox AS other WHERE other.chain = outbox.chain))"


class Parked(IntEnum):
    """Why a row is not to be sent now, and so when it is tried again."""

    NO = 0
    FOR_NOW = 1  # refused for a reason that may pass by itself
    FOR_GOOD = 2  # refused for one that a person must mend
    TOO_LARGE = 3  # for what the broker says that it takes


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish at QoS 1. `kind` is that of its event; a retained one replaces its forerunner.

    Those of the same `chain` leave in their order, the events of one DEVICE/HEAD; "" is in none.
    """

    kind: str
    topic: str
    payload: bytes
    retain: bool
    chain: str = ""


Row = tuple[int, Outgoing]  # its number, which is never used again, and the message


class Outbox:
    """The open database. Every method raises sqlite3.Error when the disk fails: nothing is then half done."""

    def __init__(self, path: Path, rows_max: int) -> None:
        self._rows_max = rows_max
        self._n_rows: dict[bool, int] | None = None  # by whether they are parked; None when a change was made
        self.dropped = 0  # events that the bound pushed out
        self.is_first = not path.exists()  # no alert table was here before
        self.aside: Path | None = None  # where a database is kept that could not be used
        try:
            self._db = _open(path)
        except Unusable as error:
            self.aside, self.why_aside = set_aside(path, along=("-wal", "-shm")), str(error)
            self._db = _open(path)

    def close(self) -> None:
        self._db.close()

    def commit(self, events: Sequence[AlertEvent], outgoing: Sequence[Outgoing]) -> None:
        """Apply alert events to the table and append what is to be published, in one transaction."""
        with self._transaction() as db:
            for event in events:
                key = (event.device, event.head, event.source)
                if event.cause in ("forgotten", "source_removed"):  # it starts as one never heard
                    db.execute("DELETE FROM alert WHERE device = ? AND head = ? AND source = ?", key)
                    continue
                row = (*key, event.state != "normal", event.t_ns, msgspec.json.encode(event))
                db.execute("INSERT OR REPLACE INTO alert VALUES (?, ?, ?, ?, ?, ?)", row)
            self._append(db, outgoing)

    def append(self, outgoing: Sequence[Outgoing]) -> None:
        """Append what is to be published without a change of the table."""
        with self._transaction() as db:
            self._append(db, outgoing)

    def forget(self, devices: Sequence[tuple[str, str]]) -> None:
        """Nobody needs the ended alerts of these (source, device) any more."""
        with self._transaction() as db:
            db.executemany("DELETE FROM alert WHERE source = ? AND device = ? AND NOT stands", devices)

    def sendable(self, limit: int) -> list[Row]:
        """The oldest messages that may be sent; those of one chain only after each other."""
        return self._rows("parked = 0 ORDER BY number LIMIT ?", limit)

    def refused(self, why: Parked, after: int, limit: int) -> list[Row]:
        """The oldest parked ones with a number above `after`, only the first of each chain."""
        return self._rows(f"parked = ? AND number > ? AND {_IS_FIRST} ORDER BY number LIMIT ?", why, after, limit)

    def settle(self, taken: Iterable[int], refused: Mapping[int, Parked]) -> None:
        """Remove what the broker took, which frees what is parked behind it; park what it refused, and what follows."""
        with self._transaction() as db:
            for number in taken:
                self._mark(db, number, Parked.NO)
                db.execute("DELETE FROM outbox WHERE number = ?", (number,))
            for number, reason in refused.items():
                self._mark(db, number, reason)

    def unpark(self) -> None:
        """Another connection, another chance: everything may be sent."""
        if self.parked:
            with self._transaction() as db:
                db.execute("UPDATE outbox SET parked = 0 WHERE parked != 0")

    def __len__(self) -> int:
        """Messages that the broker has not taken yet."""
        return self.waiting + self.parked

    @property
    def waiting(self) -> int:
        """Those among them that may be sent."""
        return self._count()[False]

    @property
    def parked(self) -> int:
        """Those that the broker refused, and those behind them."""
        return self._count()[True]

    def standing(self) -> list[AlertEvent]:
        """The last event of each standing alert."""
        return [read_alert(row) for row in self._db.execute(f"{ALERTS} WHERE stands ORDER BY source, device, head")]

    def newest(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(source, device) -> clock epoch and event time of the device's newest alert event."""
        newest: dict[tuple[str, str], tuple[int, int]] = {}
        for event in map(read_alert, self._db.execute(ALERTS)):
            key, mark = (event.source, event.device), (max(event.t_epoch, event.clock_epoch), event.t_ns)
            newest[key] = max(mark, newest.get(key, mark))
        return newest

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._n_rows = None
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _append(self, db: sqlite3.Connection, outgoing: Sequence[Outgoing]) -> None:
        for one in outgoing:
            if one.retain:
                db.execute("DELETE FROM outbox WHERE topic = ?", (one.topic,))
            row = (one.kind, one.topic, one.payload, one.retain, one.chain, self._reason_before(db, one.chain))
            db.execute(
                "INSERT INTO outbox (kind, topic, payload, retain, chain, parked) VALUES (?, ?, ?, ?, ?, ?)", row
            )
        excess = db.execute("SELECT count(*) FROM outbox").fetchone()[0] - self._rows_max
        for which in ("kind = 'updated' AND NOT retain", "NOT retain"):  # what stands is retained and stays
            if excess > 0:
                oldest = f"SELECT number FROM outbox WHERE {which} ORDER BY number LIMIT ?"
                gone = db.execute(f"DELETE FROM outbox WHERE number IN ({oldest})", (excess,)).rowcount
                self.dropped += gone
                excess -= gone

    def _rows(self, where: str, *values: int) -> list[Row]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM outbox WHERE {where}", values)
        return [
            (number, Outgoing(kind, topic, payload, bool(retain), chain))
            for number, kind, topic, payload, retain, chain in rows
        ]

    def _count(self) -> dict[bool, int]:
        if self._n_rows is None:
            found = dict(self._db.execute("SELECT parked != 0, count(*) FROM outbox GROUP BY parked != 0"))
            self._n_rows = {False: found.get(0, 0), True: found.get(1, 0)}
        return self._n_rows

    def _mark(self, db: sqlite3.Connection, number: int, reason: Parked) -> None:
        """Park the row and the others of its chain, or free them."""
        db.execute("UPDATE outbox SET parked = ? WHERE number = ?", (reason, number))
        of_chain = "(SELECT chain FROM outbox WHERE number = ? AND chain != '')"
        db.execute(f"UPDATE outbox SET parked = ? WHERE chain = {of_chain}", (reason, number))

    def _reason_before(self, db: sqlite3.Connection, chain: str) -> int:
        """Why the earlier ones of the chain wait."""
        if not chain:
            return Parked.NO
        found: int = db.execute("SELECT ifnull(max(parked), 0) FROM outbox WHERE chain = ?", (chain,)).fetchone()[0]
        return found


def _open(path: Path) -> sqlite3.Connection:
    """Raises Unusable when the content is at fault, sqlite3.OperationalError when the disk is."""
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _check(db)
    except sqlite3.DatabaseError as error:
        db.close()
        # the primary code; text that is no UTF-8 has none; SQLITE_ERROR is a table or column that is not there
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            raise Unusable(str(error)) from None
        raise
    except UnicodeDecodeError as error:  # what SQLite says quotes the content
        db.close()
        raise Unusable(f"it holds text that is no UTF-8 ({error})") from None
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    """Make the tables of a new database, or read those of an old one."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
        create(db)
        return
    if version not in (1, SCHEMA_VERSION):
        raise Unusable(f"its schema is version {version}, this forewarn reads version {SCHEMA_VERSION}")
    found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise Unusable(found)
    db.execute("SELECT number, kind, topic, payload, retain FROM outbox").fetchone()
    if version == 1:
        migrate(db)
    db.execute("SELECT chain, parked FROM outbox").fetchone()
    check_rows(db)
