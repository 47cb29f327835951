"""The alert table as another process reads it."""

import sqlite3
import time
from contextlib import closing

import msgspec
import pytest

from agent.errors import StateRefused
from agent.store.alert_table import AlertTable, Rows
from agent.store.disk import StateFolder
from agent.store.file import set_aside
from agent.store.outbox import Outbox
from agent.words import UNKNOWN_BUNDLE
from tests.alert_events import event

RAISED, CLEARED = event("raised", "a", t=5.0), event("cleared", "a", t=6.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts.db"


def test_it_is_read_beside_a_running_agent_and_without_one(path):
    outbox = Outbox(path, 100)
    outbox.commit([RAISED])
    assert AlertTable(path).poll() == Rows([RAISED])
    outbox.commit([CLEARED])
    rows = AlertTable(path).poll()
    assert (rows.events, rows.standing()) == ([CLEARED], [])
    outbox.close()
    assert AlertTable(path).poll() == rows


def test_nothing_is_read_again_before_the_next_commit(path):
    outbox, table = Outbox(path, 100), AlertTable(path)
    assert table.poll() == Rows([])
    assert table.poll() is None
    outbox.commit([RAISED])
    assert table.poll() == Rows([RAISED])
    assert table.poll() is None
    table.close()
    assert table.poll() == Rows([RAISED]), "closed, it begins anew"


def test_a_table_of_an_older_version_is_read_and_says_that_the_bundle_is_unknown(path):
    """Its events had no bundle, and a row beside them had the units of the agent that started last."""
    outbox = Outbox(path, 100)
    outbox.commit([RAISED])
    outbox.close()
    old = {name: value for name, value in msgspec.to_builtins(RAISED).items() if name not in ("bundle", "decided_by")}
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alert SET event = ?", (msgspec.json.encode(old),))
        db.execute("CREATE TABLE units (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), units BLOB NOT NULL)")
        db.execute("INSERT INTO units VALUES (1, ?)", (b'{"time_unit":"cycle","horizons":["15 cycles"]}',))
    unknown = msgspec.structs.replace(RAISED, bundle=UNKNOWN_BUNDLE)
    assert AlertTable(path).poll() == Rows([unknown])
    again = Outbox(path, 100)
    assert (again.aside, again.standing()) == (None, [unknown])


def test_no_table_or_a_broken_one_is_refused_by_name_and_may_be_there_later(path):
    table = AlertTable(path)
    with pytest.raises(StateRefused, match=r"alerts.db: is not there"):
        table.poll()
    path.write_bytes(b"")
    with pytest.raises(StateRefused, match=r"cannot be read \(no such table: alert\)"):
        table.poll()
    path.write_bytes(b"junk" * 1000)
    with pytest.raises(StateRefused, match=r"alerts.db: cannot be read \(file is not a database\)"):
        table.poll()
    assert path.read_bytes() == b"junk" * 1000
    Outbox(path, 100).commit([RAISED])
    assert table.poll() == Rows([RAISED])


@pytest.mark.parametrize("change", [(b"press", b"\xf0ress"), (b"press", b"prers"), (b"{", b'{"x":' + b"[" * 100_000)])
def test_an_event_that_was_changed_is_refused_by_name(path, change):
    """A bit that flips within a value: SQLite finds nothing wrong with it."""
    outbox = Outbox(path, 100)
    outbox.commit([RAISED])
    outbox.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alert SET event = ?", (msgspec.json.encode(RAISED).replace(*change, 1),))
    with pytest.raises(StateRefused, match=r"alerts.db: cannot be read \(the alert of 'press', 'e1', 'risk' is broken"):
        AlertTable(path).poll()


def test_a_table_that_was_set_aside_gives_way_to_the_new_one(path):
    outbox, table = Outbox(path, 100), AlertTable(path)
    outbox.commit([RAISED])
    assert table.poll() == Rows([RAISED])
    set_aside(StateFolder(path.parent), path.name, along=("-wal", "-shm"))
    with pytest.raises(StateRefused):
        table.poll()
    Outbox(path, 100)
    assert table.poll() == Rows([])


def test_another_file_under_the_same_name_is_opened(path, tmp_path):
    """Put there in one step, so that no look finds the name without a file."""
    for name, what in ((path, RAISED), (tmp_path / "other.db", CLEARED)):
        outbox = Outbox(name, 100)
        outbox.commit([what])
        outbox.close()
    table = AlertTable(path)
    assert table.poll() == Rows([RAISED])
    for ending in ("-wal", "-shm"):
        (tmp_path / f"alerts.db{ending}").unlink(missing_ok=True)
    (tmp_path / "other.db").rename(path)
    assert table.poll() == Rows([CLEARED])


def test_a_reader_never_holds_the_agent_up(path):
    """Between two looks there is no lock: commits, a checkpoint that shortens the log, and closing all go through."""
    outbox, table = Outbox(path, 100), AlertTable(path)
    outbox.commit([RAISED])
    table.poll()
    begun_s = time.monotonic()
    outbox.commit([CLEARED])
    with sqlite3.connect(path) as shell:
        assert shell.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "busy"
    outbox.close()
    assert time.monotonic() - begun_s < 5
    assert table.poll() == Rows([CLEARED])
