"""Alerts against labelled intervals: edges by hand, and a slow model that walks through the seconds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.score.early_warning import Spell
from agent.score.fault_intervals import LabelledDevice, measure

H_MAX = 60.0


def server(*spells: tuple[float, float], faults=((100.0, 130.0),), device="s1", start=0.0, end=400.0) -> LabelledDevice:
    rising = np.array(faults, np.float64).reshape(-1, 2)
    return LabelledDevice(device, start, end, rising, tuple(Spell(*one) for one in spells))


def score(*fleet: LabelledDevice, early_s: float = 0.0):
    return measure(fleet, h_max_s=H_MAX, early_s=early_s)


@pytest.mark.parametrize(
    ("raised", "early_s", "outcome", "delay", "false_alarms"),
    [
        (89, 10, "missed", math.nan, 1),
        (90, 10, "detected", -10, 0),
        (99, 0, "missed", math.nan, 1),
        (100, 0, "detected", 0, 0),
        (129, 0, "detected", 29, 0),
        (130, 0, "missed", math.nan, 1),
    ],
)
def test_an_interval_is_told_of_from_the_early_margin_until_just_before_its_end(
    raised, early_s, outcome, delay, false_alarms
):
    found = score(server((raised, raised + 1)), early_s=early_s)
    assert (found.intervals[0].outcome, found.false_alarms) == (outcome, false_alarms)
    assert found.intervals[0].delay_s == pytest.approx(delay, nan_ok=True)


def test_a_false_alarm_that_stands_at_the_start_is_missed_strictly_and_detected_leniently():
    found = score(server((95, 140)))
    assert found.intervals[0].outcome == "standing"
    assert (found.strict.detected, found.lenient.detected, found.lenient.mean_delay_s) == (0, 1, 0)
    assert (found.false_alarms, found.false_alarm_s) == (1, 5 + 10)


def test_a_false_alarm_counts_again_for_each_h_max_of_normal_time():
    assert score(server((200, 260))).false_alarms == 1
    assert score(server((200, 261))).false_alarms == 2
    assert score(server((200, math.inf))).false_alarms == 4  # until the end of the recording


def test_a_true_alert_that_does_not_end_is_false_from_h_max_after_its_interval_on():
    assert score(server((110, 190))).false_alarms == 0
    ended = score(server((110, 191)))
    assert (ended.false_alarms, ended.false_alarm_s) == (1, 1)
    assert score(server((110, math.inf))).false_alarms == math.ceil((400 - 130 - H_MAX) / H_MAX)


def test_the_first_alert_of_an_interval_gives_the_delay_and_the_others_are_no_false_alarms():
    found = score(server((110, 112), (115, 117)))
    assert (found.strict.median_delay_s, found.false_alarms) == (10, 0)


def test_an_interval_from_before_the_observation_counts_as_neither():
    found = score(server((5, 8), faults=((-10, 20), (100, 130))))
    assert [one.outcome for one in found.intervals] == ["cut_off", "missed"]
    assert (found.faults, found.false_alarms, found.exposure_s) == (1, 0, 400 - 20 - 30)


def test_an_incident_of_two_devices_counts_twice():
    found = score(server((110, 120)), server((200, 210), device="s2"))
    assert (found.faults, found.strict.detected, found.false_alarms) == (2, 1, 1)
    assert found.exposure_s == 2 * (400 - 30)


def test_nothing_observed_gives_no_figure():
    found = score()
    assert math.isnan(found.strict.detection_rate)
    assert math.isnan(found.false_alarms_per_s)


def test_overlapping_intervals_and_a_device_twice_are_refused():
    with pytest.raises(ValueError, match="s1: its fault intervals overlap"):
        score(server(faults=((100, 130), (129, 140))))
    with pytest.raises(ValueError, match="twice"):
        score(server(), server())


TIMES = st.lists(st.integers(0, 120), max_size=12, unique=True).map(sorted)


def pairs(times):
    return [(float(a), float(b)) for a, b in zip(times[::2], times[1::2], strict=False)]


@pytest.mark.slow
@settings(deadline=None)
@given(TIMES, TIMES, st.integers(0, 8))
def test_it_agrees_with_a_walk_through_the_seconds(fault_times, spell_times, early):
    faults, spells = pairs(fault_times), pairs(spell_times)
    device = server(*spells, faults=faults, end=120)
    found = measure([device], h_max_s=7, early_s=early)
    faulty = [any(a <= s < b for a, b in faults) for s in range(120)]
    assert found.exposure_s == faulty.count(False)
    told_of, false_alarms = {}, 0
    for raised, cleared in spells:
        mine = [one for one in faults if one[0] - early <= raised < one[1]]
        for one in mine[:1]:  # an alert tells of one interval, the first that it may be of
            told_of[one] = min(told_of.get(one, math.inf), raised - one[0])
        begins = mine[0][1] if mine else raised
        stood = sum(not faulty[s] for s in range(int(begins), int(min(cleared, 120)))) - (7 if mine else 0)
        false_alarms += max(math.ceil(stood / 7), 0 if mine else 1)
    assert found.false_alarms == false_alarms
    assert {(one.start_s, one.end_s): one.delay_s for one in found.intervals if one.outcome == "detected"} == told_of
    assert found.strict.detected <= found.lenient.detected <= len(faults)
