"""What people do with alerts, through the whole core: commands are messages that act at their place in the log."""

import json
from dataclasses import replace

import msgspec
import pytest

from agent.core import Bounds, Core, handling
from agent.core.entries import AlertsKept, Forget, Heartbeat, Listening
from agent.decode.alert_command import ALERT_COMMAND
from agent.judge.lifecycle import AlertRules
from agent.judge.maintenance import Window
from agent.sources import Source
from agent.words import ALERT_ACTIONS, Hide
from tests.streams import SOURCE, bytes_of, interleaved, life, message, model, take

COMMANDS = Source(
    name="cmd/alert/press",
    topics=tuple(f"forewarn/n/cmd/{action}/press" for action in ALERT_ACTIONS),
    time_field="",
    time_unit="arrival",
    channels=(),
    tags=(("device", "device"),),
    codec=ALERT_COMMAND,
    joins="press",
)
HOUR_NS = 3600 * 10**9
ILL = life("p1", 60)


def core(rules=None, **of_source):
    source = replace(SOURCE, **of_source)
    return Core((source, COMMANDS), (model(source, reads=[0]),), Bounds(), rules or AlertRules())


def command(action, device="p1", **said):
    return f"forewarn/n/cmd/{action}/press", json.dumps({"device": device} | said).encode()


def raised(into, stream=ILL):
    """The alert that stands after a stream."""
    return next(event.alert for event in take(into, stream).alerts if event.kind == "raised")


def kinds(taken):
    return [(event.kind, event.hidden or event.state) for event in taken.alerts]


def outcomes(taken):
    return [one.outcome for one in taken.handled]


def well(device="p1", start=61, n=40):
    return [message(device, start + index) for index in range(n)]


def test_an_acknowledged_alert_stands_and_ends_as_any():
    into = core()
    alert = raised(into)
    taken = take(into, [command("acknowledge", alert=alert, by="anna", note="on my way")])
    (event,) = taken.alerts
    assert (event.kind, event.state, event.alert, event.sequence) == ("acknowledged", "acknowledged", alert, 4)
    assert event.outputs["risk"][2] > 0.5, "what the row that decided last has said"
    assert (event.by, event.note, event.at_ns) == ("anna", "on my way", 10**9 + 59 * 10**7)
    assert outcomes(taken) == ["done"]
    assert outcomes(take(into, [command("acknowledge", alert=alert, by="ben")])) == ["needless"], "two at once"
    assert kinds(take(into, well()))[-1] == ("cleared", "normal")


@pytest.mark.slow
def test_a_command_for_an_alert_that_has_ended_does_nothing_to_the_next():
    into = core()
    first = raised(into)
    take(into, well())
    second = raised(into, life("p1", 200, start=101, wear_from=110))
    taken = take(into, [command("acknowledge", alert=first)])
    assert (taken.alerts, outcomes(taken)) == ([], ["unknown"])
    assert second in into.view().alerts.values()
    assert outcomes(take(into, [command("acknowledge", "p9")])) == ["unknown"]


def test_a_severer_alert_has_to_be_acknowledged_again():
    into = core()
    alerts = iter(take(into, ILL).alerts)
    n_before = next(event for event in alerts if event.kind == "raised").entry + 1
    assert next(alerts).kind == "updated"
    again = core()
    take(again, ILL[:n_before])
    take(again, [command("acknowledge")])
    assert kinds(take(again, ILL[n_before:]))[0] == ("updated", "unacknowledged")


def test_a_shelved_alert_is_said_to_be_and_comes_back_when_its_time_is_over():
    into = core()
    alert = raised(into)
    taken = take(into, [command("shelve", alert=alert, **{"for": "2h"}, by="anna")])
    assert kinds(taken) == [("shelved", "shelved")]
    assert taken.alerts[0].hidden_until_ns == taken.handled[0].until_ns == taken.handled[0].at_ns + 2 * HOUR_NS
    assert take(into, [message("p1", 61, wear=3.0)]).alerts == []
    assert into.apply(Heartbeat(2 * HOUR_NS)).alerts == []
    shown = into.apply(Heartbeat(3 * HOUR_NS))
    assert kinds(shown) == [("shown", "unacknowledged")]
    assert (shown.alerts[0].cause, shown.alerts[0].alert) == ("expired", alert)
    assert [change[2] for change in shown.hides] == [None]


def test_nothing_is_raised_while_it_is_shelved_and_what_still_shows_is_raised_afterwards():
    into = core()
    assert outcomes(take(into, [message("p1", 1), command("shelve", head="risk", **{"for": "1h"})])) == ["done"]
    assert take(into, life("p1", 60)[1:]).alerts == []
    into.apply(Heartbeat(2 * HOUR_NS))
    taken = take(into, [message("p1", 61, wear=3.0)], arrived_ns=2 * HOUR_NS)
    assert kinds(taken) == [("raised", "unacknowledged")]


def test_a_hidden_alert_whose_risk_is_low_ends_without_a_word_from_anybody():
    into = core(AlertRules(needs_acknowledgement=True, latches=True))
    raised(into)
    take(into, [command("suppress")])
    assert kinds(take(into, well())) == [("cleared", "suppressed")]


def test_a_window_over_a_whole_source_hides_all_its_devices_and_each_reason_ends_by_itself():
    into = core()
    streams = interleaved(life("p1", 60), life("p2", 60))
    taken = take(into, [command("suppress", "", **{"for": "1h"}), command("out_of_service", "p2"), *streams])
    assert taken.alerts == []
    assert into.apply(Heartbeat(2 * HOUR_NS)).alerts == []
    more = [message(device, 61 + cycle, wear=3.0) for cycle in range(3) for device in ("p1", "p2")]
    assert {event.device for event in take(into, more, arrived_ns=2 * HOUR_NS).alerts} == {"p1"}
    taken = take(into, [command("in_service", "p2"), message("p2", 65, wear=3.0)], arrived_ns=2 * HOUR_NS)
    assert [(event.kind, event.device) for event in taken.alerts] == [("raised", "p2")]
    assert outcomes(take(into, [command("unsuppress", "")], arrived_ns=2 * HOUR_NS)) == ["needless"]


def test_a_show_ends_whatever_hides_it_by_that_kind_however_it_was_hidden():
    """By its id, by its head or with all of its device: who wants to see it does not know which of them it was."""
    for hidden, shown in (
        ({"alert": "is"}, {}),
        ({}, {"alert": "is", "model": "main", "head": "risk"}),
        ({"head": "risk"}, {"alert": "is"}),
    ):
        into = core()
        alert = raised(into)
        first, second = ({**said, **({"alert": alert} if "alert" in said else {})} for said in (hidden, shown))
        take(into, [command("shelve", **first, **{"for": "2h"}), command("shelve", **{"for": "1h"})])
        taken = take(into, [command("unshelve", **second)])
        assert (outcomes(taken), kinds(taken)) == (["done"], [("shown", "unacknowledged")])
        assert outcomes(take(into, [command("unshelve", **second)])) == ["needless"]


def test_what_is_shelved_longer_than_its_alert_stands_can_be_shown_by_its_id():
    into = core()
    alert = raised(into)
    take(into, [command("shelve", alert=alert, **{"for": "100h"}), *well()])
    ill = life("p1", 200, start=101, wear_from=100)
    assert take(into, ill).alerts == []
    of_head = {"model": "main", "head": "risk"}
    assert outcomes(take(into, [command("unshelve", alert=alert, **of_head)])) == ["done"]
    assert kinds(take(into, [message("p1", 301, wear=3.0)])) == [("raised", "unacknowledged")]


def test_a_device_cannot_be_shown_alone_where_all_of_its_source_is_hidden():
    into = core()
    taken = take(into, [message("p1", 1), command("suppress", ""), command("unsuppress")])
    assert outcomes(taken) == ["done", "needless"]
    assert "all of press" in taken.handled[1].detail


def test_the_reason_that_is_left_is_said_when_one_of_several_ends():
    into = core()
    raised(into)
    taken = take(into, [command("shelve", **{"for": "9h"}), command("out_of_service"), command("suppress", "")])
    assert [hidden for _, hidden in kinds(taken)] == ["shelved", "out_of_service", "out_of_service"]
    taken = take(into, [command("in_service"), command("unsuppress", ""), command("unshelve")])
    assert kinds(taken) == [("suppressed", "suppressed"), ("shelved", "shelved"), ("shown", "unacknowledged")]
    assert ["still" in one.detail for one in taken.handled] == [True, False, False]


def test_of_two_spans_of_one_kind_the_one_that_ends_last_is_said():
    into = core()
    raised(into)
    taken = take(into, [command("suppress", **{"for": "1h"}), command("suppress", "", **{"for": "5h"})])
    spans = [event.hidden_until_ns for event in taken.alerts]
    assert spans[1] - spans[0] > 3 * HOUR_NS
    assert into.apply(Heartbeat(2 * HOUR_NS)).alerts == [], "what is said of it has not changed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rules", "stands_as", "action", "cause"),
    [
        (AlertRules(needs_acknowledgement=True), "returned_unacknowledged", "acknowledge", "acknowledged"),
        (AlertRules(latches=True), "latched", "reset", "reset"),
    ],
)
def test_an_alert_that_needs_a_person_stands_until_one_comes(rules, stands_as, action, cause):
    into = core(rules)
    alert = raised(into)
    assert kinds(take(into, well()))[-1] == ("returned", stands_as)
    again = take(into, life("p1", 200, start=101, wear_from=100))
    assert (again.alerts[0].kind, again.alerts[0].alert) == ("recurred", alert)
    take(into, well(start=301))
    (event,) = take(into, [command(action, by="anna")]).alerts
    assert (event.kind, event.state, event.cause, event.alert) == ("cleared", "normal", cause, alert)


def test_a_silence_can_be_acknowledged_and_shelved():
    into = core(silent_after_s=30.0)
    into.apply(Listening(("press",)))
    take(into, [message("p1", 1)])
    tick_ns = 10**9
    while not (events := into.apply(Heartbeat(tick_ns)).alerts):
        tick_ns += 10**9
    of_source = {"device": "", "head": "silence"}
    (event,) = take(into, [command("acknowledge", alert=events[0].alert, **of_source)]).alerts
    assert (event.kind, event.state, event.head, event.sequence) == ("acknowledged", "acknowledged", "silence", 2)
    assert kinds(take(into, [command("shelve", **of_source, **{"for": "1h"})])) == [("shelved", "shelved")]


def test_silence_of_a_source_is_hidden_alone_and_not_that_of_its_devices():
    into = core(silent_after_s=30.0, device_silent_after_s=40.0)
    into.apply(Listening(("press",)))
    take(into, [message("p1", 1), message("p1", 2)])
    take(into, [command("shelve", "", head="silence", **{"for": "1h"})], arrived_ns=2 * 10**9)
    events = []
    for second in range(3, 90):
        events += take(into, [message("p2", second)], arrived_ns=second * 10**9).alerts
    assert [(event.device, event.hidden) for event in events if event.kind == "raised"] == [("p1", None)]
    of_device = take(into, [command("shelve", "p1", head="silence", **{"for": "1h"})], arrived_ns=91 * 10**9)
    assert kinds(of_device) == [("shelved", "shelved")]
    assert kinds(take(into, [command("unshelve", "", head="silence")], arrived_ns=92 * 10**9)) == []


def test_a_model_or_head_that_is_not_there_is_said():
    into = core()
    orders = [command("suppress", model="mian"), command("shelve", head="risc", **{"for": "1h"}), command("suppress")]
    taken = take(into, [message("p1", 1), *orders])
    assert outcomes(taken) == ["unknown", "unknown", "done"]
    assert [one.detail for one in taken.handled] == ["no model is named 'mian'", "no head is named 'risc'", ""]


def test_what_is_hidden_by_a_clock_that_was_ahead_lasts_as_long_as_was_said():
    one = core()
    ahead_ns = 10 * 365 * 24 * HOUR_NS
    orders = [message("p1", 1), command("shelve", **{"for": "8h"}), command("out_of_service", "p2")]
    hides = [(pattern, hide) for pattern, _, hide in take(one, orders, arrived_ns=ahead_ns).hides]
    again = core()
    again.apply(AlertsKept([], {}, hides))
    again.apply(Heartbeat(HOUR_NS))
    taken = again.apply(Heartbeat(2 * HOUR_NS))
    dated = {kind: (hide.since_ns, hide.until_ns) for _, kind, hide in taken.hides}
    assert dated == {"shelved": (2 * HOUR_NS, 10 * HOUR_NS), "out_of_service": (2 * HOUR_NS, 0)}
    assert [change[2] for change in again.apply(Heartbeat(11 * HOUR_NS)).hides] == [None]


WINDOW = Window("press", (), "01:00", "03:00")


def test_alerts_are_hidden_in_a_maintenance_window_and_shown_when_it_is_over():
    into = core(AlertRules(windows=(WINDOW,)))
    alert = raised(into)
    (hidden,) = into.apply(Heartbeat(HOUR_NS)).alerts
    assert (hidden.kind, hidden.hidden, hidden.cause, hidden.alert) == ("maintenance", "maintenance", "schedule", alert)
    assert (hidden.hidden_until_ns, hidden.by) == (3 * HOUR_NS, "")
    assert into.apply(Heartbeat(2 * HOUR_NS)).alerts == [], "it is said once"
    assert take(into, life("p2", 60), arrived_ns=2 * HOUR_NS + 10**9).alerts == []
    (shown,) = into.apply(Heartbeat(3 * HOUR_NS)).alerts
    assert (shown.kind, shown.state, shown.cause) == ("shown", "unacknowledged", "expired")
    taken = take(into, [message("p2", 61, wear=3.0)], arrived_ns=3 * HOUR_NS + 10**9)
    assert kinds(taken) == [("raised", "unacknowledged")]


def test_a_person_and_a_schedule_do_not_undo_each_other():
    into = core(AlertRules(windows=(WINDOW, replace(WINDOW, devices=("p1",), end="02:00"))))
    raised(into)
    taken = take(into, [command("suppress", **{"for": "90m"})], arrived_ns=2 * 10**9)
    assert kinds(taken) == [("suppressed", "suppressed")]
    hides = into.apply(Heartbeat(HOUR_NS)).hides
    assert [(pattern[1], kind) for pattern, kind, _ in hides] == [("", "maintenance"), ("p1", "maintenance")]
    assert kinds(into.apply(Heartbeat(100 * 60 * 10**9))) == [], (
        "what a person has hidden ends, and nothing is to be seen"
    )
    assert outcomes(take(into, [command("unsuppress")], arrived_ns=101 * 60 * 10**9)) == ["needless"]
    assert kinds(into.apply(Heartbeat(2 * HOUR_NS))) == []
    assert kinds(into.apply(Heartbeat(3 * HOUR_NS))) == [("shown", "unacknowledged")]


def test_one_window_may_begin_when_another_ends():
    into = core(AlertRules(windows=(WINDOW, replace(WINDOW, begin="03:00", end="04:00"))))
    raised(into)
    take(into, [command("acknowledge")])
    assert kinds(into.apply(Heartbeat(HOUR_NS))) == [("maintenance", "maintenance")]
    again = into.apply(Heartbeat(3 * HOUR_NS))
    assert [event.hidden_until_ns for event in again.alerts] == [4 * HOUR_NS], "and nothing is shown between"


def test_windows_take_no_room_of_what_people_hide(monkeypatch):
    monkeypatch.setattr("agent.core.alert_commands.HIDES_MAX", 1)
    into = core(AlertRules(windows=(WINDOW,)))
    take(into, [message("p1", 1)])
    into.apply(Heartbeat(HOUR_NS))
    assert outcomes(take(into, [command("suppress"), command("suppress", "p2")], arrived_ns=HOUR_NS)) == [
        "done",
        "refused",
    ]


def test_a_window_that_is_not_planned_any_more_ends_at_the_next_tick():
    one, again = core(AlertRules(windows=(WINDOW,))), core()
    alert = raised(one)
    hidden = one.apply(Heartbeat(HOUR_NS))
    again.apply(AlertsKept(hidden.alerts, {}, [(pattern, hide) for pattern, _, hide in hidden.hides]))
    again.apply(Heartbeat(HOUR_NS + 10**9))
    (shown,) = again.apply(Heartbeat(2 * HOUR_NS)).alerts
    assert (shown.kind, shown.cause, shown.alert) == ("shown", "schedule", alert)


STREAM = [
    *life("p1", 55),
    command("acknowledge"),
    *life("p1", 60)[55:],
    command("shelve", **{"for": "1s"}),
    *[message("p1", 61 + cycle, wear=3.0) for cycle in range(60)],
    command("acknowledge"),
    *well(start=121, n=10),
    command("suppress", "p2", **{"for": "2s"}),
    *life("p2", 60),
    command("in_service"),
]


@pytest.mark.slow
def test_commands_take_their_places_however_the_messages_are_split():
    whole, cut = core(), core()
    taken = take(whole, STREAM, step_ns=3 * 10**7)
    parts = [take(cut, [one], arrived_ns=10**9 + 3 * 10**7 * index) for index, one in enumerate(STREAM)]
    assert [event for part in parts for event in part.alerts] == list(taken.alerts)
    assert [one for part in parts for one in part.handled] == list(taken.handled)
    assert [one for part in parts for one in part.hides] == list(taken.hides)
    assert cut.snapshot() == whole.snapshot()
    assert len({event.kind for event in taken.alerts}) > 4


@pytest.mark.slow
@pytest.mark.parametrize("at", range(0, len(STREAM), 12))
def test_a_restored_core_goes_on_with_what_was_hidden_and_acknowledged(at):
    one, again = core(), core()
    take(one, STREAM[:at], step_ns=3 * 10**7)
    again.restore(one.snapshot())
    arrived_ns = 10**9 + 3 * 10**7 * at
    expected, found = (take(into, STREAM[at:], arrived_ns=arrived_ns, step_ns=3 * 10**7) for into in (one, again))
    assert (list(found.alerts), list(found.hides)) == (list(expected.alerts), list(expected.hides))
    assert again.snapshot() == one.snapshot()


def test_what_the_alert_table_has_of_it_is_taken_over():
    one = core()
    raised(one)
    (event,) = take(one, [command("acknowledge")]).alerts
    hides = [change for change in take(one, [command("shelve", "p2", **{"for": "8h"})]).hides if change[2]]
    again = core()
    again.apply(AlertsKept([event], {}, [(pattern, hide) for pattern, _, hide in hides]))
    assert outcomes(take(again, [command("acknowledge")])) == ["needless"]
    assert {event.device for event in take(again, interleaved(life("p2", 60), life("p3", 60))).alerts} == {"p3"}


def test_what_one_device_is_told_is_no_business_of_another():
    into, twin = core(), core()
    others = life("p2", 60)
    told = take(into, [command("shelve", **{"for": "1h"}), *interleaved(others, life("p1", 60)), command("suppress")])
    assert bytes_of(told, "p2") == bytes_of(take(twin, interleaved(others, life("p1", 60))), "p2")


def test_bounds_are_said(monkeypatch):
    monkeypatch.setattr("agent.core.alert_commands.HIDES_MAX", 1)
    into = core(AlertRules(shelve_max_s=3600.0))
    taken = take(into, [command("shelve", **{"for": "2h"}), command("suppress"), command("suppress", "p2")])
    assert outcomes(taken) == ["refused", "done", "refused"]
    assert ["shelve_max" in taken.handled[0].detail, "hidden already" in taken.handled[2].detail] == [True, True]
    assert outcomes(take(into, [command("suppress", note="again")])) == ["done"], (
        "what is hidden may be hidden for longer"
    )


@pytest.mark.parametrize(
    ("action", "payload", "reason", "says"),
    [
        ("acknowledge", b"", "empty", ""),
        ("acknowledge", b"{", "malformed", ""),
        ("acknowledge", b'{"alert": "aa"}', "wrong_type", "$.device"),
        ("acknowledge", b'{"device": "p1", "for": "1h"}', "wrong_type", "takes no span"),
        ("acknowledge", b'{"device": "p1", "who": "x"}', "wrong_type", "who"),
        ("shelve", b'{"device": "p1"}', "wrong_type", "how long"),
        ("shelve", b'{"device": "p1", "for": "0s"}', "wrong_type", "no time"),
        ("shelve", b'{"device": "p1", "for": "soon"}', "wrong_type", "duration"),
        ("suppress", b'{"device": "p1", "note": "' + b"x" * 501 + b'"}', "wrong_type", "note"),
    ],
)
def test_a_command_that_cannot_be_read_is_counted_and_says_where(action, payload, reason, says):
    into = core()
    taken = take(into, [(f"forewarn/n/cmd/{action}/press", payload), message("p1", 1)])
    assert (list(taken.handled), dict(into.counts)) == ([], {("cmd/alert/press", reason): 1})
    assert says in taken.drops[0].detail
    assert len(taken.scores[0].entry) == 1


def test_hides_that_no_version_wrote_are_refused():
    with pytest.raises(ValueError, match="Expected"):
        handling.read_hides(msgspec.msgpack.encode([("press", "p1")]))
    kept = [(("press", "p1", "", ""), Hide("shelved", 1, 2, "anna", ""))]
    assert handling.read_hides(msgspec.msgpack.encode(kept)) == kept


def test_a_machine_that_is_out_of_service_is_silent_by_design_and_stays_hidden_when_it_is_forgotten_for_that():
    bounds = Bounds(stale_after_s=1, forget_after_s=5)
    into = Core((SOURCE, COMMANDS), (model(SOURCE, reads=[0]),), bounds)
    take(into, [*ILL, command("out_of_service")])
    for after_s in range(60):
        into.apply(Heartbeat(into.log_time_ns + after_s * 10**9))
    assert (into.view().device, into.view().n_hidden) == ([], 1)
    assert into.apply(Forget([("press", "p1")])).hides == [(("press", "p1", "", ""), "out_of_service", None)]
    assert into.view().n_hidden == 0
