"""Alert table and outbox: one transaction, bounded, and only what is broken is set aside."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.store.outbox import Outbox, Outgoing, Parked
from tests.alert_events import event

TABLES_OF_VERSION_1 = """
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
SAID = Outgoing("raised", "f/n/event", b"{}", retain=False)


def said(kind: str, name: str) -> Outgoing:
    return Outgoing(kind, "f/n/event", name.encode(), retain=False)


def stands(device: str, payload: bytes) -> Outgoing:
    return Outgoing("raised", f"f/n/alert/{device}/risk", payload, retain=True)


def waiting(outbox: Outbox) -> list[Outgoing]:
    return [one for _, one in outbox.sendable(1000)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts.db"


def test_table_and_outbox_are_there_after_a_restart(path):
    outbox = Outbox(path, 100)
    raised, other = event("raised", "a", t=5.0), event("raised", "b", t=6.0, device="e2")
    outbox.commit([raised, other], [SAID, stands("e1", b"1")])
    outbox.commit([event("cleared", "b", t=9.0, device="e2")], [])
    outbox.close()
    again = Outbox(path, 100)
    assert again.aside is None
    assert again.standing() == [raised]
    assert again.newest() == {("press", "e1"): (0, 5 * 10**9), ("press", "e2"): (0, 9 * 10**9)}
    assert waiting(again) == [SAID, stands("e1", b"1")]
    assert len(again) == 2


KILL = """
import os, pathlib, signal, sys
from agent.store.outbox import Outbox
from tests.alert_events import event
from tests.unit.store.test_outbox import SAID
outbox = Outbox(pathlib.Path(sys.argv[1]), 100)
outbox.commit([event("raised", "a", t=5.0)], [SAID])
if sys.argv[2] == "inside":
    outbox._db.execute("BEGIN IMMEDIATE")
    outbox._db.execute("DELETE FROM alert")
    outbox._db.execute("DELETE FROM outbox")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("where", ["after", "inside"])
def test_kill_9_loses_no_commit_and_leaves_no_half_of_one(path, where):
    subprocess.run([sys.executable, "-c", KILL, str(path), where], check=False, env={**os.environ, "PYTHONPATH": "."})
    outbox = Outbox(path, 100)
    assert [one.alert for one in outbox.standing()] == ["a"]
    assert waiting(outbox) == [SAID]


def test_a_commit_is_on_the_disk_when_it_returns(path):
    """WAL alone does not sync at a commit; `synchronous=FULL` does."""
    outbox = Outbox(path, 100)
    assert outbox._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert outbox._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_commit_that_fails_changes_neither_table_nor_outbox(path):
    outbox = Outbox(path, 100)
    broken = Outgoing("raised", None, b"", retain=False)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        outbox.commit([event("raised", "a", t=5.0)], [SAID, broken])
    assert outbox.standing() == []
    assert waiting(outbox) == []
    outbox.commit([event("raised", "a", t=5.0)], [SAID])
    assert waiting(outbox) == [SAID]


def test_a_forgotten_device_leaves_the_table(path):
    """It starts as one never heard, perhaps with an earlier clock: its old event time must not make its rows late."""
    outbox = Outbox(path, 100)
    outbox.commit([event("raised", "a", t=5.0)], [])
    outbox.commit([event("cleared", "a", t=5.0, cause="forgotten")], [])
    assert outbox.standing() == []
    assert outbox.newest() == {}


def test_messages_leave_in_their_order_and_their_numbers_are_never_used_again(path):
    outbox = Outbox(path, 100)
    outbox.append([said("raised", str(number)) for number in range(4)])
    numbers = [number for number, _ in outbox.sendable(2)]
    outbox.settle(numbers, {})
    assert [one.payload for one in waiting(outbox)] == [b"2", b"3"]
    assert [number for number, _ in outbox.sendable(1)] == [numbers[-1] + 1]
    last = outbox.sendable(10)[-1][0]
    outbox.settle([number for number, _ in outbox.sendable(10)], {})
    outbox.append([SAID])
    assert outbox.sendable(10)[0][0] > last, "an acknowledgement under way must not remove a later message"


def test_what_stands_now_replaces_what_stood_before(path):
    outbox = Outbox(path, 100)
    outbox.append([stands("e1", b"1"), said("raised", "r"), stands("e2", b"2"), stands("e1", b"")])
    assert waiting(outbox) == [said("raised", "r"), stands("e2", b"2"), stands("e1", b"")]


def of(chain: str, step: int) -> Outgoing:
    return Outgoing("updated", "f/n/event", f"{chain}{step}".encode(), retain=False, chain=chain)


def numbers(outbox: Outbox) -> dict[bytes, int]:
    return {one.payload: number for number, one in outbox.sendable(1000)}


def test_what_is_refused_is_parked_with_what_follows_in_its_chain_until_it_is_taken(path):
    outbox = Outbox(path, 100)
    outbox.append([of("a", 1), of("a", 2), of("b", 1), of("b", 2), SAID])
    first = numbers(outbox)[b"a1"]
    outbox.settle([], {first: Parked.FOR_GOOD})
    outbox.append([of("a", 3)])
    assert (outbox.waiting, outbox.parked, len(outbox)) == (3, 3, 6)
    assert list(numbers(outbox)) == [b"b1", b"b2", b"{}"]
    outbox.close()
    outbox = Outbox(path, 100)
    assert (outbox.waiting, outbox.parked) == (3, 3), "the database knows"
    assert outbox.refused(Parked.FOR_NOW, 0, 9) == []
    assert [one.payload for _, one in outbox.refused(Parked.FOR_GOOD, 0, 9)] == [b"a1"], "one of a chain"
    assert outbox.refused(Parked.FOR_GOOD, first, 9) == []
    outbox.settle([first], {})
    assert (outbox.waiting, outbox.parked) == (5, 0)
    assert list(numbers(outbox)) == [b"a2", b"b1", b"b2", b"{}", b"a3"]


def test_what_stands_anew_is_not_parked_for_what_stood_before(path):
    """The count follows the row that is replaced."""
    outbox = Outbox(path, 100)
    outbox.append([stands("e1", b"1")])
    outbox.settle([], {numbers(outbox)[b"1"]: Parked.FOR_GOOD})
    assert (outbox.waiting, outbox.parked) == (0, 1)
    outbox.append([stands("e1", b"2")])
    assert (outbox.waiting, outbox.parked) == (1, 0)


def test_a_new_connection_frees_all_that_is_parked(path):
    outbox = Outbox(path, 100)
    outbox.append([of("a", 1), of("a", 2), stands("e1", b"1")])
    outbox.settle([], {number: Parked.TOO_LARGE for number, _ in outbox.sendable(9)})
    assert (outbox.waiting, outbox.parked) == (0, 3)
    outbox.unpark()
    assert (outbox.waiting, outbox.parked) == (3, 0)


def test_an_older_database_is_migrated_in_place(path):
    """Its events leave in the order of their devices, and what stands stands. What was to be retained is said anew."""
    old = sqlite3.connect(path)
    old.executescript(TABLES_OF_VERSION_1)
    old.execute(
        "INSERT INTO alert VALUES ('e1', 'risk', 'press', 1, 5000000000, ?)",
        (msgspec.json.encode(event("raised", "a", t=5.0)),),
    )
    for kind, device in (("raised", "e1"), ("raised", "e2"), ("cleared", "e1")):
        payload = msgspec.json.encode({"event": kind, "source": "press", "device": device, "head": "risk"})
        old.execute("INSERT INTO outbox (kind, topic, payload, retain) VALUES (?, 'f/n/event', ?, 0)", (kind, payload))
    old.execute("INSERT INTO outbox (kind, topic, payload, retain) VALUES ('cleared', 'f/n/alert/e2/risk', x'', 1)")
    old.commit()
    old.close()
    outbox = Outbox(path, 100)
    assert outbox.aside is None
    assert [one.alert for one in outbox.standing()] == ["a"]
    assert len(outbox) == outbox.waiting == 3
    chains = [(one.kind, one.chain) for one in waiting(outbox)]
    assert chains == [("raised", "press/e1/risk"), ("raised", "press/e2/risk"), ("cleared", "press/e1/risk")]
    outbox.close()
    assert Outbox(path, 100).aside is None


def test_two_sources_that_use_one_id_have_an_alert_each(path):
    outbox = Outbox(path, 100)
    one = event("raised", "a", t=5.0)
    other = msgspec.structs.replace(event("raised", "b", t=6.0), source="oven")
    outbox.commit([one, other], [])
    assert [alert.source for alert in outbox.standing()] == ["oven", "press"]
    outbox.commit([msgspec.structs.replace(other, kind="cleared", state="normal")], [])
    assert outbox.standing() == [one]
    outbox.forget([("oven", "e1"), ("press", "e1")])
    assert outbox.newest() == {("press", "e1"): (0, 5 * 10**9)}, "what stands is not forgotten"


@pytest.mark.parametrize("payload", [b"\0", b'{"source":"\xff"}', b'{"x":' + b"[" * 100_000, 7])
def test_an_older_database_with_an_event_of_nobody_is_set_aside_as_it_was(path, payload):
    old = sqlite3.connect(path)
    old.executescript(TABLES_OF_VERSION_1)
    old.execute(
        "INSERT INTO outbox (kind, topic, payload, retain) VALUES ('raised', 'f/n/event', ?, 0)", (payload or 7,)
    )
    old.commit()
    old.close()
    outbox = Outbox(path, 100)
    assert outbox.why_aside.startswith("an event in its outbox cannot be read")
    kept = sqlite3.connect(outbox.aside)
    assert kept.execute("PRAGMA user_version").fetchone() == (1,)
    assert len(kept.execute("SELECT * FROM outbox").fetchall()) == 1


KINDS = st.sampled_from(["raised", "updated", "cleared"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(KINDS, max_size=30), max_size=12), st.integers(5, 20))
def test_a_full_outbox_drops_updates_first_then_the_oldest_and_never_what_stands(tmp_path_factory, batches, rows_max):
    """Law 5, against a list. What is dropped is counted."""
    outbox = Outbox(tmp_path_factory.mktemp("state") / "alerts.db", rows_max)
    outbox.append([stands(f"e{number}", b"1") for number in range(4)])
    model: list[Outgoing] = []
    dropped = 0
    for batch, kinds in enumerate(batches):
        new = [said(kind, f"{batch}.{number}") for number, kind in enumerate(kinds)]
        outbox.append(new)
        model += new
        for is_first in (lambda one: one.kind == "updated", lambda one: True):
            for one in [one for one in model if is_first(one)][: max(0, len(model) + 4 - rows_max)]:
                model.remove(one)
                dropped += 1
    assert waiting(outbox) == [stands(f"e{number}", b"1") for number in range(4)] + model
    assert outbox.dropped == dropped
    assert len(outbox) <= rows_max


def spoilt(path, how: str) -> None:
    outbox = Outbox(path, 100)
    outbox.commit([event("raised", "a", t=5.0)], [SAID])
    outbox.close()
    db = sqlite3.connect(path)
    match how:
        case "not a database":
            path.write_bytes(b"junk" * 5000)
        case "torn":
            path.write_bytes(path.read_bytes()[:5000])
        case "flipped":
            data = bytearray(path.read_bytes())
            data[4096:4200] = bytes(104)
            path.write_bytes(data)
        case "newer":
            db.execute("PRAGMA user_version = 3")
        case "foreign":
            db.executescript("DROP TABLE alert; CREATE TABLE song (name TEXT); PRAGMA user_version = 0")
        case "no table":
            db.execute("DROP TABLE alert")
        case "other columns":
            db.executescript("DROP TABLE outbox; CREATE TABLE outbox (number INTEGER)")
        case "not an event":
            db.execute("UPDATE alert SET event = '{}'")
            db.commit()
    db.close()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("not a database", "not a database"),
        ("torn", "malformed"),
        ("flipped", ""),
        ("newer", "its schema is version 3, this forewarn reads version 2"),
        ("foreign", "its schema is version 0"),
        ("no table", "no such table: alert"),
        ("other columns", "no such column"),
        ("not an event", "the alert of 'press', 'e1', 'risk' is broken: Object missing required field"),
    ],
)
def test_a_database_that_is_not_ours_is_set_aside_with_the_reason(path, how, why):
    spoilt(path, how)
    before = path.read_bytes()
    outbox = Outbox(path, 100)
    assert why in outbox.why_aside
    assert outbox.aside is not None
    assert outbox.aside.read_bytes() == before
    assert outbox.standing() == []
    outbox.commit([event("raised", "b", t=7.0)], [SAID])
    outbox.close()
    assert Outbox(path, 100).aside is None


CHANGED = {
    "event without UTF-8": ("alert", "event", lambda old: old.replace(b"press", b"\xf0ress")),
    "event of another source": ("alert", "event", lambda old: old.replace(b"press", b"prers")),
    "event of another device": ("alert", "event", lambda old: old.replace(b'"e1"', b'"e3"')),
    "event of another head": ("alert", "event", lambda old: old.replace(b'"risk"', b'"risk "')),
    "event of another time": ("alert", "event", lambda old: old.replace(b'"t_ns":5', b'"t_ns":4')),
    "event that ended": ("alert", "event", lambda old: old.replace(b"unacknowledged", b"normal")),
    "event nested too deep": ("alert", "event", lambda _: b'{"x":' + b"[" * 100_000),
    "another source": ("alert", "source", lambda _: "oven"),
    "another device": ("alert", "device", lambda _: "e3"),
    "another head": ("alert", "head", lambda _: "rul"),
    "another time": ("alert", "t_ns", lambda old: old ^ 1),
    "an end": ("alert", "stands", lambda _: 0),
    "a standing of 3": ("alert", "stands", lambda _: 3),
    "a topic with a wildcard": ("outbox", "topic", lambda old: old.replace("/", "+", 1)),
    "a topic with the other wildcard": ("outbox", "topic", lambda old: old.replace("f", "#", 1)),
    "a topic with a control character": ("outbox", "topic", lambda old: old.replace("n", "\x00")),
    "an empty topic": ("outbox", "topic", lambda _: ""),
    "a topic of bytes": ("outbox", "topic", str.encode),
    "a kind of bytes": ("outbox", "kind", str.encode),
    "a chain of bytes": ("outbox", "chain", str.encode),
    "a payload of text": ("outbox", "payload", bytes.decode),
}


@pytest.mark.parametrize(("table", "column", "change"), CHANGED.values(), ids=CHANGED)
def test_a_row_that_was_changed_is_found_where_the_database_is_whole(path, table, column, change):
    """A bit that flips within a value: SQLite finds nothing wrong with it."""
    outbox = Outbox(path, 100)
    outbox.commit([event("raised", "a", t=5.0)], [said("raised", "a"), said("updated", "b")])
    outbox.close()
    with closing(sqlite3.connect(path)) as db, db:
        (old,) = db.execute(f"SELECT max({column}) FROM {table}").fetchone()
        new = change(old)
        assert new != old
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, old))
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
    outbox = Outbox(path, 100)
    assert outbox.aside is not None
    assert outbox.why_aside.startswith("the alert of " if table == "alert" else "message ")
    outbox.commit([event("raised", "b", t=7.0)], [SAID])
    outbox.close()
    assert Outbox(path, 100).aside is None


@pytest.mark.parametrize(("table", "column"), [("alert", "device"), ("outbox", "topic"), ("outbox", "chain")])
def test_text_that_is_no_text_is_found(path, table, column):
    outbox = Outbox(path, 100)
    outbox.commit([event("raised", "a", t=5.0)], [SAID])
    outbox.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE {table} SET {column} = CAST(x'e531' AS TEXT)")
    outbox = Outbox(path, 100)
    assert "Could not decode to UTF-8" in outbox.why_aside
    assert outbox.standing() == []


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_bit_flips_the_table_is_used_or_set_aside(tmp_path_factory, data):
    """And what is used can be read and sent."""
    path = tmp_path_factory.mktemp("state") / "alerts.db"
    outbox = Outbox(path, 100)
    outbox.commit([event("raised", "a", t=5.0), event("cleared", "b", t=6.0, device="e2")], [of("a", 1), SAID])
    outbox.close()
    content = bytearray(path.read_bytes())
    read_only = (18, 19)  # bytes of the header by which a database is read-only, as by the rights of its file
    used = [place for place, byte in enumerate(content) if byte and place not in read_only]
    content[data.draw(st.sampled_from(used))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    outbox = Outbox(path, 100)
    for one in waiting(outbox):
        assert not set("+#") & set(one.topic)
    assert {(one.source, one.device) for one in outbox.standing()} <= set(outbox.newest())
    outbox.commit([event("updated", "a", t=7.0)], [SAID])
    outbox.close()


FULL_DISK = """
import pathlib, signal, sqlite3, sys
from agent.store.outbox import Outbox
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    Outbox(pathlib.Path(sys.argv[1]), 100)
except sqlite3.OperationalError as error:
    print(error)
"""


def test_a_full_disk_at_the_start_costs_no_alert(path):
    """SQLite cannot open its files then, which says nothing about what is in them: nothing is set aside."""
    subprocess.run([sys.executable, "-c", KILL, str(path), "after"], check=False, env={**os.environ, "PYTHONPATH": "."})
    before = path.read_bytes(), path.with_name("alerts.db-wal").read_bytes()
    limited = ["prlimit", "--fsize=10", sys.executable, "-c", FULL_DISK, str(path)]
    done = subprocess.run(limited, capture_output=True, text=True, check=True)
    assert "disk" in done.stdout
    assert (path.read_bytes(), path.with_name("alerts.db-wal").read_bytes()) == before
    assert [one.alert for one in Outbox(path, 100).standing()] == ["a"]


def test_a_database_that_somebody_holds_is_waited_for_and_not_set_aside(path, monkeypatch):
    Outbox(path, 100).close()
    monkeypatch.setattr("agent.store.outbox.BUSY_TIMEOUT_S", 0.05)
    shell = sqlite3.connect(path, isolation_level=None)
    outbox = Outbox(path, 100)
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        outbox.commit([event("raised", "a", t=5.0)], [SAID])
    shell.execute("ROLLBACK")
    outbox.commit([event("raised", "a", t=5.0)], [SAID])
    assert len(outbox.standing()) == 1


def test_events_are_stored_whole(path):
    """What `forewarn alerts` and a restart know of an alert is all of its last event."""
    outbox = Outbox(path, 100)
    odd = msgspec.structs.replace(event("raised", "a", t=5.0, device="50% ü/+#"), risk=(0.1, 1e-30, 1.0), rul=())
    outbox.commit([odd], [])
    assert outbox.standing() == [odd]
