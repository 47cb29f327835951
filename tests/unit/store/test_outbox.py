"""Alert table and outbox: one transaction, and only what is broken is set aside."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.judge import silence
from agent.store.cursor import Due
from agent.store.outbox import Outbox
from agent.store.schema import SCHEMA_VERSION
from agent.words import Hide, InterventionLabel
from tests.alert_events import event

RAISED, OTHER = event("raised", "a", t=5.0), event("raised", "b", t=6.0, device="e2")


def opened(path, **sinks: bool):
    """An outbox, and its cursors by the name of their sinks."""
    outbox = Outbox(path, 100)
    return outbox, *(outbox.cursor(name, mirrors=mirrors) for name, mirrors in sinks.items())


def told(due: list[Due]) -> list[tuple[str, str, bool]]:
    """Device, alert and whether it is of what stands, of each thing that is due."""
    return [(one.key[1], one.event.alert if one.event else "", one.is_alert) for one in due]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts.db"


def test_table_and_outbox_are_there_after_a_restart(path):
    outbox, cursor = opened(path, mqtt=True)
    outbox.commit([RAISED, OTHER])
    ended = event("cleared", "b", t=9.0, device="e2")
    outbox.commit([ended])
    outbox.close()
    again, cursor = opened(path, mqtt=True)
    assert again.aside is None
    assert again.standing() == [RAISED]
    assert again.newest() == {("press", "e1"): (0, 5 * 10**9), ("press", "e2"): (0, 9 * 10**9)}
    due = cursor.sendable(9)
    assert [one.event for one in due if not one.is_alert] == [RAISED, OTHER, ended]
    assert told(due) == [
        ("e1", "a", False),
        ("e1", "a", True),
        ("e2", "b", False),
        ("e2", "b", False),
        ("e2", "b", True),
    ]
    assert len(cursor) == 5


KILL = """
import os, pathlib, signal, sys
from agent.store.outbox import Outbox
from tests.alert_events import event
outbox = Outbox(pathlib.Path(sys.argv[1]), 100)
outbox.cursor("mqtt", mirrors=False)
outbox.commit([event("raised", "a", t=5.0)])
if sys.argv[2] == "inside":
    db = outbox._database._db
    db.execute("BEGIN IMMEDIATE")
    for table in ("alert", "event", "due"):
        db.execute(f"DELETE FROM {table}")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["after", "inside"])
def test_kill_9_loses_no_commit_and_leaves_no_half_of_one(path, where):
    subprocess.run([sys.executable, "-c", KILL, str(path), where], check=False, env={**os.environ, "PYTHONPATH": "."})
    outbox, cursor = opened(path, mqtt=False)
    assert [one.alert for one in outbox.standing()] == ["a"]
    assert told(cursor.sendable(9)) == [("e1", "a", False)]


def test_a_commit_is_on_the_disk_when_it_returns(path):
    """WAL alone does not sync at a commit; `synchronous=FULL` does."""
    read = Outbox(path, 100)._database.read
    assert read("PRAGMA journal_mode").fetchone() == ("wal",)
    assert read("PRAGMA synchronous").fetchone() == (2,)


def test_a_commit_that_fails_changes_neither_table_nor_outbox(path):
    outbox, cursor = opened(path, mqtt=True)
    broken = msgspec.structs.replace(OTHER, t_ns=2**63)  # more than SQLite can hold
    with pytest.raises(OverflowError):
        outbox.commit([RAISED, broken])
    assert (outbox.standing(), len(cursor)) == ([], 0)
    outbox.commit([RAISED])
    assert told(cursor.sendable(9)) == [("e1", "a", False), ("e1", "a", True)]


@pytest.mark.parametrize("cause", ["forgotten", "source_removed", "model_removed"])
def test_a_forgotten_device_leaves_the_table(path, cause):
    """It starts as one never heard, perhaps with an earlier clock: its old event time must not make its rows late."""
    outbox, cursor = opened(path, mqtt=True)
    outbox.commit([RAISED])
    outbox.commit([event("cleared", "a", t=5.0, cause=cause)])
    assert (outbox.standing(), outbox.newest()) == ([], {})
    assert told(cursor.sendable(9)) == [("e1", "a", False), ("e1", "a", False), ("e1", "", True)]


@pytest.mark.parametrize("device", ["e1", ""])
def test_silence_says_nothing_of_rows_and_leaves_the_table_when_it_ends(path, device):
    """Its time is the agent's: a device whose clock is behind that must not find its rows late after a crash."""
    outbox, cursor = opened(path, mqtt=True)
    silent = silence.raised("press", device, 7, 10**18, 612 * 10**9, 600 * 10**9)
    outbox.commit([RAISED, silent])
    outbox.close()
    outbox, cursor = opened(path, mqtt=True)
    assert outbox.standing() == sorted([RAISED, silent], key=lambda event: event.key)
    assert outbox.newest() == {("press", "e1"): (0, 5 * 10**9)}
    outbox.commit([silence.ended(silent, "heard_again", 9, 10**18)])
    assert outbox.standing() == [RAISED]
    assert outbox.newest() == {("press", "e1"): (0, 5 * 10**9)}
    assert [device for device, *_ in told(cursor.sendable(9))].count(device) >= 2


def test_the_newest_raise_for_silence_is_known_long_after_its_end(path):
    """No later one may have its id, so none may come at its tick, wherever the wall is set meanwhile."""
    outbox = Outbox(path, 100)
    assert outbox.newest_of_no_model_ns() == -1
    older, newer = (silence.raised("press", "", 7, t_ns, 612 * 10**9, 600 * 10**9) for t_ns in (10**18, 10**18 + 10**9))
    outbox.commit([older, silence.ended(older, "heard_again", 8, 10**18 + 1), newer, RAISED])
    outbox.commit([silence.ended(newer, "heard_again", 9, 10**18 + 2 * 10**9)])
    outbox.close()
    assert Outbox(path, 100).newest_of_no_model_ns() == 10**18 + 10**9


REPAIRED = InterventionLabel("press", "e1", 5, "repaired", 60)
HIDDEN = (("press", "e1", "", ""), "shelved", Hide("shelved", 10**18, 2 * 10**18, "anna", "wet"))


def test_what_is_hidden_is_kept_in_the_transaction_of_its_event(path):
    outbox = Outbox(path, 100)
    outbox.commit([RAISED], hidden=[HIDDEN, (("press", "", "", ""), "suppressed", Hide("suppressed", 10**18, 0))])
    with pytest.raises(sqlite3.Error):
        outbox.commit([], [REPAIRED._replace(device=None)], hidden=[(HIDDEN[0], "shelved", None)])
    outbox.close()
    again = Outbox(path, 100)
    assert (again.aside, len(again.hides())) == (None, 2)
    again.commit([], hidden=[(HIDDEN[0], "shelved", None), (HIDDEN[0], "suppressed", None)])
    assert [pattern for pattern, _ in again.hides()] == [("press", "", "", "")]


def test_a_hide_that_no_version_wrote_sets_the_database_aside(path):
    with closing(Outbox(path, 100)) as outbox:
        outbox.commit([], hidden=[HIDDEN])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE hide SET kind = 'gone'")
    with closing(Outbox(path, 100)) as outbox:
        assert "the hide of 'e1' of 'press' is broken" in outbox.why_aside


def test_a_database_of_version_6_hides_nothing_yet(path):
    with closing(Outbox(path, 100)) as outbox:
        outbox.commit([RAISED])
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE hide; PRAGMA user_version = 6")
    with closing(Outbox(path, 100)) as outbox:
        assert (outbox.aside, outbox.hides(), outbox.standing()) == (None, [], [RAISED])


def test_two_sources_that_use_one_id_have_an_alert_each_and_so_have_two_models(path):
    outbox = Outbox(path, 100)
    others = [
        msgspec.structs.replace(RAISED, alert="b", source="oven"),
        msgspec.structs.replace(RAISED, alert="c", model="next"),
    ]
    outbox.commit([RAISED, *others])
    assert [(one.source, one.model) for one in outbox.standing()] == [
        ("oven", "main"),
        ("press", "main"),
        ("press", "next"),
    ]
    outbox.commit([msgspec.structs.replace(one, kind="cleared", state="normal") for one in others])
    assert outbox.standing() == [RAISED]
    outbox.commit([], forgotten=[("oven", "e1"), ("press", "e1")])
    assert outbox.newest() == {("press", "e1"): (0, 5 * 10**9)}, "what stands is not forgotten"


def spoilt(path, how: str) -> None:
    outbox, _ = opened(path, mqtt=True)
    outbox.commit([RAISED])
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
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        case "foreign":
            db.executescript("DROP TABLE alert; CREATE TABLE song (name TEXT); PRAGMA user_version = 0")
        case "no table":
            db.execute("DROP TABLE alert")
        case "other columns":
            db.executescript("DROP TABLE due; CREATE TABLE due (number INTEGER)")
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
        ("newer", f"its schema is version {SCHEMA_VERSION + 1}, this forewarn reads version {SCHEMA_VERSION}"),
        ("foreign", "its schema is version 0"),
        ("no table", "no such table: alert"),
        ("other columns", "has other columns"),
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
    outbox.commit([OTHER])
    outbox.close()
    assert Outbox(path, 100).aside is None


CHANGED = {
    "event without UTF-8": ("alert", "event", lambda old: old.replace(b"press", b"\xf0ress")),
    "event of another source": ("alert", "event", lambda old: old.replace(b"press", b"prers")),
    "event of another device": ("alert", "event", lambda old: old.replace(b'"e1"', b'"e3"')),
    "event of another model": ("alert", "event", lambda old: old.replace(b'"main"', b'"maim"')),
    "event of another head": ("alert", "event", lambda old: old.replace(b'"risk"', b'"risk "')),
    "event of another time": ("alert", "event", lambda old: old.replace(b'"t_ns":5', b'"t_ns":4')),
    "event that ended": ("alert", "event", lambda old: old.replace(b"unacknowledged", b"normal")),
    "event nested too deep": ("alert", "event", lambda _: b'{"x":' + b"[" * 100_000),
    "another source": ("alert", "source", lambda _: "oven"),
    "another device": ("alert", "device", lambda _: "e3"),
    "another model": ("alert", "model", lambda _: "maim"),
    "another head": ("alert", "head", lambda _: "rul"),
    "another time": ("alert", "t_ns", lambda old: old ^ 1),
    "an end": ("alert", "stands", lambda _: 0),
    "a standing of 3": ("alert", "stands", lambda _: 3),
    "another kind": ("event", "kind", lambda _: "updated"),
    "a kind of bytes": ("event", "kind", str.encode),
    "half an event": ("event", "event", lambda old: old[:40]),
    "an event of text": ("event", "event", lambda _: "{}"),
    "an event of another device, to tell": ("event", "event", lambda old: old.replace(b'"e1"', b'"e3"')),
    "an event that is not there": ("due", "event", lambda old: old + 1),
    "a chain of another key": ("due", "chain", lambda old: old.replace("e1", "e3")),
    "a chain of no key": ("due", "chain", lambda _: '["press"]'),
    "a chain of bytes": ("due", "chain", str.encode),
    "a sink of bytes": ("due", "sink", str.encode),
}


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column", "change"), CHANGED.values(), ids=CHANGED)
def test_a_row_that_was_changed_is_found_where_the_database_is_whole(path, table, column, change):
    """A bit that flips within a value: SQLite finds nothing wrong with it."""
    outbox, _ = opened(path, mqtt=True)
    outbox.commit([RAISED])
    outbox.close()
    with closing(sqlite3.connect(path)) as db, db:
        (old,) = db.execute(f"SELECT max({column}) FROM {table}").fetchone()
        new = change(old)
        assert new != old
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, old))
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
    outbox = Outbox(path, 100)
    assert outbox.aside is not None
    begins = {"alert": "the alert of ", "event": "event ", "due": "row "}
    assert outbox.why_aside.startswith((begins[table], "row "))
    outbox.commit([OTHER])
    outbox.close()
    assert Outbox(path, 100).aside is None


@pytest.mark.parametrize(("table", "column"), [("alert", "device"), ("event", "kind"), ("due", "chain")])
def test_text_that_is_no_text_is_found(path, table, column):
    outbox, _ = opened(path, mqtt=False)
    outbox.commit([RAISED])
    outbox.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE {table} SET {column} = CAST(x'e531' AS TEXT)")
    outbox = Outbox(path, 100)
    assert "Could not decode to UTF-8" in outbox.why_aside
    assert outbox.standing() == []


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_bit_flips_the_table_is_used_or_set_aside(tmp_path_factory, data):
    """And what is used can be read and told."""
    path = tmp_path_factory.mktemp("state") / "alerts.db"
    outbox, _ = opened(path, mqtt=True)
    outbox.commit([RAISED, event("cleared", "b", t=6.0, device="e2")])
    outbox.close()
    content = bytearray(path.read_bytes())
    read_only = (18, 19)  # bytes of the header by which a database is read-only, as by the rights of its file
    used = [place for place, byte in enumerate(content) if byte and place not in read_only]
    content[data.draw(st.sampled_from(used))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    outbox, cursor = opened(path, mqtt=True)
    assert all(one.is_alert or one.event.key == one.key for one in cursor.sendable(9))
    assert {(one.source, one.device) for one in outbox.standing()} <= set(outbox.newest())
    outbox.commit([event("updated", "a", t=7.0)])
    outbox.close()


def test_a_bit_that_flips_in_the_name_of_a_column_costs_the_table_and_not_each_start(tmp_path):
    """SQLite finds nothing wrong with it, and a query says `no such column` only once it is asked."""
    path = tmp_path / "alerts.db"
    opened(path, mqtt=True)[0].close()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CHECK (one = 1), entry INTEGER", b"CHECK (one = 1), antry INTEGER"))
    assert path.read_bytes() != content
    outbox, _ = opened(path, mqtt=True)
    assert "table 'applied' has other columns" in outbox.why_aside
    assert outbox.applied() == 0


FULL_DISK = """
import pathlib, signal, sqlite3, sys
from agent.store.outbox import Outbox
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    Outbox(pathlib.Path(sys.argv[1]), 100)
except sqlite3.OperationalError as error:
    print(error)
"""


@pytest.mark.slow
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
    monkeypatch.setattr("agent.store.database.BUSY_TIMEOUT_S", 0.05)
    shell = sqlite3.connect(path, isolation_level=None)
    outbox = Outbox(path, 100)
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        outbox.commit([RAISED])
    shell.execute("ROLLBACK")
    outbox.commit([RAISED])
    assert len(outbox.standing()) == 1


def test_events_are_stored_whole(path):
    """What `forewarn alerts`, a sink and a restart know of an alert is all of its last event."""
    outbox, cursor = opened(path, mqtt=True)
    odd = msgspec.structs.replace(event("raised", "a", t=5.0, device='50% ü/+#"'), outputs={"risk": (0.1, 1e-30, 1.0)})
    outbox.commit([odd])
    assert outbox.standing() == [odd]
    assert [(one.key, one.event) for one in cursor.sendable(9)] == [(odd.key, odd)] * 2
