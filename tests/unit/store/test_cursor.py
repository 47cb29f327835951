"""What is due to a sink: in order, bounded, parked with what follows, and no sink waits for another."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.store.cursor import Cursor, Parked
from agent.store.outbox import Outbox
from agent.words import AlertEvent
from tests.alert_events import event


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts.db"


def step(device: str, number: int, kind: str = "updated") -> AlertEvent:
    """The `number`-th event of a device's alert, whose id is `DEVICE.NUMBER` to tell it apart."""
    return event(kind, f"{device}.{number}", t=number, device=device)


def steps(cursor: Cursor) -> list[str]:
    """What may be sent: an event by its alert's id, what stands by its device in brackets."""
    return [f"[{one.key[1]}]" if one.is_alert else one.event.alert for one in cursor.sendable(1000)]


def numbers(cursor: Cursor) -> dict[str, int]:
    return dict(zip(steps(cursor), [one.number for one in cursor.sendable(1000)], strict=True))


def n_events(outbox: Outbox) -> int:
    return outbox._database.read("SELECT count(*) FROM event").fetchone()[0]


def test_events_leave_in_their_order_and_their_numbers_are_never_used_again(path):
    outbox = Outbox(path, 100)
    cursor = outbox.cursor("mqtt", mirrors=False)
    outbox.commit([step("e", number) for number in range(4)])
    first = [one.number for one in cursor.sendable(2)]
    cursor.settle(first, {})
    assert steps(cursor) == ["e.2", "e.3"]
    last = cursor.sendable(10)[-1].number
    cursor.settle([one.number for one in cursor.sendable(10)], {})
    assert n_events(outbox) == 0
    outbox.commit([step("e", 4)])
    assert cursor.sendable(10)[0].number > last, "an acknowledgement under way must not remove a later one"


def test_what_stands_is_told_as_it_is_when_it_is_sent(path):
    """A later event of the key replaces the row; an answer to the older one does not remove it."""
    outbox = Outbox(path, 100)
    cursor = outbox.cursor("mqtt", mirrors=True)
    outbox.commit([step("e", 1, "raised"), step("f", 1, "raised")])
    assert steps(cursor) == ["e.1", "[e]", "f.1", "[f]"]
    older = numbers(cursor)["[e]"]
    outbox.commit([step("e", 2, "cleared")])
    assert steps(cursor) == ["e.1", "f.1", "[f]", "e.2", "[e]"]
    cursor.settle([older], {})
    stands = {one.key[1]: one.event.state for one in cursor.sendable(9) if one.is_alert}
    assert stands == {"e": "normal", "f": "unacknowledged"}


def test_after_a_connection_all_that_stands_is_told_anew_and_what_is_wrong_there_is_removed(path):
    outbox = Outbox(path, 100)
    cursor = outbox.cursor("mqtt", mirrors=True)
    outbox.commit([step("e", 1, "raised"), step("f", 1, "raised"), step("f", 2, "cleared")])
    cursor.settle([one.number for one in cursor.sendable(9)], {})
    assert cursor.standing() == [("press", "e", "main", "risk")]
    cursor.tell_alerts([*cursor.standing(), ("press", "gone", "main", "risk")])
    assert [(one.key[1], one.event and one.event.alert) for one in cursor.sendable(9)] == [("e", "e.1"), ("gone", None)]


def test_what_is_refused_is_parked_with_what_follows_in_its_chain_until_it_is_taken(path):
    outbox = Outbox(path, 100)
    cursor = outbox.cursor("mqtt", mirrors=False)
    outbox.commit([step("a", 1), step("a", 2), step("b", 1), step("b", 2), step("c", 1)])
    first = numbers(cursor)["a.1"]
    cursor.settle([], {first: Parked.FOR_GOOD})
    outbox.commit([step("a", 3)])
    assert (cursor.waiting, cursor.parked, len(cursor)) == (3, 3, 6)
    assert steps(cursor) == ["b.1", "b.2", "c.1"]
    outbox.close()
    outbox = Outbox(path, 100)
    cursor = outbox.cursor("mqtt", mirrors=False)
    assert (cursor.waiting, cursor.parked) == (3, 3), "the database knows"
    assert cursor.refused(Parked.FOR_NOW, 0, 9) == []
    assert [one.event.alert for one in cursor.refused(Parked.FOR_GOOD, 0, 9)] == ["a.1"], "one of a chain"
    assert cursor.refused(Parked.FOR_GOOD, first, 9) == []
    cursor.settle([first], {})
    assert (cursor.waiting, cursor.parked) == (5, 0)
    assert steps(cursor) == ["a.2", "b.1", "b.2", "c.1", "a.3"]


def test_what_stands_anew_is_not_parked_for_what_stood_before(path):
    """And is not of its key's chain: a refused event does not keep back what stands."""
    outbox = Outbox(path, 100)
    cursor = outbox.cursor("mqtt", mirrors=True)
    outbox.commit([step("e", 1, "raised")])
    cursor.settle([], {numbers(cursor)["e.1"]: Parked.FOR_GOOD})
    assert steps(cursor) == ["[e]"]
    cursor.settle([], {numbers(cursor)["[e]"]: Parked.FOR_GOOD})
    assert (cursor.waiting, cursor.parked) == (0, 2)
    outbox.commit([step("e", 2)])
    assert (steps(cursor), cursor.waiting, cursor.parked) == (["[e]"], 1, 2)
    assert [one.is_alert for one in cursor.refused(Parked.FOR_GOOD, 0, 9)] == [False], "the first of the chain"


def test_events_of_two_models_do_not_wait_for_each_other(path):
    outbox = Outbox(path, 100)
    cursor = outbox.cursor("mqtt", mirrors=False)
    other = msgspec.structs.replace(step("a", 2), model="next")
    outbox.commit([step("a", 1), other])
    cursor.settle([], {numbers(cursor)["a.1"]: Parked.FOR_NOW})
    assert [one.key for one in cursor.sendable(9)] == [other.key]


def test_a_new_connection_frees_all_that_is_parked(path):
    outbox = Outbox(path, 100)
    cursor = outbox.cursor("mqtt", mirrors=True)
    outbox.commit([step("a", 1), step("a", 2)])
    cursor.settle([], {one.number: Parked.TOO_LARGE for one in cursor.sendable(9)})
    assert (cursor.waiting, cursor.parked) == (0, 3)
    cursor.unpark()
    assert (cursor.waiting, cursor.parked) == (3, 0)


KINDS = st.sampled_from(["raised", "updated", "cleared"])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(KINDS, max_size=30), max_size=12), st.integers(6, 20))
def test_a_full_outbox_drops_updates_first_then_the_oldest_and_never_what_stands(tmp_path_factory, batches, rows_max):
    """Law 5, against a list. What is dropped is counted."""
    outbox = Outbox(tmp_path_factory.mktemp("state") / "alerts.db", rows_max)
    cursor = outbox.cursor("mqtt", mirrors=True)
    outbox.commit([step(f"s{number}", 1, "raised") for number in range(3)])
    cursor.settle([one.number for one in cursor.sendable(9) if not one.is_alert], {})
    model: list[AlertEvent] = []
    dropped = 0
    for batch, kinds in enumerate(batches):
        new = [step("e", 100 * batch + number, kind) for number, kind in enumerate(kinds)]
        outbox.commit(new)
        model += new
        n_alerts = 4 if any(batches[: batch + 1]) else 3
        for is_first in (lambda one: one.kind == "updated", lambda one: True):
            for one in [one for one in model if is_first(one)][: max(0, len(model) + n_alerts - rows_max)]:
                model.remove(one)
                dropped += 1
    due = cursor.sendable(1000)
    assert [one.event for one in due if not one.is_alert] == model
    assert {one.key[1] for one in due if one.is_alert} == {"s0", "s1", "s2"} | ({"e"} if any(batches) else set())
    assert outbox.dropped == cursor.dropped == dropped
    assert len(cursor) <= rows_max
    assert n_events(outbox) == len(model), "what nobody is to tell is not kept"


def test_a_sink_that_takes_nothing_holds_up_its_own_cursor_alone(path):
    """Its bound is its own too; an event is kept for the one that has not told it, also over a restart."""
    outbox = Outbox(path, 3)
    quick, stuck = outbox.cursor("quick", mirrors=False), outbox.cursor("stuck", mirrors=False)
    for number in range(5):
        outbox.commit([step("a", number)])
        quick.settle([one.number for one in quick.sendable(9)], {})
    assert (len(quick), quick.dropped) == (0, 0)
    assert (steps(stuck), stuck.dropped, outbox.dropped) == (["a.2", "a.3", "a.4"], 2, 2)
    assert n_events(outbox) == 3
    stuck.settle([], {numbers(stuck)["a.2"]: Parked.FOR_GOOD})
    outbox.commit([step("a", 5)])
    assert (steps(quick), stuck.parked) == (["a.5"], 3), "what one refuses is not parked for the other"
    outbox.close()
    outbox = Outbox(path, 3)
    quick, stuck = outbox.cursor("quick", mirrors=False), outbox.cursor("stuck", mirrors=False)
    assert outbox.leave_other_sinks() == {}
    assert [len(quick), len(stuck)] == [1, 3]
    stuck.unpark()
    stuck.settle([one.number for one in stuck.sendable(9)], {})
    assert (steps(quick), n_events(outbox)) == (["a.5"], 1)


def test_what_one_sink_has_told_keeps_no_other_ones_chain_back(path):
    """A key's first event is still due to one sink when the second one is refused to the other."""
    outbox = Outbox(path, 100)
    quick, stuck = outbox.cursor("quick", mirrors=True), outbox.cursor("stuck", mirrors=True)
    outbox.commit([step("a", 1)])
    quick.settle([one.number for one in quick.sendable(9)], {})
    outbox.commit([step("a", 2)])
    quick.settle([], {numbers(quick)["a.2"]: Parked.FOR_NOW})
    assert [one.event.alert for one in quick.refused(Parked.FOR_NOW, 0, 9)] == ["a.2"]
    assert (steps(quick), steps(stuck)) == (["[a]"], ["a.1", "a.2", "[a]"])
    stuck.settle([], {numbers(stuck)["a.1"]: Parked.FOR_GOOD})
    quick.unpark()
    assert (quick.parked, stuck.parked) == (0, 2)


def test_an_event_does_not_wait_for_what_stands(path):
    """The broker's ACL may deny the one topic and not the other."""
    outbox = Outbox(path, 100)
    cursor = outbox.cursor("mqtt", mirrors=True)
    outbox.commit([step("a", 1)])
    cursor.settle([numbers(cursor)["a.1"]], {numbers(cursor)["[a]"]: Parked.FOR_GOOD})
    outbox.commit([step("a", 2)])
    assert steps(cursor) == ["a.2", "[a]"]


def test_a_new_sink_begins_with_what_comes_and_a_sink_that_is_gone_is_left(path):
    outbox = Outbox(path, 100)
    outbox.cursor("old", mirrors=True)
    outbox.commit([step("a", 1)])
    outbox.close()
    outbox = Outbox(path, 100)
    new = outbox.cursor("new", mirrors=False)
    assert outbox.leave_other_sinks() == {"old": 2}
    outbox.commit([step("a", 2)])
    assert (steps(new), n_events(outbox)) == (["a.2"], 1)


def test_without_a_sink_no_event_is_kept(path):
    outbox = Outbox(path, 100)
    outbox.commit([step("a", 1)])
    assert n_events(outbox) == 0
