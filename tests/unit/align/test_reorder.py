"""Readings that wait for older ones."""

import json
from dataclasses import replace

import numpy as np
import pytest

from agent.align.reorder import WAITING_MAX, WAITING_MIN, Reorder, waiting_max
from agent.align.waiting import Waiting, pack_waiting, read_waiting
from agent.core import Bounds
from agent.core.entries import Heartbeat, Messages
from agent.errors import SnapshotRefused
from agent.sources import AlignRule, InterventionRule, SourceChannel
from tests.unit.align.rows_made import NOW_S, S, core_of, of_device, source, take

LATE = AlignRule(lateness_s=60)


def times(rows):
    return [t_s for _, t_s, _ in rows]


def backlog():
    """S12: one live row, then 45 older rows of a store-and-forward gateway, then it goes on."""
    older = [("a", index * 10, {"temp": index}) for index in range(45)]
    return [("a", 450, {"temp": 45}), *older, ("a", 460, {"temp": 46}), ("a", 2000, {"temp": 0})]


@pytest.mark.parametrize("in_one_call", [True, False])
def test_a_backlog_after_the_first_live_row_is_taken_in_order(in_one_call):
    """S12."""
    into = core_of(source(AlignRule(lateness_s=600)))
    calls = [backlog()] if in_one_call else [[one] for one in backlog()]
    rows = [row for call in calls for row in take(into, call)]
    assert rows == [("a", index * 10, (index, None, None)) for index in range(47)]
    assert set(into.counts) == {("press", "missing_channel")}


def test_without_lateness_a_backlog_is_late():
    into = core_of(source(AlignRule()))
    assert times(take(into, backlog())) == [450, 460, 2000]
    assert into.counts["press", "late"] == 45


def test_a_reading_waits_until_the_newest_is_more_than_the_lateness_beyond_it():
    into = core_of(source(LATE))
    assert take(into, [("a", 0, {"temp": 1}), ("a", 60, {"temp": 2})]) == []
    assert times(take(into, [("a", 0, {"load": 3}), ("a", 61, {"temp": 4})])) == [0]


def test_readings_of_one_time_go_on_as_one():
    into = core_of(source(LATE))
    rows = take(into, [("a", 5, {"temp": 1}), ("a", 5, {"load": 2}), ("a", 5, {"load": 1}), ("a", 90, {"temp": 0})])
    assert rows == [("a", 5, (1, 2, None))]


def test_a_reading_beyond_the_lateness_is_late_if_it_is_before_a_row_and_a_row_if_not():
    into = core_of(source(LATE))
    rows = take(into, [("a", t_s, {"temp": 1}) for t_s in (0, 20, 100, 10, 30)])
    assert times(rows) == [0, 20, 30]
    assert into.counts["press", "late"] == 1


def test_a_device_waits_for_its_own_readings_only():
    into = core_of(source(LATE))
    rows = take(into, [("a", 0, {"temp": 1}), ("b", 500, {"temp": 1}), ("b", 600, {"temp": 1})])
    assert rows == [("b", 500, (1, None, None))]


@pytest.mark.slow
def test_a_device_has_room_for_a_bounded_number_and_its_oldest_go_on_early():
    """Counted; another device's readings wait as before. In calls of one and of many the same."""
    bounds = Bounds(devices_max=10_000)
    room = waiting_max(10_000, 3)
    readings = [("a", index / 64, {"temp": 1}) for index in range(room + 5)] + [("b", 0, {"temp": 2})]
    whole, single = core_of(source(LATE), bounds=bounds), core_of(source(LATE), bounds=bounds)
    rows = take(whole, readings)
    assert times(rows) == [index / 64 for index in range(5)]
    assert whole.counts["press", "reorder_full"] == 5
    assert [row for reading in readings for row in take(single, [reading])] == rows
    assert whole.snapshot() == single.snapshot()


def test_room_is_shared_out_by_the_devices_there_may_be():
    assert waiting_max(1, 3) == WAITING_MAX
    assert waiting_max(10_000_000, 1024) == WAITING_MIN
    assert WAITING_MIN < waiting_max(10_000, 100) < WAITING_MAX


def test_readings_that_wait_are_in_the_snapshot():
    own = source(LATE)
    into, later = core_of(own), core_of(own)
    take(into, [("a", 5, {"temp": 1}), ("b", 1, {"temp": 3}), ("a", 2, {"load": 2})])
    later.restore(into.snapshot())
    assert later.snapshot() == into.snapshot()
    rows = take(later, [("a", 100, {"temp": 0}), ("b", 100, {"temp": 0})])
    assert of_device(rows, "a") == [("a", 2, (None, 2, None)), ("a", 5, (1, None, None))]
    assert of_device(rows, "b") == [("b", 1, (3, None, None))]


def test_they_stay_with_their_device_when_sources_change_their_order():
    one, two = source(LATE), source(LATE, name="oven", topics=("oven/{device}/cycle",))
    into, later = core_of(one, two), core_of(two, one)
    take(into, [("a", 1, {"temp": 1})])
    take(into, [("a", 2, {"temp": 2})], topic="oven/{}/cycle")
    later.restore(into.snapshot())
    assert take(later, [("a", 100, {"temp": 0})]) == [("a", 1, (1, None, None))]
    assert take(later, [("a", 100, {"temp": 0})], topic="oven/{}/cycle") == [("a", 2, (2, None, None))]


@pytest.mark.parametrize("other", [source(AlignRule()), source(LATE, channels=tuple(reversed(source(LATE).channels)))])
def test_they_are_lost_where_the_source_lets_none_wait_or_reads_other_channels(other):
    into, later = core_of(source(LATE)), core_of(other)
    take(into, [("a", 1, {"temp": 1})])
    later.restore(into.snapshot())
    assert 1 not in times(take(later, [("a", 100, {"temp": 0}), ("a", 200, {"temp": 0})]))


def test_a_source_that_is_gone_takes_what_waits_with_it():
    oven = source(LATE, name="oven", topics=("oven/{device}/cycle",))
    into, later = core_of(source(LATE)), core_of(oven)
    take(into, [("a", 1, {"temp": 1})])
    later.restore(into.snapshot())
    assert times(take(later, [("a", 50, {"temp": 0}), ("a", 200, {"temp": 0})], topic="oven/{}/cycle")) == [50]


def test_of_a_device_that_is_forgotten_nothing_waits():
    into = core_of(source(LATE), bounds=Bounds(forget_after_s=5))
    take(into, [("a", 0, {"temp": 1})])
    into.apply(Heartbeat((NOW_S + 4) * S))
    into.apply(Heartbeat((NOW_S + 9) * S))
    assert into.counts["press", "forgotten"] == 1
    assert times(take(into, [("b", 1, {"load": 2}), ("b", 100, {"load": 2})])) == [1]


def test_a_device_that_starts_again_drops_what_waits_and_what_is_held():
    """An intervention is a message between others, and belongs where it stands among them."""
    rule = AlignRule(lateness_s=60, max_age_s=1000)
    fixes = source(
        AlignRule(), name="fixes", topics=("fixes/{device}",), codec="text", time_field="", time_unit="arrival",
        channels=(SourceChannel(""),), joins="press", interventions=InterventionRule("", (("fixed", "replaced"),)),
    )  # fmt: skip
    into = core_of(source(rule), fixes)
    take(into, [("a", 1, {"temp": 1}), ("a", 70, {"load": 2})])
    taken = into.apply(Messages(["fixes/a"], [b"fixed"], [NOW_S * S]))
    assert [label.kind for label in taken.labels] == ["replaced"]
    assert take(into, [("a", 80, {"wear": 3}), ("a", 200, {"temp": 0})]) == [("a", 80, (None, None, 3))]


def test_a_clock_that_is_rebased_moves_what_waits():
    """It boots in 1970: its readings are taken as they are, until the offset is known."""
    own = replace(source(AlignRule(lateness_s=5)), future_max_s=300, past_max_s=3600)
    into = core_of(own)
    rows = []
    for index in range(40):
        payload = json.dumps({"ts": 100 + index, "temp": index}).encode()
        taken = into.apply(Messages(["plant/a/cycle"], [payload], [(NOW_S + index) * S]))
        rows += [(t_ns // S, x[0]) for part in taken.rows for t_ns, x in zip(part.t_ns, part.x.tolist(), strict=True)]
    assert [value for _, value in rows] == [*range(34)]
    assert [t_s - NOW_S for t_s, _ in rows[14:]] == [*range(14, 34)]  # the re-basing, at 19, found 14 to 18 waiting


KEPT = pack_waiting({3: Waiting(np.int64([1, 2]), np.zeros((2, 3), np.float32))}, {"press": "x"})


@pytest.mark.parametrize(
    "torn",
    [
        KEPT[:-1],
        KEPT + b"\0",
        KEPT[:20],
        b"\xff" * 40,
        KEPT.replace(b'"counts":[2]', b'"counts":[3]'),
        KEPT.replace(b'"slots":[3]', b'"slots":[3,3]'),
        pack_waiting({3: Waiting(np.int64([2, 1]), np.zeros((2, 3), np.float32))}, {}),
    ],
)
def test_bytes_that_are_no_waiting_readings_are_refused(torn):
    with pytest.raises(ValueError, match="waiting readings"):
        read_waiting(torn)


def test_a_snapshot_with_such_bytes_is_refused():
    into = core_of(source(LATE))
    take(into, [("a", 1, {"temp": 1})])
    kept = into.snapshot().replace(b'"counts":[1]', b'"counts":[7]')
    with pytest.raises(SnapshotRefused, match="waiting readings"):
        core_of(source(LATE)).restore(kept)


def test_what_waits_does_not_hold_the_memory_of_the_call():
    into = core_of(source(LATE))
    take(into, [(f"d{index}", 1, {"temp": 1}) for index in range(200)])
    reorder: Reorder = into._stepper.alignment._reorder
    assert all(one.x.base is None and one.t_ns.base is None for one in reorder._waiting.values())
