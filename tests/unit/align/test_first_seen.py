"""Which devices are known to be new, and which have a past that nobody has heard."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from agent.core import Bounds
from agent.core.entries import AlertsKept, Heartbeat, HistoryLost
from agent.step.engine import Engine
from agent.words import Quality
from tests.small_bundle import small_manifest
from tests.streams import MODEL, SOURCE, bytes_of, core, life, message, states_of, take

BENCH = replace(SOURCE, name="bench", topics=("bench/{device}/cycle",), first_seen="new")
OK, WARMING_UP, GAP = Quality.OK, Quality.WARMING_UP, Quality.GAP
S = 10**9
STALE_S = 600


def on_bench(messages):
    return [(topic.replace("plant/", "bench/"), payload) for topic, payload in messages]


def bench(device, n=4, **more):
    return on_bench(life(device, n, **more))


def qualities(into, messages, *, arrived_ns=S):
    return take(into, messages, arrived_ns=arrived_ns).scores[0].quality.tolist()


def of_unknown_age(device, n):
    return bytes_of(take(core(), life(device, n)), device)


def test_a_new_device_starts_from_the_new_values_and_one_of_unknown_age_from_zeros():
    scores = take(core(SOURCE, BENCH), [*bench("b1", 1), *life("p1", 1)]).scores[0]
    engine, x, dt = Engine(MODEL, small_manifest()), np.zeros((1, 3), np.float32), np.zeros(1, np.float32)
    x[0] = np.random.default_rng(0).normal(0, 0.05, (1, 3)).astype(np.float32)  # as `life` does
    for row, state in enumerate(([0, 0, 0, 0, 1], [0, 0, 0, 0, 0])):
        assert scores.outputs["risk"][row].tolist() == engine.run(x, dt, np.float32([state]))[1]["risk"][0].tolist()
    assert (scores.outputs["risk"][0] < scores.outputs["risk"][1]).all()


def test_a_bundle_that_knows_no_new_devices_scores_both_alike():
    """All values for a new device are zero: only the warm-up differs."""
    manifest = small_manifest()
    state = tuple(msgspec.structs.replace(block, new=0.0) for block in manifest.state)
    plain = msgspec.structs.replace(manifest, state=state)
    scores = take(core(SOURCE, BENCH, manifest=plain), [*bench("b1"), *life("p1", 4)]).scores[0]
    assert scores.outputs["risk"][:4].tobytes() == scores.outputs["risk"][4:].tobytes()
    assert scores.quality.tolist() == [OK] * 4 + [WARMING_UP, WARMING_UP, OK, OK]


def test_a_device_that_takes_over_a_slot_is_as_new_as_it_says_itself():
    """A slot that was given back keeps nothing of the device that had it."""
    into = core(SOURCE, BENCH, bounds=Bounds(devices_max=1, stale_after_s=1, forget_after_s=2))
    assert qualities(into, bench("b1", 1)) == [OK]
    into.apply(Heartbeat(100 * S))
    assert qualities(into, life("p1", 1), arrived_ns=101 * S) == [WARMING_UP]


def test_adopted_devices_are_of_unknown_age():
    """The alert table knows them, the state is lost: they have a past."""
    into = core(BENCH)
    into.apply(AlertsKept([], {("bench", "b1"): (0, S)}))
    assert qualities(into, [*bench("b1", 4), *bench("b2", 1)], arrived_ns=2 * S) == [GAP, WARMING_UP, OK, OK]


def test_a_known_device_stays_new_over_a_gap():
    """Its state goes on: the rows that are missing are a gap, as with any device."""
    into = core(BENCH)
    take(into, bench("b1", 1))
    into.apply(HistoryLost())
    assert qualities(into, bench("b1", 3, start=2), arrived_ns=2 * S) == [GAP, OK, OK]


def test_who_is_first_heard_soon_after_lost_history_may_have_begun_unheard():
    """For as long as a living device may be silent; counted from the entry after the loss, whenever that comes."""
    into = core(BENCH, bounds=Bounds(stale_after_s=STALE_S))
    assert qualities(into, bench("b1", 1)) == [OK]
    into.apply(HistoryLost())
    lost_ns = 5000 * S
    assert qualities(into, bench("b2", 2), arrived_ns=lost_ns) == [WARMING_UP] * 2
    assert qualities(into, bench("b3", 1), arrived_ns=lost_ns + STALE_S * S - 1) == [WARMING_UP]
    assert qualities(into, bench("b4", 2), arrived_ns=lost_ns + STALE_S * S) == [OK, OK]
    assert qualities(into, bench("b3", 2, start=2), arrived_ns=lost_ns + STALE_S * S) == [WARMING_UP, OK]


def test_history_that_one_source_lost_is_no_doubt_of_another():
    """Each broker has a connection of its own, and what one lost says nothing of the others' devices."""
    other = replace(BENCH, name="yard", topics=("yard/{device}/cycle",))
    into = core(BENCH, other)
    yard = [(topic.replace("plant/", "yard/"), payload) for topic, payload in life("y1", 3)]
    assert qualities(into, [*bench("b1", 1), *yard[:1]]) == [OK, OK]
    into.apply(HistoryLost("yard"))
    assert qualities(into, [*bench("b1", 1, start=2), *yard[1:]], arrived_ns=2 * S) == [OK, GAP, OK]
    assert qualities(into, bench("b2", 1), arrived_ns=3 * S) == [OK]
    fresh = [(topic.replace("y1", "y2"), payload) for topic, payload in yard[:1]]
    assert qualities(into, fresh, arrived_ns=3 * S) == [WARMING_UP]


def test_listening_in_vain_ends_the_doubt_as_well():
    into = core(BENCH, bounds=Bounds(stale_after_s=STALE_S))
    into.apply(HistoryLost())
    into.apply(Heartbeat(100 * S))
    assert qualities(into, bench("b1", 2), arrived_ns=(100 + STALE_S) * S) == [OK, OK]


@pytest.mark.parametrize("ticks", [0, 1])
def test_a_snapshot_keeps_who_is_new_and_since_when_nobody_begins_unheard(ticks):
    """Taken after lost history, before or after the entry that says what time it is."""
    before, after = core(BENCH), core(BENCH)
    take(before, bench("b1", 1))
    before.apply(HistoryLost())
    for _ in range(ticks):
        before.apply(Heartbeat(50 * S))
    after.restore(before.snapshot())
    assert after.snapshot() == before.snapshot()
    messages = [*bench("b1", 2, start=2), *bench("b2", 2)]
    for arrived_ns in (100 * S, (70 + STALE_S) * S):
        told = [take(one, messages, arrived_ns=arrived_ns) for one in (before, after)]
        assert len({bytes_of(one, "b1") + bytes_of(one, "b2") for one in told}) == 1
        messages = bench("b3", 2)
    assert told[0].scores[0].quality.tolist() == ([OK, OK] if ticks else [WARMING_UP, WARMING_UP])


def test_who_was_refused_for_want_of_room_is_not_new_when_there_is_room():
    into = core(BENCH, bounds=Bounds(devices_max=1, stale_after_s=5, forget_after_s=8))
    assert qualities(into, [*bench("b1", 1), *bench("b2", 1)]) == [OK]
    into.apply(Heartbeat(2 * S))
    assert qualities(into, bench("b2", 1, start=7), arrived_ns=8 * S) == []
    into.apply(Heartbeat(12 * S))
    assert into.counts["bench", "forgotten"] == 1
    assert qualities(into, bench("b2", 2, start=11), arrived_ns=12 * S) == [WARMING_UP, WARMING_UP]


def test_a_new_device_that_is_refused_touches_no_other():
    into = core(SOURCE, BENCH, bounds=Bounds(devices_max=1))
    told = [take(into, part) for part in (life("p1", 15), bench("b1", 3), life("p1", 15, start=16))]
    quiet = core()
    alone = [take(quiet, part) for part in (life("p1", 15), [], life("p1", 15, start=16))]
    assert into.counts["bench", "devices_max"] == 3
    assert [bytes_of(one, "p1") for one in told] == [bytes_of(one, "p1") for one in alone]


def test_a_refused_device_of_another_source_makes_nobody_doubtful():
    into = core(SOURCE, BENCH, bounds=Bounds(devices_max=1, stale_after_s=5, forget_after_s=8))
    take(into, [*life("p1", 30), *life("p2", 1)])  # who was `ok` keeps its place
    take(into, life("p2", 1), arrived_ns=8 * S)
    into.apply(Heartbeat(12 * S))
    assert into.counts == {("press", "devices_max"): 2, ("press", "forgotten"): 1}
    assert qualities(into, bench("b1", 1), arrived_ns=12 * S) == [OK]


def test_a_device_whose_first_row_is_dropped_is_of_unknown_age():
    """Its time was impossible, so the row that its life began with is lost; a neighbour's was not."""
    wall = replace(BENCH, time_field="cycle", time_unit="s", future_max_s=300.0)
    into = core(wall)
    ahead, now = on_bench([message("b1", 10_000)]), on_bench([message("b1", 101), message("b1", 102)])
    neighbour = on_bench([message("b2", 101)])
    assert qualities(into, [*ahead, *neighbour, *now], arrived_ns=101 * S) == [OK, WARMING_UP, WARMING_UP]
    assert into.counts["bench", "future"] == 1


def test_a_later_row_that_is_dropped_leaves_a_device_new():
    wall = replace(BENCH, time_field="cycle", time_unit="s", future_max_s=300.0)
    messages = on_bench([message("b1", 101), message("b1", 10_000), message("b1", 102)])
    assert qualities(core(wall), messages, arrived_ns=101 * S) == [OK, OK]


def test_a_device_that_cannot_be_followed_starts_again_as_of_unknown_age():
    into = core(BENCH)
    take(into, bench("b1", 5))
    states_of(into).state[0] = np.nan
    again = take(into, bench("b1", 4, start=6), arrived_ns=2 * S).scores[0]
    assert into.counts["bench", "not_finite"] == 1
    assert again.quality.tolist() == [GAP, WARMING_UP, OK]
    quiet = take(core(), life("b1", 4, start=6)[1:]).scores[0]  # the same rows without a past
    assert again.outputs["risk"].tobytes() == quiet.outputs["risk"].tobytes()


def test_a_source_that_is_called_new_later_makes_no_known_device_new():
    first, second = core(SOURCE), core(replace(SOURCE, first_seen="new"))
    take(first, life("p1", 1))
    second.restore(first.snapshot())
    assert qualities(second, life("p1", 3, start=2), arrived_ns=2 * S) == [WARMING_UP, OK, OK]


def test_a_device_that_was_forgotten_is_heard_as_for_the_first_time():
    """A bound of what the agent can know: it keeps nothing of a device that is forgotten (docs/sources.md)."""
    into = core(BENCH, bounds=Bounds(stale_after_s=1, forget_after_s=2))
    take(into, bench("b1", 5))
    into.apply(Heartbeat(10 * S))
    assert into.counts["bench", "forgotten"] == 1
    assert qualities(into, bench("b1", 2), arrived_ns=20 * S) == [OK, OK]


def test_a_device_of_the_other_source_is_told_what_it_is_told_alone():
    mixed = take(core(SOURCE, BENCH), [*bench("b1", 30), *life("p1", 30), *bench("b2", 30)])
    assert bytes_of(mixed, "p1") == of_unknown_age("p1", 30)
