"""A database of an older version is read: what stood stands, and what waited leaves as it was written."""

import json
import sqlite3
from contextlib import closing

import msgspec
import pytest

from agent.publish.message import event_message, outgoing
from agent.publish.topic import Topics
from agent.store.alert_table import AlertTable
from agent.store.cursor import Parked
from agent.store.outbox import Outbox
from agent.words import UNKNOWN_BUNDLE, AlertEvent
from tests.alert_events import CYCLES, event

TABLES_OF_1 = """
CREATE TABLE alert (
    device TEXT NOT NULL, head TEXT NOT NULL, source TEXT NOT NULL, stands INTEGER NOT NULL, t_ns INTEGER NOT NULL,
    event BLOB NOT NULL, PRIMARY KEY (device, head)
) WITHOUT ROWID;
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
    retain INTEGER NOT NULL
);
CREATE INDEX outbox_topic ON outbox (topic);
PRAGMA user_version = 1;
"""
TO_2 = """
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
PRAGMA user_version = 2;
"""
UNITS_OF_1 = "CREATE TABLE units (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), units BLOB NOT NULL)"
HOURLY = msgspec.structs.replace(CYCLES, name="hourly", digest="c" * 64, time_unit="s", horizons=("1 h", "6 h", "1 d"))
TOPICS = Topics.of("f", "n")


def old_message(one: AlertEvent) -> bytes:
    """As versions 1 and 2 published it: of today's message all but the model."""
    return msgspec.json.encode(
        {name: value for name, value in json.loads(event_message(one)).items() if name != "model"}
    )


def old_event(one: AlertEvent) -> bytes:
    """As versions 1 and 2 kept it: without a model, with an array of its own for each head."""
    same = {name: value for name, value in msgspec.to_builtins(one).items() if name not in ("model", "outputs")}
    return msgspec.json.encode(same | {name: one.outputs.get(name, ()) for name in ("risk", "rul")})


def write_alert(db: sqlite3.Connection, one: AlertEvent) -> None:
    row = (one.device, one.head, one.source, one.state != "normal", one.t_ns, old_event(one))
    db.execute("INSERT INTO alert VALUES (?, ?, ?, ?, ?, ?)", row)


def write_event(db: sqlite3.Connection, one: AlertEvent, parked: int = 0) -> None:
    row = (one.kind, "f/n/event", old_message(one), 0, f"{one.source}/{one.device}/{one.head}", parked)
    db.execute("INSERT INTO outbox (kind, topic, payload, retain, chain, parked) VALUES (?, ?, ?, ?, ?, ?)", row)


def write_retained(db: sqlite3.Connection, kind: str, topic: str, payload: bytes) -> None:
    db.execute("INSERT INTO outbox (kind, topic, payload, retain) VALUES (?, ?, ?, 1)", (kind, topic, payload))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts.db"


@pytest.fixture
def old(path):
    """A database of version 2, empty."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(TABLES_OF_1 + TO_2)
        yield db


A = event("raised", "a", t=5.0)
EVENTS = {
    "of cycles": A,
    "of a clock": event("raised", "a", t=1_700_000_000.5, bundle=HOURLY),
    "of numbers that are not round": msgspec.structs.replace(
        A, outputs={"risk": (1e-30, 0.1, 1.0), "rul": (0.1, 33.3, 3e38)}
    ),
    "decided by another bundle": msgspec.structs.replace(
        event("cleared", "a", t=1_700_000_000.0), raised_t_ns=57 * 10**9, decided_by=HOURLY
    ),
    "of a forgotten device": msgspec.structs.replace(event("cleared", "a", t=5.0, cause="forgotten"), outputs={}),
    "of an unknown bundle": msgspec.structs.replace(A, bundle=UNKNOWN_BUNDLE),
    "without time to fault": msgspec.structs.replace(A, outputs={"risk": A.outputs["risk"]}),
    "of odd names": msgspec.structs.replace(A, source="a/b", device='50% ü/+#"'),
}


@pytest.mark.parametrize("one", EVENTS.values(), ids=EVENTS)
def test_what_waited_leaves_as_it_was_written_and_names_the_main_model(path, old, one):
    write_event(old, one)
    outbox = Outbox(path, 100)
    assert outbox.aside is None
    (due,) = outbox.cursor("mqtt", mirrors=True).sendable(9)
    assert (due.key, due.is_alert) == (one.key, False)
    assert outgoing(due, TOPICS).payload == event_message(one)


@pytest.mark.slow
def test_a_full_outbox_and_all_that_stood_is_there(path, old):
    """In its order, with what was refused, and what was still to be retained or taken away."""
    stands, ended = event("raised", "b", t=6.0, device="e/2"), event("cleared", "c", t=7.0, device="e3")
    for one in (A, stands, ended):
        write_alert(old, one)
    for number in range(1000):
        write_event(old, event("updated", f"{number}", t=number, device=f"d{number % 7}"), parked=2 * (number % 7 == 3))
    write_retained(old, "raised", "f/n/alert/press/e%2F2/risk", b"{}")
    write_retained(old, "cleared", "f/n/alert/press/gone/risk", b"")
    write_retained(old, "removed", "f/n/alert/e1/risk", b"")
    outbox = Outbox(path, 2000)
    cursor = outbox.cursor("mqtt", mirrors=True)
    assert outbox.aside is None
    assert outbox.standing() == [stands, A]
    assert outbox.newest()["press", "e3"] == (0, 7 * 10**9)
    due = cursor.sendable(2000)
    assert [one.event.alert for one in due if not one.is_alert] == [f"{n}" for n in range(1000) if n % 7 != 3]
    assert [one.event.alert for one in cursor.refused(Parked.FOR_GOOD, 0, 9)] == ["3"]
    assert (cursor.waiting, cursor.parked) == (859, 143)
    retained = [outgoing(one, TOPICS) for one in due if one.is_alert]
    assert [(one.topic, one.payload) for one in retained] == [
        ("f/n/alert/press/e%2F2/risk", event_message(stands)),
        ("f/n/alert/press/gone/risk", b""),
    ]
    cursor.settle([one.number for one in due], {})
    outbox.commit([event("cleared", "b", t=9.0, device="e/2")])
    outbox.close()
    again = Outbox(path, 2000)
    assert (again.aside, again.standing()) == (None, [A])


def test_a_database_of_version_1_is_read_too(path):
    """It had no source in its key, and units beside its events."""
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(f"{TABLES_OF_1}{UNITS_OF_1};")
        write_alert(old, A)
        for one in (A, event("raised", "b", t=6.0, device="e2"), event("cleared", "a", t=7.0)):
            row = (one.kind, "f/n/event", old_message(one))
            old.execute("INSERT INTO outbox (kind, topic, payload, retain) VALUES (?, ?, ?, 0)", row)
        write_retained(old, "cleared", "f/n/alert/e2/risk", b"")
    outbox = Outbox(path, 100)
    assert (outbox.aside, outbox.standing()) == (None, [A])
    due = outbox.cursor("mqtt", mirrors=True).sendable(9)
    assert [(one.event.kind, one.key[1]) for one in due] == [("raised", "e1"), ("raised", "e2"), ("cleared", "e1")]
    outbox.close()
    assert Outbox(path, 100).aside is None


def test_a_command_reads_the_table_before_the_agent_has_started_anew(path, old):
    write_alert(old, A)
    assert AlertTable(path).poll().events == [A]
    assert old.execute("PRAGMA user_version").fetchone() == (2,), "and only reads"


@pytest.mark.parametrize("payload", [b"\0", b'{"source":"\xff"}', b'{"x":' + b"[" * 100_000, 7, b"{}"])
def test_an_event_of_nobody_sets_the_database_aside_as_it_was(path, old, payload):
    row = ("raised", "f/n/event", payload)
    old.execute("INSERT INTO outbox (kind, topic, payload, retain) VALUES (?, ?, ?, 0)", row)
    outbox = Outbox(path, 100)
    assert outbox.why_aside.startswith("an event in its outbox cannot be read")
    with closing(sqlite3.connect(outbox.aside)) as kept:
        assert kept.execute("PRAGMA user_version").fetchone() == (2,)
        assert len(kept.execute("SELECT * FROM outbox").fetchall()) == 1


def test_an_alert_that_was_changed_sets_the_database_aside_as_it_was(path, old):
    write_alert(old, A)
    old.execute("UPDATE alert SET device = 'e3'")
    outbox = Outbox(path, 100)
    assert outbox.why_aside.startswith("the alert of 'press', 'e3', 'risk' is broken")
    with closing(sqlite3.connect(outbox.aside)) as kept:
        assert kept.execute("PRAGMA user_version").fetchone() == (2,)
