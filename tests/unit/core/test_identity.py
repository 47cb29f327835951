"""Who a device is, across sources, names, restarts and bounds."""

from dataclasses import replace

import msgspec
import pytest

from agent.core import Bounds, Core
from agent.core.entries import AlertsKept, Heartbeat, HistoryLost
from agent.errors import StateRefused
from agent.words import AlertEvent, Quality
from tests.streams import SOURCE, core, life, message, take

S = 10**9
OTHER = replace(SOURCE, name="lathe")


def raised(device: str, source: str = "press") -> AlertEvent:
    event = take(core(), life("p1", 60)).alerts[0]
    return msgspec.structs.replace(event, device=device, source=source)


def test_a_device_whose_source_has_another_name_goes_on_with_its_state():
    """The source is renamed: its devices are heard under the new name, with one `gap`, and not dropped for a month."""
    before = core()
    take(before, life("p1", 30))
    after = core(OTHER)
    after.restore(before.snapshot())
    after.apply(HistoryLost())
    scores = take(after, life("p1", 10, start=31)).scores[0]
    assert scores.quality.tolist() == [Quality.GAP] + [Quality.OK] * 9
    wanted = take(before, life("p1", 10, start=31)).scores[0]
    assert scores.outputs["risk"].tobytes() == wanted.outputs["risk"].tobytes()
    assert sum(after.view().devices_by_quality().values()) == 1


def test_and_named_back_too():
    before = core()
    take(before, life("p1", 30))
    between, after = core(OTHER), core()
    between.restore(before.snapshot())
    after.restore(between.snapshot())
    assert take(after, life("p1", 3, start=31)).scores[0].quality.tolist() == [Quality.OK] * 3


def test_alerts_of_a_source_that_is_gone_end_with_the_cause():
    event = raised("p1")
    after = core(OTHER)
    adopted = after.apply(AlertsKept([event], {("press", "p1"): (0, event.t_ns)}))
    (end,) = adopted.alerts
    assert (end.kind, end.state, end.cause, end.alert) == ("cleared", "normal", "source_removed", event.alert)
    assert end.sequence == event.sequence + 1
    assert adopted.forgotten == [("press", "p1")]
    assert after.view().n_standing() == 0


def test_a_device_without_an_owner_makes_room_for_one_that_lives():
    before = core()
    take(before, life("gone", 5))
    after = core(OTHER, bounds=Bounds(devices_max=1))
    after.restore(before.snapshot())
    assert len(take(after, life("lives", 5)).scores[0].entry) == 5
    assert after.counts == {("", "forgotten"): 1}


SMALL = Bounds(devices_max=3, stale_after_s=10, forget_after_s=1000)


def with_strangers() -> Core:
    """Full of a machine and of two ids that somebody sent once; after a while only the machine is heard."""
    into = core(bounds=SMALL)
    take(into, life("machine", 30))
    take(into, [message("x1", 1), message("x2", 1)], arrived_ns=2 * S)
    for second in range(3, 16):
        take(into, life("machine", 1, start=28 + second), arrived_ns=second * S)
    return into


def again(before: Core) -> Core:
    after = core(bounds=SMALL)
    after.restore(before.snapshot())
    return after


@pytest.mark.parametrize("restarted", [False, True])
def test_an_id_that_was_never_ok_makes_room_at_the_next_tick_for_a_device_that_was_refused(restarted):
    """The one that was heard least lately first; what a machine that was `ok` has is its own, however silent."""
    into = with_strangers()
    assert {*into.view().device} == {"machine", "x1", "x2"}, "nobody needs the room"
    take(into, [message("new1", 1)], arrived_ns=16 * S)
    if restarted:
        into = again(into)
    assert [*into.apply(Heartbeat(17 * S)).forgotten] == [("press", "x1")]
    assert len(take(into, [message("new1", 2)], arrived_ns=17 * S).scores[0].entry) == 1
    take(into, [message("x2", 2), message("new2", 1)], arrived_ns=17 * S)
    into.apply(Heartbeat(18 * S))
    assert {*into.view().device} == {"machine", "x2", "new1"}, "x2 is heard again, and stays"
    into.apply(Heartbeat(60 * S))
    take(into, [message("new3", 1)], arrived_ns=60 * S)
    into.apply(Heartbeat(61 * S))
    take(into, [message("new3", 2), message("new4", 1)], arrived_ns=61 * S)
    into.apply(Heartbeat(62 * S))
    take(into, [message("new4", 2), message("new5", 1)], arrived_ns=62 * S)
    into.apply(Heartbeat(63 * S))
    assert {*into.view().device} == {"machine", "new3", "new4"}


def test_a_device_of_unknown_age_is_not_forgotten_where_it_would_come_back_as_a_new_one():
    """It would be `ok` from its first row on, over all that was missed of it."""
    bench = replace(SOURCE, name="bench", topics=("bench/{device}/cycle",), first_seen="new")
    into = core(SOURCE, bench, bounds=SMALL)
    into.apply(HistoryLost())
    take(into, [("bench/old/cycle", message("old", 500)[1]), *life("machine", 1), message("x1", 1)])
    for second in range(2, 16):
        take(into, life("machine", 1, start=second), arrived_ns=second * S)
    take(into, [message("new1", 1)], arrived_ns=16 * S)
    assert [*into.apply(Heartbeat(17 * S)).forgotten] == [("press", "x1")]


def test_while_they_are_fresh_they_keep_their_places():
    into = core(bounds=SMALL)
    for second in range(1, 9):
        take(into, [message(f"x{number}", second) for number in range(5)], arrived_ns=second * S)
    assert {*into.view().device} == {"x0", "x1", "x2"}
    assert into.counts == {("press", "devices_max"): 16}


def test_after_a_snapshot_that_does_not_say_who_was_ok_nobody_makes_room():
    data = with_strangers().snapshot()
    name = b"silence/proven"
    assert data.count(name) == 1
    into = core(bounds=SMALL)
    into.restore(data.replace(name, b"silence/others"))
    take(into, [message("new1", 1)], arrived_ns=16 * S)
    assert into.apply(Heartbeat(17 * S)).forgotten == []


def test_an_alert_that_stands_keeps_the_slot_of_a_device_that_was_never_ok():
    """The raise is known from the table alone: the state is newer, or was lost."""
    into = again(with_strangers())
    event = raised("x1")
    into.apply(AlertsKept([event], {("press", "x1"): (0, event.t_ns)}))
    take(into, [message("new1", 1)], arrived_ns=16 * S)
    assert [*into.apply(Heartbeat(17 * S)).forgotten] == [("press", "x2")]
    assert into.view().n_standing() == 1


def test_standing_alerts_are_adopted_before_ended_ones_take_any_room():
    """60 machines raised, cleared and fell silent; one of a fleet of 40 stands and gets its slot."""
    into = core(bounds=Bounds(devices_max=40))
    ended = {("press", f"old{number:02}"): (0, number * S) for number in range(60)}
    event = raised("p1")
    adopted = into.apply(AlertsKept([event], {**ended, ("press", "p1"): (0, event.t_ns)}))
    assert into.view().n_standing() == 1
    assert sum(into.view().devices_by_quality().values()) == 1
    assert len(adopted.forgotten) == 20, "of ended alerts only as many are kept as there may be devices"
    assert ("press", "old00") in adopted.forgotten
    rows = [message(f"new{number}", cycle) for number in range(39) for cycle in (1, 2)]
    assert len(take(into, rows).scores[0].entry) == 78
    assert into.counts == {}


def test_a_standing_alert_gets_its_slot_although_the_snapshot_is_full():
    """The one heard of least lately makes room: the snapshot was taken before it was forgotten."""
    before = core(bounds=Bounds(devices_max=2))
    take(before, life("gone", 3))
    take(before, life("lives", 3), arrived_ns=5 * S)
    into = core(bounds=Bounds(devices_max=2))
    into.restore(before.snapshot())
    event = raised("p1")
    into.apply(AlertsKept([event], {("press", "p1"): (0, event.t_ns)}))
    assert into.view().n_standing() == 1
    assert into.counts == {("press", "forgotten"): 1}
    assert take(into, [message("lives", 4)], arrived_ns=6 * S).scores[0].quality.tolist() == [Quality.OK]


def test_more_standing_alerts_than_devices_are_refused_at_the_start():
    events = [raised(f"p{number}") for number in range(3)]
    what = r"alerts of 3 devices stand, and agent.devices_max is 2\n  Raise agent.devices_max"
    with pytest.raises(StateRefused, match=what):
        core(bounds=Bounds(devices_max=2)).apply(AlertsKept(events, {}))


def test_who_ended_is_kept_as_a_mark_until_it_is_heard_or_long_silent():
    into = core(bounds=Bounds(stale_after_s=1, forget_after_s=5))
    into.apply(AlertsKept([], {("press", "p1"): (0, 50 * S), ("press", "p2"): (0, 50 * S)}))
    taken = take(into, [message("p1", 50), message("p1", 51), message("p1", 52)], arrived_ns=10 * S)
    assert into.counts["press", "repeated"] == 1
    assert taken.scores[0].quality.tolist() == [Quality.GAP, Quality.WARMING_UP]
    assert [*into.apply(Heartbeat(12 * S)).forgotten] == []
    assert [*into.apply(Heartbeat(30 * S)).forgotten] == [("press", "p2"), ("press", "p1")]


def test_who_is_forgotten_is_named_so_that_its_ended_alert_may_go():
    into = core(bounds=Bounds(stale_after_s=1, forget_after_s=5))
    take(into, life("p1", 3))
    into.apply(Heartbeat(2 * S))
    assert [*into.apply(Heartbeat(20 * S)).forgotten] == [("press", "p1")]
