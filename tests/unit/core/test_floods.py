"""Many devices that raise at once become one flood that names them, and nothing of any of them is lost."""

from dataclasses import replace

import msgspec
import pytest

from agent.core import Bounds, Core, floods
from agent.core.entries import AlertsKept, Heartbeat
from agent.judge.lifecycle import AlertRules
from agent.words import FLOOD, SEVERITIES
from tests.streams import SOURCE, interleaved, life, message, model, take
from tests.unit.core.test_alert_commands import COMMANDS, command, kinds, outcomes

MINUTE_NS = 60 * 10**9
RULES = AlertRules(flood_raises=5, flood_window_s=600.0)


def core(rules=RULES):
    return Core((SOURCE, COMMANDS), (model(SOURCE, reads=[0]),), Bounds(), rules)


def lives(n, start=1):
    """n devices that fail at once."""
    return interleaved(*(life(f"p{number}", 60, start=start, wear_from=start + 19) for number in range(n)))


def of_flood(taken):
    return [event for event in taken.alerts if event.head == FLOOD]


def raises(taken):
    return [event for event in taken.alerts if event.kind == "raised" and event.head != FLOOD]


def summary(taken):
    return [(event.kind, round(event.outputs[FLOOD][0]), len(event.devices)) for event in of_flood(taken)]


def test_many_devices_that_raise_at_once_are_one_flood_that_names_them():
    into, plain = core(), core(AlertRules())
    taken, expected = (take(one, lives(40), step_ns=10**5) for one in (into, plain))
    (flood,) = of_flood(taken)
    assert (flood.kind, flood.source, flood.device, flood.state) == ("raised", "press", "", "unacknowledged")
    assert flood.devices == tuple(event.device for event in raises(taken)[:5])
    marks = [event.group for event in raises(taken)]
    assert (marks.count(""), marks.count(flood.alert)) == (4, 36), "the fifth is in it"
    without = [msgspec.structs.replace(event, group="") for event in taken.alerts if event.head != FLOOD]
    assert without == list(expected.alerts), "nothing of any alert is lost or changed"
    first = raises(taken)[4]
    assert taken.alerts.index(flood) + 1 == taken.alerts.index(first), "it is told before what is in it"
    (update,) = of_flood(into.apply(Heartbeat(MINUTE_NS)))
    assert (update.kind, update.sequence, update.outputs[FLOOD]) == ("updated", 2, (40.0, 600.0))
    assert set(update.devices) == {f"p{number}" for number in range(40)}
    assert into.view().alerts["press", "", "", "flood"] == flood.alert


def test_it_ends_when_fewer_than_half_as_many_came_in_a_window_and_says_how_many_there_were():
    into = core()
    (flood,) = of_flood(take(into, lives(7), step_ns=10**5))
    assert of_flood(into.apply(Heartbeat(9 * MINUTE_NS)))[0].kind == "updated"
    assert of_flood(into.apply(Heartbeat(10 * MINUTE_NS))) == []
    (end,) = of_flood(into.apply(Heartbeat(12 * MINUTE_NS)))
    assert (end.kind, end.cause, end.state, end.alert) == ("cleared", "below_threshold", "normal", flood.alert)
    assert (end.outputs[FLOOD], len(end.devices)) == ((7.0, 600.0), 7)
    assert of_flood(into.apply(Heartbeat(30 * MINUTE_NS))) == []


@pytest.mark.parametrize("rules", [AlertRules(), AlertRules(flood_raises=8)])
def test_fewer_than_so_many_are_none(rules):
    taken = take(core(rules), lives(7), step_ns=10**5)
    assert (len(raises(taken)), of_flood(taken), {event.group for event in taken.alerts}) == (7, [], {""})


def test_raises_far_apart_are_none():
    into = core()
    taken = [take(into, life(f"p{number}", 60), arrived_ns=(1 + 3 * number) * MINUTE_NS) for number in range(8)]
    assert [event for one in taken for event in of_flood(one)] == []


def test_an_update_is_said_when_there_are_twice_as_many_and_else_once_a_minute():
    into = core()
    take(into, lives(5), step_ns=10**5)
    said = []
    for number in range(5, 12):
        at_ns = (10 + number) * 10**9
        said += summary(take(into, life(f"p{number}", 60), arrived_ns=at_ns, step_ns=10**5))
        said += summary(into.apply(Heartbeat(at_ns + 9 * 10**8)))
    said += summary(into.apply(Heartbeat(90 * 10**9)))
    assert said == [("updated", 5, 5), ("updated", 10, 10), ("updated", 12, 12)], "the first since it is severer"


def test_it_is_acknowledged_and_shelved_like_any_alert():
    into = core()
    (flood,) = of_flood(take(into, lives(6), step_ns=10**5))
    whole = {"device": "", "head": FLOOD}
    assert kinds(take(into, [command("acknowledge", alert=flood.alert, **whole)])) == [("acknowledged", "acknowledged")]
    taken = take(into, [command("shelve", alert=flood.alert, **whole, **{"for": "1h"})])
    assert (outcomes(taken), kinds(taken)) == (["done"], [("shelved", "shelved")])
    ended = of_flood(into.apply(Heartbeat(20 * MINUTE_NS)))
    assert [event.kind for event in ended] == ["cleared"]
    again = take(into, lives(6, start=100), arrived_ns=21 * MINUTE_NS, step_ns=10**5)
    assert of_flood(again) == [], "what is shelved is not raised"


def test_while_it_is_shelved_nothing_is_marked():
    into = core()
    take(into, [*lives(6), command("shelve", "", head=FLOOD, **{"for": "1h"})], step_ns=10**5)
    assert {event.group for event in take(into, life("p9", 60), step_ns=10**5).alerts} == {""}


def test_it_is_as_severe_as_the_severest_step_in_it():
    into = core()
    taken = take(into, lives(6), step_ns=10**5)
    severest = max((event.severity for event in taken.alerts if event.group), key=SEVERITIES.index)
    assert severest != of_flood(taken)[0].severity
    (update,) = of_flood(into.apply(Heartbeat(MINUTE_NS)))
    assert (update.severity, update.outputs[FLOOD][0]) == (severest, 6.0)


def test_a_table_that_is_newer_than_the_snapshot_has_more_of_the_flood():
    one, again = core(), core()
    take(one, lives(6), step_ns=10**5)
    kept = one.snapshot()
    take(one, [row for number in range(10, 30) for row in life(f"p{number}", 60)], arrived_ns=3 * 10**9, step_ns=10**5)
    newest = of_flood(one.apply(Heartbeat(MINUTE_NS)))
    again.restore(kept)
    again.apply(AlertsKept(newest, {}))
    take(again, life("p99", 60), arrived_ns=70 * 10**9, step_ns=10**5)
    assert summary(again.apply(Heartbeat(3 * MINUTE_NS))) == [("updated", 27, 27)]


def test_what_stands_in_for_the_raises_of_an_adopted_flood_makes_no_other_one():
    one = core()
    (flood,) = of_flood(take(one, lives(6), step_ns=10**5))
    again = core()
    again.apply(AlertsKept([flood], {}))
    again.apply(Heartbeat(MINUTE_NS))
    assert [event.kind for event in of_flood(again.apply(Heartbeat(20 * MINUTE_NS)))] == ["cleared"]
    wider = core(replace(RULES, flood_window_s=36_000.0))
    wider.restore(again.snapshot())
    assert of_flood(take(wider, life("p9", 60), arrived_ns=21 * MINUTE_NS, step_ns=10**5)) == []


def test_what_is_hidden_makes_no_flood():
    into = core()
    assert take(into, [command("suppress", ""), *lives(9)], step_ns=10**5).alerts == []


def test_what_people_say_of_a_flood_between_two_readings_of_one_read_has_its_place():
    """The flood is there before the command, though both come in one call, and no tick between them."""
    into = core()
    more = take(into, [*lives(6), command("acknowledge", "", head=FLOOD), command("suppress", "")], step_ns=1)
    assert [(event.kind, event.hidden) for event in of_flood(more)] == [
        ("raised", None),
        ("acknowledged", None),
        ("suppressed", "suppressed"),
    ]


MORE = [message(f"p{number}", 61 + cycle) for cycle in range(9) for number in range(6)]
STREAM = [*lives(6), command("acknowledge", "", head=FLOOD), *MORE]


@pytest.mark.slow
def test_floods_are_the_same_however_the_messages_are_split():
    whole, cut = core(), core()
    taken = take(whole, STREAM, step_ns=3 * 10**7)
    parts = [take(cut, [one], arrived_ns=10**9 + 3 * 10**7 * index) for index, one in enumerate(STREAM)]
    assert [event for part in parts for event in part.alerts] == list(taken.alerts)
    assert cut.snapshot() == whole.snapshot()
    assert {event.kind for event in of_flood(taken)} == {"raised", "acknowledged", "updated"}


@pytest.mark.slow
@pytest.mark.parametrize("at", range(200, len(STREAM), 23))
def test_a_restored_core_goes_on_with_its_floods(at):
    one, again = core(), core()
    take(one, STREAM[:at], step_ns=3 * 10**7)
    again.restore(one.snapshot())
    arrived_ns = 10**9 + 3 * 10**7 * at
    expected, restored = (take(into, STREAM[at:], arrived_ns=arrived_ns, step_ns=3 * 10**7) for into in (one, again))
    assert list(restored.alerts) == list(expected.alerts)
    ends = [into.apply(Heartbeat(20 * MINUTE_NS)).alerts for into in (one, again)]
    assert ends[0] == ends[1]
    assert again.snapshot() == one.snapshot()


def test_what_the_alert_table_has_of_a_flood_is_taken_over_and_lasts_a_window():
    one = core()
    (flood,) = of_flood(take(one, lives(6), step_ns=10**5))
    again = core()
    again.apply(AlertsKept([flood], {}))
    assert again.view().alerts["press", "", "", "flood"] == flood.alert
    again.apply(Heartbeat(MINUTE_NS))
    assert of_flood(again.apply(Heartbeat(5 * MINUTE_NS))) == []
    (end,) = of_flood(again.apply(Heartbeat(20 * MINUTE_NS)))
    assert (end.kind, end.alert, end.sequence) == ("cleared", flood.alert, flood.sequence + 1)
    off = core(AlertRules())
    off.apply(AlertsKept([flood], {}))
    off.apply(Heartbeat(MINUTE_NS))
    (end,) = of_flood(off.apply(Heartbeat(2 * MINUTE_NS)))
    assert end.cause == "not_watched"


def test_devices_that_are_named_are_bounded_and_raises_are_all_counted(monkeypatch):
    monkeypatch.setattr(floods, "DEVICES_MAX", 6)
    into = core()
    take(into, lives(12), step_ns=10**5)
    assert summary(into.apply(Heartbeat(MINUTE_NS))) == [("updated", 12, 6)]
