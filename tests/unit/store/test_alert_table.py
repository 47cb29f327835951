"""The alert table as another process reads it."""

import sqlite3
import time

import pytest

from agent.errors import StateRefused
from agent.store.alert_table import AlertTable, Rows
from agent.store.file import set_aside
from agent.store.outbox import Outbox, Units
from tests.alert_events import event

RAISED, CLEARED = event("raised", "a", t=5.0), event("cleared", "a", t=6.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts.db"


def test_it_is_read_beside_a_running_agent_and_without_one(path):
    outbox = Outbox(path, 100)
    outbox.commit([RAISED], [])
    assert AlertTable(path).poll() == Rows([RAISED], None)
    outbox.commit([CLEARED], [])
    rows = AlertTable(path).poll()
    assert (rows.events, rows.standing()) == ([CLEARED], [])
    outbox.close()
    assert AlertTable(path).poll() == rows


def test_nothing_is_read_again_before_the_next_commit(path):
    outbox, table = Outbox(path, 100), AlertTable(path)
    assert table.poll() == Rows([], None)
    assert table.poll() is None
    outbox.commit([RAISED], [])
    outbox.keep_units(Units("cycle", ("15 cycles",)))
    assert table.poll() == Rows([RAISED], Units("cycle", ("15 cycles",)))
    assert table.poll() is None
    table.close()
    assert table.poll() == Rows([RAISED], Units("cycle", ("15 cycles",))), "closed, it begins anew"


def test_units_are_those_of_the_agent_that_started_last(path):
    for units in (Units("cycle", ("15 cycles",)), Units("s", ("1 h", "6 h"))):
        outbox = Outbox(path, 100)
        outbox.keep_units(units)
        outbox.close()
    assert AlertTable(path).poll().units == Units("s", ("1 h", "6 h"))


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
    Outbox(path, 100).commit([RAISED], [])
    assert table.poll() == Rows([RAISED], None)


def test_a_table_that_was_set_aside_gives_way_to_the_new_one(path):
    outbox, table = Outbox(path, 100), AlertTable(path)
    outbox.commit([RAISED], [])
    assert table.poll() == Rows([RAISED], None)
    set_aside(path, along=("-wal", "-shm"))
    with pytest.raises(StateRefused):
        table.poll()
    Outbox(path, 100)
    assert table.poll() == Rows([], None)


def test_another_file_under_the_same_name_is_opened(path, tmp_path):
    """Put there in one step, so that no look finds the name without a file."""
    for name, what in ((path, RAISED), (tmp_path / "other.db", CLEARED)):
        outbox = Outbox(name, 100)
        outbox.commit([what], [])
        outbox.close()
    table = AlertTable(path)
    assert table.poll() == Rows([RAISED], None)
    for ending in ("-wal", "-shm"):
        (tmp_path / f"alerts.db{ending}").unlink(missing_ok=True)
    (tmp_path / "other.db").rename(path)
    assert table.poll() == Rows([CLEARED], None)


def test_a_reader_never_holds_the_agent_up(path):
    """Between two looks there is no lock: commits, a checkpoint that shortens the log, and closing all go through."""
    outbox, table = Outbox(path, 100), AlertTable(path)
    outbox.commit([RAISED], [])
    table.poll()
    begun_s = time.monotonic()
    outbox.commit([CLEARED], [])
    with sqlite3.connect(path) as shell:
        assert shell.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "busy"
    outbox.close()
    assert time.monotonic() - begun_s < 5
    assert table.poll() == Rows([CLEARED], None)
