"""The detector that knows only age: against trying every age, and against the score of the warnings it gives."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.judge.threshold import Budget
from agent.score.age_only import choose_age, warned_by_age
from agent.score.early_warning import ObservedDevice, Spell, measure

H_MAX, H_MIN = 60.0, 5.0
LIVES = st.lists(st.integers(1, 300), max_size=10)


def budget(rate: float) -> Budget:
    return Budget("", rate, "cycle")


def chosen(lives, unfailed=(), rate=1e-3):
    return choose_age([*map(float, lives)], [*map(float, unfailed)], budget(rate), h_max_s=H_MAX, h_min_s=H_MIN)


def fleet_of(lives, unfailed) -> list[ObservedDevice]:
    failed = [ObservedDevice(f"f{index}", 0.0, float(life), float(life), ()) for index, life in enumerate(lives)]
    return failed + [ObservedDevice(f"u{index}", 0.0, float(time), math.inf, ()) for index, time in enumerate(unfailed)]


@pytest.mark.slow
@settings(deadline=None)
@given(LIVES, LIVES, st.sampled_from([1e-6, 1e-4, 1e-3, 2e-3, 1e-2]))
def test_no_age_warns_longer_ahead_within_the_budget(lives, unfailed, rate):
    """Every whole age, and one a little above it, counted life by life, against the age that was chosen."""

    def lead_at(age):
        return sum(life - age for life in lives if H_MIN <= life - age <= H_MAX)

    def false_alarms_at(age):
        return sum(life - age > H_MAX for life in lives) + sum(time >= age for time in unfailed)

    found, allowed = chosen(lives, unfailed, rate), rate * (sum(lives) + sum(unfailed)) * (1 + 1e-9)
    ages = [age + above for age in range(302) for above in (0, 1e-9)]
    best = max(lead_at(age) for age in [*ages, math.inf] if false_alarms_at(age) <= allowed)
    assert lead_at(found.threshold) == pytest.approx(best, abs=1e-6)
    assert false_alarms_at(found.threshold) <= allowed


@pytest.mark.parametrize("rate", [1e-3, 3e-3, 1e-2])
def test_what_it_says_of_its_age_is_the_score_of_its_warnings(rate):
    lives, unfailed = [4.0, 70.0, 150.0, 160.0, 200.0, 280.0], [90.0, 210.0]
    found = chosen(lives, unfailed, rate)
    score = measure(warned_by_age(fleet_of(lives, unfailed), found.threshold, H_MAX), h_max_s=H_MAX, h_min_s=H_MIN)
    assert (found.warned_of, found.failures) == (score.strict.detected, score.failures)
    assert found.rate_per_s == pytest.approx(score.false_alarms_per_s)
    assert found.alarm_share == pytest.approx(score.false_alarm_share)


def test_lives_longer_than_one_exposure_of_the_budget_are_warned_of_and_not_cried_over():
    """Lives of 1,100 rows, one false alarm allowed in 720: to raise at birth keeps to the budget, and warns of none."""
    lives = [1080.0, 1100.0, 1110.0]
    found = choose_age(lives, [], Budget("", 1 / 720, "s"), h_max_s=240, h_min_s=4)
    assert (found.threshold, found.warned_of, found.rate_per_s) == (870.0, 3, 0.0)
    old = measure(warned_by_age(fleet_of(lives, ()), 0.0, 240), h_max_s=240, h_min_s=4)
    assert (old.false_alarms_per_s < 1 / 720, old.strict.detected) == (True, 0)


def test_devices_that_did_not_fail_are_false_alarms_of_an_age_that_they_outlived():
    """Three lives of 100 to 110; beside forty devices of 200 no age can warn of them at this price."""
    assert chosen([100, 105, 110]).threshold == 50.0
    assert chosen([100, 105, 110], [200] * 40).threshold == math.inf


def test_it_stands_for_h_max_so_that_it_is_one_false_alarm():
    (one,) = warned_by_age([ObservedDevice("old", 10, 300, math.inf, (Spell(3),))], 100, H_MAX)
    assert one.spells == (Spell(110, 170),)
    assert measure([one], h_max_s=H_MAX, h_min_s=H_MIN).false_alarms == 1


def test_a_device_that_dies_younger_is_not_warned():
    young, just = ObservedDevice("young", 0, 150, 99, ()), ObservedDevice("just", 0, 100, 100, ())
    assert [len(one.spells) for one in warned_by_age([young, just], 100, H_MAX)] == [0, 1]


def test_age_is_counted_from_birth_where_a_device_is_observed_from_later_on():
    late = ObservedDevice("late", 40, 150, 150, ())
    assert warned_by_age([late], 100, H_MAX, [10.0])[0].spells == (Spell(110, 170),)
    assert warned_by_age([late], 100, H_MAX)[0].spells == (Spell(140, 200),)


def test_without_a_recorded_life_it_never_warns():
    age = chosen([]).threshold
    assert warned_by_age([ObservedDevice("old", 0, 300, 300, ())], age, H_MAX)[0].spells == ()
