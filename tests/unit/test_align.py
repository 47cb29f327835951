import numpy as np

from agent.align import space

S = 10**9


def one(t_s: float, newest_s: float, has_state: bool = True):
    return space(np.int64([t_s * S]), np.int64([newest_s * S]), np.array([has_state]), every_s=1.0, dt_max_s=20.0)


def test_an_earlier_row_is_late_and_an_equal_one_repeated():
    assert (one(9, 10).late[0], one(9, 10).repeated[0]) == (True, False)
    assert (one(10, 10).late[0], one(10, 10).repeated[0]) == (False, True)
    assert (one(11, 10).late[0], one(11, 10).repeated[0]) == (False, False)


def test_a_row_at_time_zero_can_be_followed_and_repeated():
    assert one(1, 0).dt[0] == 1
    assert one(0, 0).repeated[0]


def test_a_first_row_has_no_dt_and_is_neither_late_nor_a_gap():
    first = space(np.int64([5 * S]), np.int64([-1]), np.array([False]), every_s=1.0, dt_max_s=20.0)
    assert (first.dt[0], first.late[0], first.is_gap[0], first.is_lost[0]) == (0, False, False, False)


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
    assert one(12, 10, has_state=False).dt[0] == 0
