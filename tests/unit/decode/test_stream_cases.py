"""What devices publish, case by case: each message counts what it is, once, and its neighbour is as without it.

Two machines of one name are in test_two_topics.py; a retained message is dropped in `agent.receive`.
"""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from agent.core import Bounds, Core
from agent.sources import AlignRule, Source, plain_channels
from tests.small_bundle import CHANNELS
from tests.streams import bytes_of, core, life, take

NOW_NS = 1_795_814_327 * 10**9
CLOCKED = Source("press", ("plant/{site}/{device}",), "ts", "s", plain_channels(*CHANNELS))
VALUES = dict.fromkeys(CHANNELS, 0.5)


def said(*payloads, source=CLOCKED, at_ns=NOW_NS):
    """Reasons and details of what a device's messages count, and how many of them were scored; a second apart."""
    agent = core(source)
    messages = [("plant/north/p1", one if isinstance(one, bytes) else json.dumps(one).encode()) for one in payloads]
    taken = take(agent, messages, arrived_ns=at_ns, step_ns=10**9)
    counts = {reason: count for (_, reason), count in agent.counts.items()}
    return counts, {drop.reason: drop.detail for drop in taken.drops}, len(taken.scores[0].entry)


def test_one_value_per_topic_makes_rows_on_a_grid_and_an_old_channel_is_missing():
    """Case S1. A vibration each second, a temperature once."""
    rule = AlignRule(every_s=10, max_age_s=25)
    source = Source("plant", ("plant/{device}/{channel}",), "", "arrival", plain_channels("temp", "vib"))
    source = replace(source, channel="{channel}", codec="text", align=rule)
    agent = Core([source], (), Bounds(), keeps_rows=True)
    values = [("temp", b"55.1"), *[("vib", b"%d" % second) for second in range(1, 60)]]
    start_ns = NOW_NS // 10**10 * 10**10
    messages = [(f"plant/pump7/{channel}", payload) for channel, payload in values]
    taken = take(agent, messages, arrived_ns=start_ns, step_ns=10**9)
    t_ns = np.concatenate([rows.t_ns for rows in taken.rows])
    x = np.concatenate([rows.x for rows in taken.rows])
    assert ((t_ns - start_ns) // 10**9).tolist() == [0, 10, 20, 30, 40, 50]
    temp, nan = np.float32(55.1), np.nan
    np.testing.assert_array_equal(x[:, 0], [temp, temp, temp, nan, nan, nan])
    np.testing.assert_array_equal(x[:, 1], [nan, 10, 20, 30, 40, 50])
    assert agent.counts == {("plant", "missing_channel"): 4}, "of a row, not of a message that is a part of one"


def test_a_named_level_that_is_no_part_of_the_device_is_a_tag():
    """Case S13."""
    agent = core(CLOCKED)
    take(agent, [("plant/north/p1", json.dumps({"ts": NOW_NS // 10**9, **VALUES}).encode())], arrived_ns=NOW_NS)
    assert (agent.view().device, agent.counts.total()) == (["p1"], 0)


def test_a_reading_without_channels_is_not_said_to_be_used():
    """Case S14: `extra_channel` says that the reading is used."""
    counts, details, n_scored = said({"ts": NOW_NS // 10**9, "tempp": 3})
    assert (counts, n_scored) == ({"no_channels": 1}, 0)
    assert details["no_channels"] == f"no value in any of the fields {', '.join(CHANNELS)}"


@pytest.mark.parametrize(
    ("behind_s", "how"),
    [(20, "20 s"), (90, "1.5 min"), (3 * 3600, "3 h"), (86_400, "1 day"), (NOW_NS // 10**9, "20,785 days")],
)
def test_late_says_how_late(behind_s, how):
    """Case S14. An extra field of a late reading is not said: the reading is not used."""
    t_s = NOW_NS // 10**9
    counts, details, n_scored = said({"ts": t_s, **VALUES}, {"ts": t_s - behind_s, **VALUES, "fan": 1})
    assert (counts, n_scored) == ({"late": 1}, 1)
    assert details["late"] == f"{how} before the device's newest row"


def test_cycles_are_late_by_cycles():
    agent = core()
    taken = take(agent, [*life("p1", 5), *life("p1", 1, start=2)])
    assert [(drop.reason, drop.detail) for drop in taken.drops] == [("late", "3 cycles before the device's newest row")]


def test_a_wrong_clock_says_by_how_much():
    counts, details, _ = said({"ts": NOW_NS // 10**9 + 7200, **VALUES})
    assert (counts, details) == ({"future": 1}, {"future": "its time is 2 h ahead of its arrival"})


@pytest.mark.parametrize(
    ("payload", "reason"), [(b"Online", "malformed"), ({"ts": NOW_NS // 10**6, **VALUES}, "impossible_time")]
)
def test_a_last_will_and_a_time_in_another_unit_are_dropped(payload, reason):
    """Case S15."""
    assert said(payload)[0] == {reason: 1}


def doubtful(cycle):
    """A message with a missing channel and a field that nobody reads."""
    return "plant/p1/cycle", json.dumps({"cycle": cycle, **VALUES, "load": None, "fan": 2}).encode()


@pytest.mark.parametrize(
    ("reason", "cycles", "n_used", "bounds"),
    [
        ("late", (9, 3), 1, Bounds()),
        ("repeated", (9, 9), 1, Bounds()),
        ("too_fast", (9, 9.25), 1, Bounds()),
        ("devices_max", (9, 10), 0, Bounds(devices_max=1)),
        ("impossible_time", (9, -1), 1, Bounds()),
    ],
)
def test_a_doubtful_message_that_a_later_stage_drops_counts_that_stage_alone(reason, cycles, n_used, bounds):
    """And its neighbour has bit-identical scores."""
    neighbour = life("n1", 30)
    agent = core(bounds=bounds)
    taken = take(agent, [neighbour[0], *map(doubtful, cycles), *neighbour[1:]])
    assert agent.counts == Counter({("press", reason): 2 - n_used, ("press", "missing_channel"): n_used})
    assert bytes_of(taken, "n1") == bytes_of(take(core(), neighbour), "n1")
