"""Alert table and outbox in one SQLite database, changed together in one transaction a batch that has alerts.

A row leaves the outbox when the broker has taken it. The table has one row a device and head: its standing alert, or
the last one that ended. WAL with `synchronous=FULL`: a commit is on the disk when it returns. One thread writes.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.store.file import set_aside
from agent.words import AlertEvent

ALERT_TABLE = "alerts.db"  # in the state directory
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 30.0  # a person's shell may hold the database for a while
_TABLES = """
CREATE TABLE alert (
    device TEXT NOT NULL, head TEXT NOT NULL, source TEXT NOT NULL, stands INTEGER NOT NULL, t_ns INTEGER NOT NULL,
    event BLOB NOT NULL, PRIMARY KEY (device, head)
) WITHOUT ROWID;
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
    retain INTEGER NOT NULL
);
CREATE INDEX outbox_topic ON outbox (topic);
"""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish at QoS 1. `kind` is that of its event; a retained one replaces its forerunner."""

    kind: str
    topic: str
    payload: bytes
    retain: bool


class Unusable(Exception):
    """The content is not an alert table of ours. A disk that is full or fails says nothing about the content."""


class Outbox:
    """The open database. Every method raises sqlite3.Error when the disk fails: nothing is then half done."""

    def __init__(self, path: Path, rows_max: int) -> None:
        self._rows_max = rows_max
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
                key = (event.device, event.head)
                if event.cause in ("forgotten", "source_removed"):  # it starts as one never heard
                    db.execute("DELETE FROM alert WHERE device = ? AND head = ?", key)
                    continue
                row = (*key, event.source, event.state != "normal", event.t_ns, msgspec.json.encode(event))
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

    def waiting(self, after: int, limit: int) -> list[tuple[int, Outgoing]]:
        """The next messages to publish with a number above `after`, oldest first."""
        rows = self._db.execute(
            "SELECT number, kind, topic, payload, retain FROM outbox WHERE number > ? ORDER BY number LIMIT ?",
            (after, limit),
        )
        return [(number, Outgoing(kind, topic, payload, bool(retain))) for number, kind, topic, payload, retain in rows]

    def remove(self, numbers: Iterable[int]) -> None:
        """The broker has these."""
        with self._transaction() as db:
            db.executemany("DELETE FROM outbox WHERE number = ?", [(number,) for number in numbers])

    def __len__(self) -> int:
        """Messages that the broker has not taken yet."""
        count: int = self._db.execute("SELECT count(*) FROM outbox").fetchone()[0]
        return count

    def standing(self) -> list[AlertEvent]:
        """The last event of each standing alert."""
        return [
            read_event(row[0]) for row in self._db.execute("SELECT event FROM alert WHERE stands ORDER BY device, head")
        ]

    def newest_t_ns(self) -> dict[tuple[str, str], int]:
        """(source, device) -> event time of the device's newest alert event."""
        rows = self._db.execute("SELECT source, device, max(t_ns) FROM alert GROUP BY source, device")
        return {(source, device): t_ns for source, device, t_ns in rows}

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
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
            row = (one.kind, one.topic, one.payload, one.retain)
            db.execute("INSERT INTO outbox (kind, topic, payload, retain) VALUES (?, ?, ?, ?)", row)
        excess = db.execute("SELECT count(*) FROM outbox").fetchone()[0] - self._rows_max
        for which in ("kind = 'updated' AND NOT retain", "NOT retain"):  # what stands is retained and stays
            if excess > 0:
                oldest = f"SELECT number FROM outbox WHERE {which} ORDER BY number LIMIT ?"
                gone = db.execute(f"DELETE FROM outbox WHERE number IN ({oldest})", (excess,)).rowcount
                self.dropped += gone
                excess -= gone


def _open(path: Path) -> sqlite3.Connection:
    """Raises Unusable when the content is at fault, sqlite3.OperationalError when the disk is."""
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _check(db)
    except sqlite3.DatabaseError as error:
        db.close()
        # the primary code; SQLITE_ERROR is a table or column that is not there
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            raise Unusable(str(error)) from None
        raise
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    """Make the tables of a new database, or read those of an old one."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
        db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        return
    if version != SCHEMA_VERSION:
        raise Unusable(f"its schema is version {version}, this forewarn reads version {SCHEMA_VERSION}")
    found = db.execute("PRAGMA quick_check").fetchone()[0]
    if found != "ok":
        raise Unusable(found)
    for device, head, event in db.execute("SELECT device, head, event FROM alert"):
        try:
            read_event(event)
        except (msgspec.DecodeError, TypeError) as error:
            raise Unusable(f"the alert of {device!r}, {head!r} cannot be read ({error})") from None
    db.execute("SELECT number, kind, topic, payload, retain FROM outbox").fetchone()


def read_event(data: bytes) -> AlertEvent:
    """An event of the table. Raises msgspec.DecodeError."""
    return msgspec.json.decode(data, type=AlertEvent)
