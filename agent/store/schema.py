"""The tables of alerts.db, and how an older database becomes one of today.

Version 2 says of each row of the outbox in which chain it is, and whether the broker has refused it. The events of one
device and head are a chain, `SOURCE/DEVICE/HEAD`: they leave in their order. A device is its source and its id.
"""

import sqlite3

import msgspec

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


class Unusable(Exception):
    """The content is not an alert table of ours. A disk that is full or fails says nothing about the content."""


class _Event(msgspec.Struct):
    """What an event says of its chain."""

    source: str
    device: str
    head: str


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
        if isinstance(error, msgspec.DecodeError):
            raise Unusable(f"an event in its outbox cannot be read ({error})") from None
        raise
    db.execute("COMMIT")
