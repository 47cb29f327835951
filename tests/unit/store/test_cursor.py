"""What is due to a sink: in order, bounded, parked with what follows, and no sink waits for another."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.store.cursor import Cursor, Due, Parked
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


KEY_E = ("press", "e", "main", "risk")


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


def test_a_copy_says_what_stands_now_and_becomes_a_row_when_it_is_refused(path):
    outbox = Outbox(path, 100)
    cursor = outbox.cursor("mqtt", mirrors=True)
    outbox.commit([step("e", 1, "raised"), step("f", 1, "raised"), step("f", 2, "cleared")])
    cursor.settle([one.number for one in cursor.sendable(9)], {})
    assert cursor.standing() == [KEY_E]
    copies = [cursor.copy(key) for key in (KEY_E, ("press", "gone", "main", "risk"))]
    assert [(one.number, one.is_alert, one.event and one.event.alert) for one in copies] == [
        (0, True, "e.1"),
        (0, True, None),
    ]
    assert len(cursor) == 0, "they are no rows"
    cursor.park_copy(KEY_E, Parked.FOR_NOW)
    assert (cursor.waiting, cursor.parked) == (0, 1)
    outbox.commit([step("e", 2, "cleared")])
    assert [one.event.alert for one in cursor.sendable(9) if one.is_alert] == ["e.2"], "replaced by what happened"


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


DEVICES = ("a", "b", "c")
ACTIONS = st.lists(
    st.tuples(st.sampled_from(DEVICES), st.sampled_from(["raised", "updated", "cleared"]))
    | st.tuples(st.sampled_from(["take", "refuse", "unpark"]), st.integers(1, 4))
    | st.just(("restart", 0)),
    max_size=60,
)


def of_each_key(cursor: Cursor) -> list[Due]:
    """What may be under way at a time: of each key its first event, and what stands."""
    firsts = {(row.key, row.is_alert): row for row in reversed(cursor.sendable(1000))}
    return sorted(firsts.values(), key=lambda row: row.number)


def is_kept(one: AlertEvent, due: list[AlertEvent]) -> bool:
    """Whether the bound never pushes it out: the newest event of what stands."""
    return one.kind != "cleared" and one is next(other for other in reversed(due) if other.device == one.device)


def push_out(due: list[AlertEvent], events_max: int) -> int:
    """What the bound does to the events that are due: updates first, then the oldest; returns how many."""
    before = len(due)
    for is_first in (lambda one: one.kind == "updated", lambda one: True):
        for one in [one for one in due if is_first(one) and not is_kept(one, due)]:
            if len(due) > events_max:
                due.remove(one)
    return before - len(due)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(ACTIONS, st.integers(1, 6), st.booleans())
def test_whatever_happens_what_stands_is_told_and_each_keys_events_are_in_their_order(
    tmp_path_factory, actions, events_max, mirrors
):
    """Law 5, against a list of what is due. What is dropped is counted; what nobody is to tell is not kept.

    A receiver takes some of a window and refuses others, of each key in their order, through restarts of the agent.
    """
    path = tmp_path_factory.mktemp("state") / "alerts.db"
    outbox, last = Outbox(path, events_max), dict[str, AlertEvent]()
    cursor = outbox.cursor("mqtt", mirrors=mirrors)
    due: list[AlertEvent] = []
    heard: list[AlertEvent] = []
    copies: dict[str, str] = {}

    def take(n: int) -> None:
        rows = of_each_key(cursor)[-n:]
        for row in rows:
            assert row.event is not None
            if row.is_alert:
                copies[row.key[1]] = row.event.state
            else:
                heard.append(row.event)
                due.remove(row.event)
        cursor.settle([row.number for row in rows], {})

    dropped, n_events = 0, 0
    for what, value in actions:
        if what == "restart":
            outbox.close()
            outbox = Outbox(path, events_max)
            cursor = outbox.cursor("mqtt", mirrors=mirrors)
        elif what == "take":
            take(value)
        elif what == "refuse":
            cursor.settle([], {row.number: Parked.FOR_NOW for row in of_each_key(cursor)[:value]})
        elif what == "unpark":
            cursor.unpark()
        else:
            n_events += 1
            last[what] = step(what, n_events, value)
            outbox.commit([last[what]])
            due.append(last[what])
            dropped += push_out(due, events_max)
            assert len(due) <= max(events_max, sum(one.kind != "cleared" for one in last.values()))
    cursor.unpark()
    assert [row.event for row in cursor.sendable(1000) if not row.is_alert] == due
    while len(cursor):
        take(1000)
    for device, newest in last.items():
        told = [one.t_ns for one in heard if one.device == device]
        assert told == sorted(set(told)), "in order, each once"
        if newest.kind != "cleared":
            assert told[-1] == newest.t_ns
        assert copies.get(device) == (newest.state if mirrors else None)
    assert len(heard) + dropped == n_events
    assert outbox._database.read("SELECT count(*) FROM event").fetchone() == (0,)


def test_the_bound_counts_events_and_not_what_stands(path):
    """However many alerts stand, an event finds room."""
    outbox = Outbox(path, 3)
    cursor = outbox.cursor("mqtt", mirrors=True)
    for number in range(20):
        outbox.commit([step(f"e{number}", 1, "raised")])
        cursor.settle([one.number for one in cursor.sendable(99) if not one.is_alert], {})
    outbox.commit([step("x", 1, "raised")])
    assert (len(cursor), cursor.dropped) == (22, 0)


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
