"""Rows fall due by their own times."""

import time

import numpy as np

from agent.replay.pace import AT_ONCE, Pace


def test_at_once_all_are_due():
    t_s = 1.6e9 + np.arange(5) * 3600.0
    assert Pace(t_s, AT_ONCE).n_due() == 5


def test_a_row_is_due_when_its_time_has_passed_at_the_speed():
    """Rows 10 s apart at 100 times real time: one each 0.1 s, the first at once and two at one time together."""
    t_s = np.array([1000.0, 1010.0, 1020.0, 1020.0, 1e9])
    begin_s = time.monotonic()
    pace = Pace(t_s, 100.0)
    assert pace.n_due() == 1
    assert pace.wait_for(0) == 1
    assert pace.wait_for(1) == 2
    assert time.monotonic() - begin_s >= 0.1
    assert pace.wait_for(2) == 4
    assert time.monotonic() - begin_s >= 0.2
    assert pace.n_due() == 4
