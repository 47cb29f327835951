"""An alert table that is broken, removed or emptied: said once, and wherever the start that makes the new one ends."""

import sqlite3

import pytest

from agent.store.durability import DURABILITIES
from agent.store.outbox import ALERT_TABLE, Outbox
from tests.journal_lives import Life
from tests.streams import message
from tests.unit.store.test_durability import REST, WORN, commanded, hiding


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(params=DURABILITIES)
def begin(request, tmp_path):
    """Starts on the same folder again and again."""
    return lambda **kinds: Life(tmp_path, mode=request.param, **kinds)


def broken(path):
    path.write_bytes(b"junk" * 1000)


def emptied(path):
    path.write_bytes(b"")


def without_tables(path):
    emptied(path)
    sqlite3.connect(path).execute("PRAGMA journal_mode = WAL").connection.close()


LOSSES = [broken, emptied, without_tables, lambda path: path.unlink()]
lost = pytest.mark.parametrize("lose", LOSSES, ids=["broken", "emptied", "without tables", "removed"])


@lost
@pytest.mark.slow
@pytest.mark.parametrize("n_deaths", [0, 2])
def test_a_table_that_is_lost_is_said_by_the_start_that_comes_to_its_end(begin, tmp_path, lose, n_deaths):
    before = begin()
    before.take(WORN)
    assert before.outbox.standing()
    before.stop()
    lose(tmp_path / ALERT_TABLE)
    for _ in range(n_deaths):
        Outbox(tmp_path / ALERT_TABLE, 100).close()
    after = begin()
    assert after.said()[-1] == "alert_table_lost"
    assert (after.outbox.standing(), after.core.view().alerts) == ([], {})
    after.take(REST)
    after.stop()
    assert begin().said() == []


@pytest.mark.parametrize("is_stopped", [False, True])
def test_hides_that_are_lost_are_counted(begin, tmp_path, is_stopped):
    """Nobody sees them end: what was out of service is told of again."""
    before = begin(make=commanded)
    before.take([message("p1", 1), hiding("p1"), message("p2", 1), hiding("p2")])
    if is_stopped:
        before.stop()
    else:
        before.durability.after_turn(100.0, 10.0)
        before.die()
    emptied(tmp_path / ALERT_TABLE)
    after = begin(make=commanded)
    (line,) = [line for line in after.log.entries if line["event"] == "alert_table_lost"]
    assert line["why"] == "the state knows 0 standing alerts and 2 hides, the table has 0 and 0"
    assert (after.outbox.hides(), after.core.view().n_hidden) == ([], 0)


@lost
@pytest.mark.slow
@pytest.mark.parametrize("n_before", [0, 3])
def test_a_start_that_dies_in_the_replay_is_as_none(tmp_path, monkeypatch, lose, n_before):
    """Behind a snapshot with an alert that the new table never has."""
    before = Life(tmp_path)
    before.take(WORN)
    before.durability.after_turn(100.0, 10.0)
    for number, row in enumerate(REST * 4):
        before.take([row], at=100 + number)
    before.die()
    lose(tmp_path / ALERT_TABLE)
    monkeypatch.setattr("agent.store.replay.TOGETHER_MESSAGES", 1)
    left = [None] * n_before

    def starting():
        if not left:
            raise Killed
        left.pop()

    with pytest.raises(Killed):
        Life(tmp_path, starting=starting)
    after = Life(tmp_path)
    assert after.said() == ["history_lost", "alert_table_lost"]
    after.stop()
    assert Life(tmp_path).said() == []


def test_a_first_start_that_is_cut_short_anywhere_loses_nothing(begin, tmp_path, monkeypatch):
    """Nobody was heard, so no row of the next start is behind a gap."""
    (tmp_path / ALERT_TABLE).touch()
    Outbox(tmp_path / ALERT_TABLE, 100).close()

    def killed(_self):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "settle", killed)
        with pytest.raises(Killed):
            begin()
    after = begin()
    assert after.said() == []
    assert set(after.qualities(WORN)) == {"WARMING_UP", "OK"}


def test_after_a_broken_table_no_start_is_the_first(tmp_path):
    """There was an agent, though nothing else is left of it: whether rows are missing nobody knows."""
    broken(tmp_path / ALERT_TABLE)
    Outbox(tmp_path / ALERT_TABLE, 100).close()
    assert Life(tmp_path).said() == ["history_lost"]
