"""Alarms in ten minutes, floods, and what is left of alarms where a flood is one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.score.alarm_load import AlarmLoad, alarm_load, alarm_loads, group_floods

DAY_S = 86_400.0


def test_of_500_alerts_at_once_ten_alarms_are_told_and_none_of_them_is_a_flood():
    loads = alarm_loads([5000.0] * 500, 0.0, DAY_S)
    assert loads.single == AlarmLoad(500, 500.0, 500, 600.0, 600.0 / DAY_S)
    assert loads.grouped == AlarmLoad(10, 10.0, 10, 0.0, 0.0)


def test_a_flood_begins_with_the_eleventh_alarm_and_ends_when_fewer_than_five_came_in_ten_minutes():
    ten = [float(second) for second in range(10)]
    assert alarm_load(ten, 0.0, DAY_S).flood_s == 0
    eleven = alarm_load([*ten, 100.0], 0.0, DAY_S)
    assert (eleven.most_in_10_min, eleven.flood_s) == (11, 606.0 - 100.0), "those of 7, 8, 9 and 100 s are left"
    assert alarm_load([*ten, 100.0], 0.0, 300.0).flood_s == 200.0, "what nobody watched is none"


def test_without_time_there_is_no_rate():
    load = alarm_load([], 5.0, 5.0)
    assert (load.alarms, math.isnan(load.per_day), math.isnan(load.flood_share)) == (0, True, True)


@given(st.lists(st.integers(0, 4000), max_size=60))
def test_the_most_in_ten_minutes_and_the_time_in_floods_are_those_of_a_walk_through_the_seconds(times):
    rising = sorted(float(time) for time in times)
    load = alarm_load(rising, 0.0, 6000.0)
    n_recent = [sum(second - 600 < one <= second for one in rising) for second in range(6000)]
    is_flood, seconds = False, 0
    for n in n_recent:
        is_flood = n > 10 or (is_flood and n >= 5)
        seconds += is_flood
    assert (load.most_in_10_min, load.flood_s) == (max(n_recent), seconds)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_told_is_hardly_ever_a_flood_however_many_there_are(seed):
    rng = np.random.default_rng(seed)
    bursts = [rng.uniform(at, at + 900, rng.integers(1, 400)) for at in rng.uniform(0, DAY_S, 20)]
    loads = alarm_loads(np.concatenate(bursts).tolist(), 0.0, 1.1 * DAY_S)
    assert loads.single.flood_s > 0
    assert loads.grouped.most_in_10_min <= 12
    assert loads.grouped.flood_s < 0.2 * loads.single.flood_s
    assert group_floods([]) == []
