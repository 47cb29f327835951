"""Counters that start again, stuck clocks, and two machines under one id."""

import pytest

from agent.core import Bounds
from agent.core.restart import RESTART_ROWS
from agent.words import Quality
from tests.streams import core, interleaved, life, message, take

S = 10**9


def test_a_counter_that_starts_again_is_a_new_life():
    """After an overhaul at cycle 60 the counter begins at 1: the machine is scored again, of unknown age."""
    into = core()
    first = take(into, life("p1", 60))
    assert first.alerts[-1].state != "normal"
    again = take(into, life("p1", 40, wear_from=1000))
    assert into.counts == {("press", "late"): RESTART_ROWS - 1, ("press", "new_life"): 1}
    assert len(again.scores.entry) == 40 - (RESTART_ROWS - 1)
    assert again.scores.quality.tolist()[:3] == [Quality.WARMING_UP, Quality.WARMING_UP, Quality.OK]
    (end,) = again.alerts
    assert (end.kind, end.cause, end.state, end.alert) == ("cleared", "new_life", "normal", first.alerts[0].alert)
    alone = take(core(), life("p1", 40, wear_from=1000)[RESTART_ROWS - 1 :]).scores
    assert again.scores.risk.tobytes() == alone.risk.tobytes(), "nothing of the old life is left in the state"


def test_an_alert_of_the_new_life_has_an_id_of_its_own():
    """Both lives raise at the same cycle."""
    into = core()
    first = take(into, life("p1", 60)).alerts[0]
    second = next(event for event in take(into, life("p1", 60)).alerts if event.kind == "raised")
    assert first.raised_t_ns == second.raised_t_ns
    assert first.alert != second.alert


@pytest.mark.parametrize("start", [56, 31])
def test_a_backlog_is_no_new_life(start):
    """Rows of the later half are sent again: late, each of them, and the device goes on."""
    into = core()
    take(into, life("p1", 60, wear_from=1000))
    again = take(into, [*life("p1", 61 - start, start=start, wear_from=1000), message("p1", 61)])
    assert into.counts["press", "late"] + into.counts["press", "repeated"] == 61 - start
    assert again.scores.quality.tolist() == [Quality.OK]


def test_a_whole_backlog_after_lost_history_is_no_new_life():
    into = core()
    take(into, life("p1", 60))
    into.mark_gap("")
    assert take(into, life("p1", 60)).alerts == []
    assert ("press", "new_life") not in into.counts


def test_a_stuck_clock_is_stale_whatever_is_heard():
    """Rows come and none is scored: that is no `ok`."""
    into = core(bounds=Bounds(stale_after_s=5))
    take(into, life("p1", 10))
    for second in range(1, 12):
        take(into, [message("p1", 10)], arrived_ns=(1 + second) * S)
    assert into.devices_by_quality()["stale"] == 1
    take(into, [message("p1", 11)], arrived_ns=14 * S)
    assert into.devices_by_quality()["ok"] == 1


def test_two_machines_under_one_id_are_named():
    """Two counters, far apart: the rows of one make those of the other late for ever."""
    into = core()
    worn, sound = life("p1", 40, start=500, wear_from=1000), life("p1", 40, start=400, wear_from=1000)
    taken = take(into, interleaved(worn, sound))
    assert into.counts["press", "mixed_rows"] >= 1
    assert "two machines" in next(drop.detail for drop in taken.drops if drop.reason == "mixed_rows")
    assert len(taken.scores.entry) == 40


def test_a_backlog_is_not_taken_for_two_machines():
    into = core()
    take(into, [*life("p1", 60), *life("p1", 29, start=32), message("p1", 61)])
    assert ("press", "mixed_rows") not in into.counts
