import numpy as np

from agent.bundle.manifest import Cadence
from agent.step.state import pace

S = 10**9


CADENCE = Cadence(every_s=1.0, dt_max_s=20.0, least_s=0.5)


def one(t_s: float, newest_s: float, state_s: float | None = None, is_fast: bool = False):
    state_s = newest_s if state_s is None else state_s
    times = (np.int64([time * S]) for time in (t_s, newest_s, state_s))
    return pace(*times, np.array([is_fast]), CADENCE)


def test_a_row_at_time_zero_can_be_followed():
    assert one(1, 0).dt[0] == 1


def test_a_first_row_has_no_dt_and_is_no_gap():
    first = pace(np.int64([5 * S]), np.int64([-1]), np.int64([-1]), np.array([False]), CADENCE)
    assert (first.dt[0], first.too_fast[0], first.is_gap[0], first.is_lost[0]) == (0, False, False, False)


def test_dt_is_seconds_since_the_newest_row():
    spacing = one(12.25, 10)
    assert spacing.dt.dtype == np.float32
    assert spacing.dt[0] == 2.25


def test_more_than_twice_the_cadence_is_a_gap_and_exactly_twice_is_not():
    assert not one(12, 10).is_gap[0]
    assert one(12.001, 10).is_gap[0]


def test_more_than_dt_max_is_lost_and_starts_with_no_dt():
    assert (one(30, 10).is_lost[0], one(30, 10).dt[0]) == (False, 20)
    assert (one(31, 10).is_lost[0], one(31, 10).dt[0]) == (True, 0)


def test_a_device_known_only_by_its_time_starts_with_no_dt():
    """As after a restart without a snapshot: the alert table gave it a newest time, the state is zero."""
    assert one(12, 10, state_s=-1).dt[0] == 0


def test_dt_is_counted_from_the_row_of_the_state_and_haste_from_the_newest():
    """As after a restart from a snapshot that is older than the alert table."""
    spacing = one(12, 11, state_s=9)
    assert (spacing.dt[0], spacing.is_gap[0], spacing.too_fast[0]) == (3, True, False)
    assert (one(40, 39, state_s=9).is_lost[0], one(11.2, 11, state_s=9).too_fast[0]) == (True, True)


def test_a_row_closer_than_those_of_training_is_too_fast():
    assert [one(10 + step, 10).too_fast[0] for step in (0.25, 0.5, 1)] == [True, False, False]


def test_after_a_row_that_was_too_fast_one_waits_until_a_row_is_due():
    assert [one(10 + step, 10, is_fast=True).too_fast[0] for step in (0.5, 0.9, 0.95, 1)] == [True, True, False, False]
