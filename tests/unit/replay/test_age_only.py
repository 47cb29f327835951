"""The detector that knows only age, against trying every age."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.replay.age_only import choose_age, warned_by_age
from agent.replay.measure import Spell, Watched


@settings(deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=12), st.sampled_from([0.0, 1e-4, 1e-3, 2e-3, 1e-2]))
def test_is_the_lowest_age_that_keeps_to_the_budget(lives, rate):
    """Try every whole age on those lives and count the devices that outlive it by more than 60."""
    found = choose_age([float(life) for life in lives], h_max_s=60, rate_per_s=rate)
    fleet = [Watched(str(index), 0.0, float(life), float(life), ()) for index, life in enumerate(lives)]
    keeps = [
        age
        for age in range(301)
        if sum(one.t_fail_s - spell.raised_s > 60 for one in warned_by_age(fleet, age) for spell in one.spells)
        / sum(lives)
        <= rate
    ]
    assert found == min(keeps)


def test_a_device_that_dies_younger_is_not_warned():
    young, old = Watched("young", 0, 150, 99, ()), Watched("old", 10, 300, math.inf, (Spell(3),))
    assert [one.spells for one in warned_by_age([young, old], 100)] == [(), (Spell(110),)]
    just = Watched("just", 0, 100, 100, ())
    assert warned_by_age([just], 100)[0].spells == (Spell(100),)


def test_without_a_recorded_life_it_never_warns():
    age = choose_age([], h_max_s=60, rate_per_s=1e-3)
    assert warned_by_age([Watched("old", 0, 300, 300, ())], age)[0].spells == ()
