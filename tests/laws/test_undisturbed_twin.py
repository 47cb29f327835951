"""Law 3, the oracle: an agent that was killed raises nothing which an undisturbed twin has not.

A machine's fault shows, ends, and its alert clears; the agent is killed at random instants, and starts from a snapshot
that may be older than all this. The twin takes the same messages in one life. `tests/broker` kills whole agents.
"""

import msgspec
import numpy as np
import pytest

from agent.core.entries import AlertsKept, HistoryLost, StateBehind
from agent.words import AlertEvent, Quality
from tests.small_bundle import small_manifest
from tests.streams import Message, core, engine_of, interleaved, life, message, take

pytestmark = pytest.mark.slow

KILLS = 100
WARM = msgspec.structs.replace(  # a leaky mean of 0.8 forgets to 0.4 % in 25 rows
    small_manifest(), warmup_rows=25
)


def fault_that_ends(device: str, n: int, seed: int) -> list[Message]:
    """Sound, a fault of 30 rows, sound again, and so on, with a level far from the threshold on either side."""
    noise = np.random.default_rng(seed).normal(0, 0.02, (n, 3))
    return [
        message(device, 1 + index, temp=float(temp), load=float(load), wear=float(wear) + 2.5 * (index // 30 % 2))
        for index, (temp, load, wear) in enumerate(noise)
    ]


def stands_by_row(events: list[AlertEvent], n: int, device: str) -> np.ndarray:
    """Whether the device's alert stands at each entry, bool [n]."""
    stands = np.zeros(n, np.bool_)
    for event in events:
        if event.device == device:
            stands[event.entry :] = event.kind != "cleared"
    return stands


def test_a_killed_agent_raises_nothing_that_an_undisturbed_twin_has_not():
    """100 kills; the snapshot is some hundred rows old at most, and nothing is lost while the agent is away."""
    rng = np.random.default_rng(11)
    devices = ("p1", "p2", "p3")
    messages = interleaved(*(fault_that_ends(device, 5000, seed) for seed, device in enumerate(devices)))
    twin = list(take(core(manifest=WARM), messages).alerts)
    assert sum(event.kind == "raised" for event in twin) > 200
    stands = {device: stands_by_row(twin, len(messages), device) for device in devices}
    into, table, place, kills, raised = core(manifest=WARM), {}, 0, 0, 0
    snapshots: list[bytes] = []
    qualities = []
    while kills < KILLS:
        n = int(rng.integers(1, 200))
        first = into.entry
        taken = take(into, messages[place : place + n])
        qualities += taken.scores[0].quality.tolist()
        for event in taken.alerts:
            row = place + event.entry - first
            if event.kind == "raised":
                raised += 1
                assert stands[event.device][row], f"{event.device} is raised at row {row}; the twin has no alert"
            table[event.device] = event
        place += n
        assert place < len(messages)
        if rng.random() < 0.4 or not snapshots:
            snapshots.append(into.snapshot())
        if rng.random() < 0.3:
            continue
        kills += 1
        into = core(manifest=WARM)
        into.restore(snapshots[-1])
        into.apply(StateBehind())
        into.apply(
            AlertsKept(
                [event for event in table.values() if event.state != "normal"],
                {(event.source, event.device): (event.t_epoch, event.t_ns) for event in table.values()},
            )
        )
        into.apply(HistoryLost())
    assert raised > 20
    assert {Quality.OK, Quality.GAP, Quality.WARMING_UP} <= set(qualities)


def killed(rows_after_snapshot: int, *, clean: bool = False):
    """A device of 40 rows, a snapshot, some rows more, a kill, and a start; then the row after those."""
    into = core(manifest=WARM)
    take(into, life("p1", 40, wear_from=1000))
    kept = into.snapshot()
    again = core(manifest=WARM)
    again.restore(kept)
    if not clean:
        again.apply(StateBehind())
    again.apply(AlertsKept([], {}))
    again.apply(HistoryLost())
    start = 41 + rows_after_snapshot
    return take(again, life("p1", 40, start=start, wear_from=1000)).scores[0].quality.tolist()


def test_after_an_unclean_end_a_state_that_misses_rows_warms_up_before_it_is_ok():
    qualities = killed(rows_after_snapshot=5)
    assert qualities[0] == Quality.GAP
    assert qualities[1:24] == [Quality.WARMING_UP] * 23
    assert set(qualities[24:]) == {Quality.OK}


def test_after_an_unclean_end_a_state_that_misses_no_row_goes_on():
    """The next row is one cadence after the state's: nothing can have been stepped between them."""
    qualities = killed(rows_after_snapshot=0)
    assert qualities == [Quality.GAP] + [Quality.OK] * 39


def test_after_a_stop_in_order_missing_rows_are_a_gap_like_any_other():
    assert killed(rows_after_snapshot=5, clean=True) == [Quality.GAP] + [Quality.OK] * 39


def test_the_step_after_a_restart_is_as_long_as_the_state_is_old():
    """The table knows an event of row 45, the state is of row 40: the row after is six from the state, not one."""
    into = core(manifest=WARM)
    take(into, life("p1", 40, wear_from=1000))
    again = core(manifest=WARM)
    again.restore(into.snapshot())
    again.apply(StateBehind())
    again.apply(AlertsKept([], {("press", "p1"): (0, 45 * 10**9)}))
    seen = []
    engine = engine_of(again)
    run = engine.run
    engine.run = lambda x, dt, state: (seen.append(dt.tolist()), run(x, dt, state))[1]
    taken = take(again, [message("p1", 45), message("p1", 46), message("p1", 47)])
    assert seen == [[6.0], [1.0]]
    assert again.counts["press", "repeated"] == 1
    assert taken.scores[0].quality.tolist() == [Quality.GAP, Quality.WARMING_UP]


def test_the_oracle_sees_a_state_that_is_taken_for_newer_than_it_is():
    """The fault of before: the state of a snapshot at the height of a fault, met by healthy rows that say `ok`."""
    into = core(manifest=WARM)
    take(into, fault_that_ends("p1", 50, 1))
    again = core(manifest=WARM)
    again.restore(into.snapshot())
    again.apply(AlertsKept([], {("press", "p1"): (0, 60 * 10**9)}))
    taken = take(again, [message("p1", 61 + index) for index in range(5)])
    assert [event.kind for event in taken.alerts] == ["raised"]


def test_risks_before_and_behind_missed_rows_are_not_two_that_follow_each_other():
    """The rows that were missed may have been sound: two of three in sight are then two of many."""
    messages = fault_that_ends("p1", 60, seed=0)
    (raised,) = (event for event in take(core(manifest=WARM), messages).alerts if event.kind == "raised")
    into = core(manifest=WARM)
    take(into, messages[: raised.entry])
    into.apply(HistoryLost())
    taken = take(into, messages[raised.entry :])
    assert taken.scores[0].quality.tolist()[:2] == [Quality.GAP, Quality.OK]
    first = next(event for event in taken.alerts if event.kind == "raised")
    assert first.entry - 1 == raised.entry + 2, "the first two `ok` rows behind it"
