"""Law 1, the part that the core alone can break: any split of the input gives the same result, and a snapshot at any
point is the same core again. (Evaluate = inline = through a broker is in test_parity.py.)"""

import json
from dataclasses import replace
from functools import cache
from itertools import chain, pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import Bounds, Core
from agent.core.entries import Heartbeat, Messages
from agent.sources import AlignRule
from agent.words import Quality, Taken
from tests.streams import SOURCE, Message, core, in_bursts, interleaved, life, message, take

pytestmark = pytest.mark.slow


def on_bench(device: str, n: int) -> list[Message]:
    return [(f"bench/{device}", payload) for _, payload in life(device, n)]


STREAM = [
    *in_bursts(
        life("p1", 60),
        [*life("p2", 60, seed=2), message("p2", 3, wear=1.0), message("p2", 60, wear=1.0)],
        [message("p3", cycle, wear=2.0) for cycle in range(1, 4)] + [("plant/p3/cycle", b"{")] * 5,
        [("nowhere", b"1")] * 3,
        on_bench("b1", 9),
        on_bench("b2", 9),
        seed=5,
    ),
    *interleaved(life("p1", 90, start=61, wear_from=1000), on_bench("b3", 75)),
]
ARRIVED_NS = [10**12 + 40_000_000 * index for index in range(len(STREAM))]  # a tick every 25 messages
BOUNDS = Bounds(stale_after_s=0.7, forget_after_s=2.4, devices_max=3)  # so that devices are forgotten, and refused
BENCH = replace(SOURCE, name="bench", topics=("bench/{device}",), first_seen="new")


def whole(taken: list[Taken]) -> tuple[bytes, list[object]]:
    """All scores as bytes, and all alerts."""
    scores = [part.scores[0] for part in taken]
    columns = [getattr(one, name).tobytes() for name in ("entry", "t_ns", "quality") for one in scores]
    columns += [one.outputs[head].tobytes() for head in ("risk", "rul") for one in scores]
    devices = [one.device.tolist() for one in scores]
    return b"".join(columns) + repr(list(chain(*devices))).encode(), list(chain(*(part.alerts for part in taken)))


def without_numbers(taken: Taken) -> Taken:
    scores = [replace(one, entry=np.zeros_like(one.entry)) for one in taken.scores]
    return replace(taken, scores=scores, alerts=[msgspec.structs.replace(one, entry=0) for one in taken.alerts])


def cut(stream: list[Message], at: list[int]) -> list[slice]:
    places = [0, *sorted(at), len(stream)]
    return [slice(start, end) for start, end in pairwise(places)]


@cache
def once() -> tuple[bytes, list[object], object]:
    into = core(SOURCE, BENCH, bounds=BOUNDS)
    told = whole([into.apply(Messages([t for t, _ in STREAM], [p for _, p in STREAM], ARRIVED_NS))])
    return *told, into.counts


def test_the_stream_has_everything_in_it():
    """The streams below prove nothing unless raises, clears, forgotten devices and drops occur in them."""
    _, alerts, counts = once()
    assert {event.kind for event in alerts} == {"raised", "updated", "cleared"}
    assert {event.cause for event in alerts} == {"risk", "below_threshold", "forgotten"}
    reasons = {reason for _, reason in counts}
    assert reasons >= {"late", "repeated", "malformed", "no_source", "devices_max", "forgotten"}


def test_the_stream_has_a_device_that_is_new_and_two_that_were_refused_before():
    into = core(SOURCE, BENCH, bounds=BOUNDS)
    scores = into.apply(Messages([t for t, _ in STREAM], [p for _, p in STREAM], ARRIVED_NS)).scores[0]
    first = {device: scores.quality[scores.device == device][0] for device in ("b1", "b2", "b3")}
    assert first == {"b1": Quality.OK, "b2": Quality.WARMING_UP, "b3": Quality.WARMING_UP}


def test_scores_and_alerts_come_in_the_order_of_the_messages():
    """One device's whole life, raise and clear, before the first message of the next: rounds would mix the two."""
    stream = [*life("p1", 60), *life("p1", 60, start=61, wear_from=1000), *life("p2", 60)]
    taken = take(core(), stream)
    entries = [event.entry for event in taken.alerts]
    assert {event.device for event in taken.alerts} == {"p1", "p2"}
    assert entries == sorted(entries)
    assert taken.scores[0].entry.tolist() == list(range(180))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_split_of_the_input_gives_the_same_scores_alerts_and_counts(at):
    """Cut one stream at random places into several takes, empty ones among them; compare bytes, alerts and counts."""
    into = core(SOURCE, BENCH, bounds=BOUNDS)
    parts = [
        into.apply(Messages([t for t, _ in STREAM[part]], [p for _, p in STREAM[part]], ARRIVED_NS[part]))
        for part in cut(STREAM, at)
    ]
    assert (*whole(parts), into.counts) == once()


def test_one_message_a_take_gives_the_same():
    into = core(SOURCE, BENCH, bounds=BOUNDS)
    parts = [into.apply(Messages([t], [p], [a])) for (t, p), a in zip(STREAM, ARRIVED_NS, strict=True)]
    assert (*whole(parts), into.counts) == once()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, len(STREAM)))
def test_a_core_restored_from_a_snapshot_goes_on_to_the_bit(at):
    """Snapshot at a random message, restore into a new core, go on there; compare with the uninterrupted run."""
    first, second = core(SOURCE, BENCH, bounds=BOUNDS), core(SOURCE, BENCH, bounds=BOUNDS)
    before, after = cut(STREAM, [at])
    told = [first.apply(Messages([t for t, _ in STREAM[before]], [p for _, p in STREAM[before]], ARRIVED_NS[before]))]
    saved = first.snapshot()
    second.restore(saved)
    assert second.snapshot() == saved
    told.append(second.apply(Messages([t for t, _ in STREAM[after]], [p for _, p in STREAM[after]], ARRIVED_NS[after])))
    assert whole(told) == once()[:2]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=6))
def test_heartbeats_change_only_when_silence_is_noticed(at):
    """Heartbeats between messages at the messages' own log time give the same scores and alerts.

    They are entries of the log like any other, so only the numbers of what comes after them change.
    """
    into = core(SOURCE, BENCH, bounds=BOUNDS)
    told = []
    for index, ((topic, payload), arrived) in enumerate(zip(STREAM, ARRIVED_NS, strict=True)):
        told.append(into.apply(Messages([topic], [payload], [arrived])))
        if index in at:
            told.append(into.apply(Heartbeat(arrived)))
    straight = core(SOURCE, BENCH, bounds=BOUNDS)
    want = straight.apply(Messages([t for t, _ in STREAM], [p for _, p in STREAM], ARRIVED_NS))
    assert whole([without_numbers(one) for one in told]) == whole([without_numbers(want)])


def test_arrival_times_that_step_back_do_not_move_log_time_back():
    into = core()
    take(into, life("p1", 2), arrived_ns=5 * 10**9)
    take(into, life("p1", 2, start=3), arrived_ns=10**9)
    assert into.log_time_ns == 5 * 10**9 + 10**7


def in_parts(messages: list[Message]) -> list[Message]:
    """A message a channel, as many publishers send them."""
    found = []
    for topic, payload in messages:
        if not payload.startswith(b'{"'):
            found.append((topic, payload))
            continue
        values = json.loads(payload)
        cycle = values.pop("cycle")
        for index, (name, value) in enumerate(values.items()):
            found.append((topic, json.dumps({"cycle": cycle + index / 4, name: value}).encode()))
    return found


def shuffled(messages: list[Message], seed: int) -> list[Message]:
    """The messages, each up to five places from where it was."""
    rng = np.random.default_rng(seed)
    return [messages[index] for index in np.argsort(np.arange(len(messages)) + rng.uniform(0, 5, len(messages)))]


ALIGNED = {
    "held": AlignRule(max_age_s=2.0),
    "grid": AlignRule(every_s=1.0, max_age_s=2.0),
    "grid and lateness": AlignRule(every_s=1.0, max_age_s=2.0, quorum=0.6, lateness_s=3.0),
    "lateness": AlignRule(lateness_s=2.0),
}
PARTS = shuffled(in_parts(STREAM), seed=1)
PARTS_ARRIVED_NS = [10**12 + 13_000_000 * index for index in range(len(PARTS))]


def aligned(rule: AlignRule):
    return core(replace(SOURCE, align=rule), replace(BENCH, align=rule), bounds=BOUNDS)


def told_of(into: Core, at: list[int]) -> list[Taken]:
    return [
        into.apply(Messages([t for t, _ in PARTS[part]], [p for _, p in PARTS[part]], PARTS_ARRIVED_NS[part]))
        for part in cut(PARTS, at)
    ]


@cache
def aligned_once(name: str) -> tuple[bytes, list[object], object, bytes]:
    into = aligned(ALIGNED[name])
    return *whole(told_of(into, [])), into.counts, into.snapshot()


@pytest.mark.parametrize("name", ALIGNED)
def test_streams_of_parts_raise_and_have_rows_that_are_late(name):
    """The tests below prove nothing of alignment unless its streams have in them what can go wrong."""
    _, alerts, counts, _ = aligned_once(name)
    assert {reason for _, reason in counts} >= {"late", "malformed", "forgotten"}
    assert {event.kind for event in alerts} >= {"raised"} or name == "lateness"


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([*ALIGNED]), st.lists(st.integers(0, len(PARTS)), max_size=12))
def test_any_split_of_parts_of_rows_gives_the_same(name, at):
    """Held values, grids and readings that wait: where a read is cut they must not show it."""
    into = aligned(ALIGNED[name])
    assert (*whole(told_of(into, at)), into.counts, into.snapshot()) == aligned_once(name)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([*ALIGNED]), st.integers(0, len(PARTS)))
def test_a_core_restored_among_parts_of_rows_goes_on_to_the_bit(name, at):
    """What is held and what waits comes back with the snapshot."""
    first, second = aligned(ALIGNED[name]), aligned(ALIGNED[name])
    before, after = cut(PARTS, [at])
    told = []
    for into, part in ((first, before), (second, after)):
        if into is second:
            second.restore(first.snapshot())
        messages = Messages([t for t, _ in PARTS[part]], [p for _, p in PARTS[part]], PARTS_ARRIVED_NS[part])
        told.append(into.apply(messages))
    assert whole(told) == aligned_once(name)[:2]
    assert second.snapshot() == aligned_once(name)[3]
