"""What holds for every way to keep the state, shown on each that DURABILITIES lists. Elsewhere agents are killed."""

import sqlite3

import pytest

from agent.errors import StateRefused
from agent.store.durability import DURABILITIES
from tests.journal_lives import Life
from tests.streams import life

WORN, REST = life("p1", 60), life("p1", 1, start=61, wear_from=1000)


@pytest.fixture(params=DURABILITIES)
def begin(request, tmp_path):
    """Starts on the same folder again and again."""
    return lambda: Life(tmp_path, mode=request.param)


def test_what_was_acknowledged_has_its_alerts_kept_and_due(begin):
    before = begin()
    before.take(WORN)
    standing, due = before.outbox.standing(), before.events()
    assert [one.device for one in standing] == ["p1"]
    assert due[0].kind == "raised"
    before.die()
    after = begin()
    assert (after.outbox.standing(), after.events()) == (standing, due)
    assert after.core.view().n_standing() == 1


def test_after_a_stop_the_state_goes_on_and_no_alert_is_said_again(begin):
    before = begin()
    before.take(WORN)
    due = before.events()
    before.stop()
    after = begin()
    assert after.core.n_messages == len(WORN)
    assert after.qualities(REST) == ["GAP" if after.mode == "snapshot" else "OK"], "a row may have passed in between"
    assert after.events() == due


def test_after_a_kill_a_device_says_ok_at_once_only_where_the_journal_has_its_rows(begin):
    before = begin()
    before.take(WORN[:30])
    before.durability.after_turn(10.0, 10.0)
    before.take(WORN[30:])
    before.die()
    after = begin()
    assert after.core.n_messages == (30 if after.mode == "snapshot" else 60)
    assert (after.qualities(REST) == ["OK"]) == (after.mode == "journal")


def test_a_first_start_finds_nothing_lost(begin):
    first = begin()
    assert first.qualities(WORN[:1]) == ["WARMING_UP"]
    assert first.said() == []


def test_a_failing_disk_is_said_after_a_turn_and_tried_again(begin, monkeypatch):
    process = begin()
    process.take(WORN)

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdatasync", failing)
    for now_s in (10.0, 19.0, 20.0):
        process.durability.after_turn(now_s, 10.0)
    assert process.said() == ["snapshot_failed", "snapshot_failed"]
    monkeypatch.undo()
    process.durability.after_turn(30.0, 10.0)
    process.die()
    assert begin().core.n_messages == len(WORN)


def test_an_alert_that_cannot_be_kept_ends_the_agent(begin):
    process = begin()
    process.die()
    with pytest.raises(sqlite3.Error):
        process.take(WORN)


def test_a_folder_that_cannot_be_read_is_refused_by_name(begin, tmp_path):
    (tmp_path / "snapshot-000000000001").mkdir()
    with pytest.raises(StateRefused, match="snapshot-000000000001: cannot be read"):
        begin()
