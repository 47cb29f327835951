"""The tables of alerts.db, how their rows are checked, and how an older database becomes one of today.

SQLite has no checksum: a bit that flips within a value leaves a database that is whole for SQLite. So each alert is
held against the columns beside it, and of a message it is checked that it can be published at all.

Version 2 says of each row of the outbox in which chain it is, and whether the broker has refused it. The events of one
device and head are a chain, `SOURCE/DEVICE/HEAD`: they leave in their order. A device is its source and its id.
"""

import re
import sqlite3

import msgspec

from agent.errors import Unreadable
from agent.words import AlertEvent

SCHEMA_VERSION = 2
_TABLES_OF_1 = """
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
_TO_2 = """
ALTER TABLE alert RENAME TO alert_1;
CREATE TABLE alert (
    device TEXT NOT NULL, head TEXT NOT NULL, source TEXT NOT NULL, stands INTEGER NOT NULL, t_ns INTEGER NOT NULL,
    event BLOB NOT NULL, PRIMARY KEY (source, device, head)
) WITHOUT ROWID;
INSERT INTO alert SELECT * FROM alert_1;
DROP TABLE alert_1;
DROP TABLE IF EXISTS units;
DELETE FROM outbox WHERE retain;
ALTER TABLE outbox ADD COLUMN chain TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN parked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX outbox_chain ON outbox (chain, number);
CREATE INDEX outbox_parked ON outbox (parked, number);
"""

ALERTS = "SELECT source, device, head, stands, t_ns, event FROM alert"
_NO_TOPIC = re.compile(r"[+#\x00-\x1f\x7f]|\A\Z")  # a client may not publish it


class Unusable(Exception):
    """The content is not an alert table of ours. A disk that is full or fails says nothing about the content."""


class _Event(msgspec.Struct):
    """What an event says of its chain."""

    source: str
    device: str
    head: str


def read_alert(row: tuple[str, str, str, int, int, bytes]) -> AlertEvent:
    """The event of a row of ALERTS. Raises Unusable when it cannot be read, or is not the one of its columns."""
    *columns, data = row
    where = f"the alert of {row[0]!r}, {row[1]!r}, {row[2]!r} is broken"
    try:
        event = msgspec.json.decode(data, type=AlertEvent)
    except (*Unreadable, TypeError) as error:
        raise Unusable(f"{where}: {error}") from None
    said = (event.source, event.device, event.head, event.state != "normal", event.t_ns)
    for name, column, value in zip(("source", "device", "head", "stands", "t_ns"), columns, said, strict=True):
        if column != value:
            raise Unusable(f"{where}: its event says {value!r} for {name}, the table {column!r}")
    return event


def check_rows(db: sqlite3.Connection) -> None:
    """Raises Unusable for a row that is not as it was written, as far as that can be seen."""
    for row in db.execute(ALERTS):
        read_alert(row)
    for number, *texts, payload in db.execute("SELECT number, kind, chain, topic, typeof(payload) FROM outbox"):
        if not all(isinstance(text, str) for text in texts) or payload != "blob" or _NO_TOPIC.search(texts[-1]):
            raise Unusable(f"message {number} of its outbox is broken: it cannot be published to {texts[-1]!r}")
    db.execute("BEGIN IMMEDIATE")  # and a new one can be added
    db.execute("INSERT INTO outbox (kind, topic, payload, retain) VALUES ('', '', x'', 0)")
    db.execute("ROLLBACK")


def create(db: sqlite3.Connection) -> None:
    """The tables of a new database."""
    db.executescript(f"BEGIN; {_TABLES_OF_1} {_TO_2} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


def migrate(db: sqlite3.Connection) -> None:
    """From version 1, in one transaction. What stands is published again anyhow, under the topics of today.

    Raises Unusable when an event cannot be read: nothing has then changed.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TO_2.split(";"):
            db.execute(statement)
        for number, payload in db.execute("SELECT number, payload FROM outbox WHERE NOT retain").fetchall():
            event = msgspec.json.decode(payload, type=_Event)
            db.execute(
                "UPDATE outbox SET chain = ? WHERE number = ?", (f"{event.source}/{event.device}/{event.head}", number)
            )
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException as error:
        db.execute("ROLLBACK")
        if isinstance(error, (*Unreadable, TypeError)):
            raise Unusable(f"an event in its outbox cannot be read ({error})") from None
        raise
    db.execute("COMMIT")
