import numpy as np

from agent.align.spacing import Spacing, order_of
from agent.devices.slots import Slots

S = 10**9
SLOT = np.array([0])


def order(t_s: float, newest_s: float | None):
    spacing = Spacing(Slots(1, 1))
    if newest_s is not None:
        spacing.take(SLOT, np.int64([newest_s * S]))
    found = order_of(np.int64([t_s * S]), spacing.newest_ns[SLOT])
    assert found.is_old[0] == (found.late[0] or found.repeated[0])
    return found.late[0], found.repeated[0]


def test_an_earlier_row_is_late_and_an_equal_one_repeated():
    assert order(9, 10) == (True, False)
    assert order(10, 10) == (False, True)
    assert order(11, 10) == (False, False)


def test_a_row_at_time_zero_can_be_followed_and_repeated():
    assert order(1, 0) == (False, False)
    assert order(0, 0) == (False, True)


def test_a_first_row_is_neither():
    assert order(5, None) == (False, False)


def test_a_clock_that_is_set_anew_takes_the_newest_row_along():
    spacing = Spacing(Slots(1, 1))
    spacing.move(SLOT, np.int64([5]))
    assert spacing.newest_ns[0] == -1, "there is none"
    spacing.take(SLOT, np.int64([10 * S]))
    spacing.move(SLOT, np.int64([-4 * S]))
    assert not order_of(np.int64([7 * S]), spacing.newest_ns[SLOT]).is_old[0]
