"""Counters that start again, stuck clocks, and two machines under one id."""

from dataclasses import replace

import pytest

from agent.align.restart import RESTART_ROWS
from agent.core import Bounds, Core
from agent.core.entries import AlertsKept, HistoryLost, StateBehind
from agent.words import AlertEvent, Quality, Taken
from tests.streams import SOURCE, Message, core, interleaved, life, message, take

S = 10**9


def test_a_counter_that_starts_again_is_a_new_life():
    """After an overhaul at cycle 60 the counter begins at 1: the machine is scored again, of unknown age."""
    into = core()
    first = take(into, life("p1", 60))
    assert first.alerts[-1].state != "normal"
    again = take(into, life("p1", 40, wear_from=1000))
    assert into.counts == {("press", "late"): RESTART_ROWS - 1, ("press", "new_life"): 1}
    assert len(again.scores[0].entry) == 40 - (RESTART_ROWS - 1)
    assert again.scores[0].quality.tolist()[:3] == [Quality.WARMING_UP, Quality.WARMING_UP, Quality.OK]
    (end,) = again.alerts
    assert (end.kind, end.cause, end.state, end.alert) == ("cleared", "new_life", "normal", first.alerts[0].alert)
    alone = take(core(), life("p1", 40, wear_from=1000)[RESTART_ROWS - 1 :]).scores[0]
    assert again.scores[0].outputs["risk"].tobytes() == alone.outputs["risk"].tobytes(), (
        "nothing of the old life is left in the state"
    )


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
    assert again.scores[0].quality.tolist() == [Quality.OK]


def test_a_whole_backlog_after_lost_history_is_no_new_life():
    into = core()
    take(into, life("p1", 60))
    into.apply(HistoryLost())
    assert take(into, life("p1", 60)).alerts == []
    assert ("press", "new_life") not in into.counts


def test_a_stuck_clock_is_stale_whatever_is_heard():
    """Rows come and none is scored: that is no `ok`."""
    into = core(bounds=Bounds(stale_after_s=5))
    take(into, life("p1", 10))
    for second in range(1, 12):
        take(into, [message("p1", 10)], arrived_ns=(1 + second) * S)
    assert into.view().devices_by_quality()["stale"] == 1
    take(into, [message("p1", 11)], arrived_ns=14 * S)
    assert into.view().devices_by_quality()["ok"] == 1


def test_two_machines_under_one_id_are_named():
    """Two counters, far apart: the rows of one make those of the other late for ever."""
    into = core()
    worn, sound = life("p1", 40, start=500, wear_from=1000), life("p1", 40, start=400, wear_from=1000)
    taken = take(into, interleaved(worn, sound))
    assert into.counts["press", "mixed_rows"] >= 1
    assert "two machines" in next(drop.detail for drop in taken.drops if drop.reason == "mixed_rows")
    assert len(taken.scores[0].entry) == 40


def test_a_backlog_is_not_taken_for_two_machines():
    into = core()
    take(into, [*life("p1", 60), *life("p1", 29, start=32), message("p1", 61)])
    assert ("press", "mixed_rows") not in into.counts


# Over a restart of the agent -----------------------------------------------------------------------------------------

HOUR = 3600 * S


class Table:
    """What an alert table would hold: the newest event of each device."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], AlertEvent] = {}

    def commit(self, taken: Taken) -> Taken:
        self.rows |= {(event.source, event.device): event for event in taken.alerts}
        return taken

    def start(self, state: bytes | None, *, clean: bool) -> Core:
        into = core()
        if state is not None:
            into.restore(state)
        if not clean:
            into.apply(StateBehind())
        standing = [event for event in self.rows.values() if event.state != "normal"]
        into.apply(AlertsKept(standing, {key: (event.t_epoch, event.t_ns) for key, event in self.rows.items()}))
        into.apply(HistoryLost())
        return into


def ill(first: int, last: int) -> list[Message]:
    return [message("p1", cycle, wear=2.5) for cycle in range(first, last + 1)]


def well(first: int, last: int) -> list[Message]:
    return [message("p1", cycle) for cycle in range(first, last + 1)]


def test_a_restart_of_the_agent_does_not_measure_a_new_life_by_an_alert_of_the_old_one():
    """The old life's alert ended at a cycle that the new life has not reached: its rows are not late for that."""
    into, table = core(), Table()
    table.commit(take(into, [*well(1, 30), *ill(31, 60), *well(61, 120)], arrived_ns=HOUR))
    (ended,) = table.rows.values()
    assert (ended.kind, ended.t_ns // S > 60) == ("cleared", True)
    table.commit(take(into, well(1, 40), arrived_ns=2 * HOUR))
    again = table.start(into.snapshot(), clean=True)
    rows = ill(41, 60)
    scores, wanted = (take(one, rows, arrived_ns=3 * HOUR).scores[0] for one in (again, into))
    assert scores.t_ns.tolist() == wanted.t_ns.tolist()
    assert scores.outputs["risk"].tobytes() == wanted.outputs["risk"].tobytes()


def test_a_crash_after_a_new_life_began_does_not_end_its_alert():
    """The snapshot is of the old life, the table has an alert of the new one, which goes on under its id."""
    into, table = core(), Table()
    table.commit(take(into, well(1, 300), arrived_ns=HOUR))
    state = into.snapshot()
    raised = next(event for event in table.commit(take(into, ill(1, 40), arrived_ns=2 * HOUR)).alerts)
    assert raised.kind == "raised"
    again = table.start(state, clean=False)
    later = take(again, ill(41, 90), arrived_ns=3 * HOUR, step_ns=60 * S)
    assert [event.kind for event in later.alerts if event.kind != "updated"] == []
    assert again.view().n_standing() == 1
    assert later.scores[0].quality.tolist()[:3] == [Quality.GAP, Quality.WARMING_UP, Quality.OK]


def test_alerts_of_two_lives_have_two_ids_though_the_state_was_lost_between():
    """The table knows in which clock epoch the device was."""
    into, table = core(), Table()
    table.commit(take(into, well(1, 100), arrived_ns=HOUR))
    first = next(iter(table.commit(take(into, ill(1, 40), arrived_ns=2 * HOUR)).alerts))
    table.commit(take(into, well(41, 100), arrived_ns=3 * HOUR))
    again = table.start(None, clean=False)
    table.commit(take(again, well(101, 200), arrived_ns=4 * HOUR))
    events = table.commit(take(again, ill(1, 40), arrived_ns=5 * HOUR)).alerts
    second = next(event for event in events if event.kind == "raised")
    assert first.raised_t_ns == second.raised_t_ns
    assert first.alert != second.alert


@pytest.mark.parametrize("clean", [True, False])
def test_rows_that_catch_up_while_a_backlog_is_still_thought_of_meet_no_old_state(clean):
    """The counter began anew while the agent was away, and its rows come fast: no `ok` from the life before."""
    into, table = core(), Table()
    take(into, ill(1, 100), arrived_ns=HOUR)
    again = table.start(into.snapshot(), clean=clean)
    got = take(again, well(1, 104), arrived_ns=2 * HOUR, step_ns=S).scores[0]
    assert got.quality.tolist() == [Quality.GAP, Quality.WARMING_UP, Quality.OK, Quality.OK]
    alone = take(core(), well(101, 104)).scores[0]
    assert got.outputs["risk"].tobytes() == alone.outputs["risk"].tobytes()


def test_a_device_that_is_refused_hides_no_new_life_of_another():
    """Law 2, and law 1: it makes others doubtful whether they are new, not whether they lived before."""
    source = replace(SOURCE, first_seen="new")

    def scored(stranger: bool, parts: int) -> list[int]:
        into = core(source, bounds=Bounds(devices_max=1))
        take(into, well(1, 100), arrived_ns=HOUR)
        rows = [one for cycle in range(1, 21) for one in (*ill(cycle, cycle), message("stranger", cycle))]
        rows = rows if stranger else rows[::2]
        found: list[int] = []
        for start in range(0, len(rows), len(rows) // parts):
            found += take(into, rows[start : start + len(rows) // parts], arrived_ns=2 * HOUR).scores[0].t_ns.tolist()
        return found

    assert scored(True, 1) == scored(True, 40) == scored(False, 1) == scored(False, 20)
    assert len(scored(True, 1)) == 16


def test_a_snapshot_has_the_same_bytes_however_the_rows_were_split():
    """What is kept of a device that is not late does not depend on late rows of another one in its call."""
    whole, cut = core(), core()
    for one in (whole, cut):
        take(one, [*life("p1", 20), *life("p2", 20)])
    last = [message("p1", 2), message("p2", 21)]
    take(whole, last, arrived_ns=HOUR)
    for index, one_message in enumerate(last):
        take(cut, [one_message], arrived_ns=HOUR + 10**7 * index)
    assert whole.snapshot() == cut.snapshot()
