"""What holds for every way to keep the state, shown on each that DURABILITIES lists. Elsewhere agents are killed."""

import json
import sqlite3
from dataclasses import replace

import pytest

from agent.core import Bounds, Core
from agent.errors import StateRefused
from agent.store.durability import DURABILITIES
from tests.journal_lives import Life
from tests.streams import SOURCE, life, model
from tests.unit.core.test_alert_commands import COMMANDS

WORN, REST = life("p1", 60), life("p1", 1, start=61, wear_from=1000)


@pytest.fixture(params=DURABILITIES)
def begin(request, tmp_path):
    """Starts on the same folder again and again."""
    return lambda **kinds: Life(tmp_path, mode=request.param, **kinds)


def commanded():
    """A core that takes commands of alerts."""
    return Core((SOURCE, COMMANDS), (model(SOURCE, reads=[0]),), Bounds())


def hiding(device, **only):
    """A message that takes it out of service, "" for all of the source."""
    return "forewarn/n/cmd/out_of_service/press", json.dumps({"device": device} | only).encode()


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


@pytest.mark.parametrize("gone", ["source", "model"])
def test_what_hides_a_source_or_a_model_that_was_removed_goes_with_it(begin, gone):
    """No topic would be left by which to end it."""
    before = begin(make=commanded)
    before.take([hiding("p1"), hiding("p1", model="main"), hiding("", head="risk")])
    assert len(before.outbox.hides()) == 3
    before.stop()
    source = replace(SOURCE, name="oven") if gone == "source" else SOURCE
    other = replace(model(source), name="next") if gone == "model" else model(source)
    after = begin(make=lambda: Core((source,), (other,), Bounds()))
    (line,) = [line for line in after.log.entries if line["event"] == "hides_ended"]
    n_left = {"source": 0, "model": 2}[gone]
    assert (line["count"], len(after.outbox.hides()), after.core.view().n_hidden) == (3 - n_left, n_left, n_left)
    after.stop()
    again = begin(make=lambda: Core((source,), (other,), Bounds()))
    assert "hides_ended" not in again.said()
    assert again.core.view().n_hidden == n_left
