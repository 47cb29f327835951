"""A snapshot whose checksum is right and whose content is not: it is refused, or the agent runs with it."""

import random

import pytest

from agent.core.entries import Heartbeat, HistoryLost, StateBehind
from agent.errors import SnapshotRefused
from tests.streams import core, life, take

one = core()
take(one, [*life("p1", 60), *life("p2", 45), *life("p3", 5)])
GOOD = one.snapshot()
BODY = 16 + int.from_bytes(GOOD[8:16], "little")


def forged(seed):
    """One to eight bytes are others, in a header or, mostly, in the columns."""
    rng, data = random.Random(seed), bytearray(GOOD)
    start = BODY if rng.random() < 0.8 else 16
    for _ in range(rng.choice([1, 2, 8])):
        data[rng.randrange(start, len(data))] = rng.choice([0, 127, 128, 255, rng.randrange(256)])
    return bytes(data)


def lives_with(data):
    """Whether it is taken; then all that follows must not fail: what an agent looks at, rows, silence, a snapshot."""
    into = core()
    try:
        into.restore(data)
    except SnapshotRefused:
        return False
    into.view().devices_by_quality()
    into.view().n_standing()
    take(
        into, [*life("p1", 30, start=61, wear_from=0), *life("p2", 30, start=61, wear_from=1000)], arrived_ns=3 * 10**9
    )
    into.apply(StateBehind())
    into.apply(HistoryLost())
    take(into, life("p3", 40), arrived_ns=4 * 10**9)
    for log_time_ns in (10**18, 2 * 10**18):
        into.apply(Heartbeat(log_time_ns))
    return into.snapshot() != data


@pytest.mark.slow
def test_no_forged_snapshot_ends_the_agent_at_its_start_or_later():
    outcomes = [lives_with(forged(seed)) for seed in range(60)]
    assert 10 < sum(outcomes) < 50, "some are refused, some are not"


@pytest.mark.parametrize("column", ["alert_state", "severity", "level", "quality"])
def test_a_number_that_stands_for_nothing_is_refused(column):
    forger = core()
    take(forger, life("p1", 60))
    for group in forger._stepper.slots.groups.values():
        if column in group.arrays(1):
            group.arrays(1)[column][0] = 99
    with pytest.raises(SnapshotRefused, match=f"a device's {column} is one that there is not"):
        core().restore(forger.snapshot())
