"""Time of stops is neither exposure nor in alarm."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.score.early_warning import ObservedDevice, Spell, measure
from agent.score.fault_intervals import LabelledDevice
from agent.score.fault_intervals import measure as measure_faults
from agent.score.stops import covered_s, no_stops, stops_of

STOPS = np.array([[100.0, 150.0], [300.0, 400.0]])


def test_a_stop_lasts_from_the_row_before_it_to_its_own_last_row():
    t_s = np.array([10.0, 20, 30, 40, 70, 80])
    assert stops_of(t_s, np.array([0, 0, 1, 1, 0, 1], bool)).tolist() == [[20, 40], [70, 80]]
    assert stops_of(t_s, np.array([1, 0, 0, 0, 0, 0], bool)).tolist() == [[-np.inf, 10]]
    assert stops_of(t_s, np.zeros(6, bool)).shape == (0, 2)


SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted), max_size=6)


@given(SPANS, st.integers(0, 40), st.integers(0, 40))
def test_what_intervals_cover_counts_once(spans, start, length):
    intervals = np.array(spans, np.float64).reshape(-1, 2)
    inside = sum(any(a <= second < b for a, b in spans) for second in range(start, start + length))
    assert covered_s(intervals, float(start), float(start + length)) == inside


def test_a_device_that_stands_has_no_exposure_and_its_alert_does_not_count_again():
    """The alert stands 260 s, of which 110 s are stops: three false alarms of 60 s and not five."""
    spells = (Spell(140.0, 400.0),)
    ran, stood = (ObservedDevice("p", 0.0, 500.0, np.inf, spells, stops) for stops in (no_stops(), STOPS))
    without, with_stops = (measure([one], h_max_s=60.0, h_min_s=0.0) for one in (ran, stood))
    assert (without.exposure_s, without.false_alarm_s, without.false_alarms) == (500.0, 260.0, 5)
    assert (with_stops.exposure_s, with_stops.false_alarm_s, with_stops.false_alarms) == (350.0, 150.0, 3)


def test_a_fault_that_begins_in_a_stop_leaves_its_time_out_once():
    faults = np.array([[130.0, 200.0]])
    one = LabelledDevice("p", 0.0, 500.0, faults, (Spell(250.0, 450.0),), STOPS)
    result = measure_faults([one], h_max_s=60.0)
    assert result.exposure_s == 500 - 100 - 100
    assert (result.false_alarm_s, result.false_alarms) == (100.0, 2)
    assert result.intervals[0].outcome == "missed"
