"""What a recording knows of the life of its device, for one that failed and one that did not."""

from dataclasses import replace

import numpy as np

from agent.score.time_unit import nanoseconds, seconds
from trainer.data.history import History


def history(t_fail: float | None) -> History:
    return History("p1", np.array([1.0, 2.0, 5.0]), np.zeros((3, 1), np.float32), t_fail)


def test_a_failed_device_is_known_to_its_failure_however_far_that_is() -> None:
    one = history(9.0)
    assert one.failed
    assert one.observed_left().tolist() == [8.0, 7.0, 4.0]
    within, known = one.faults_within((4.0, 7.5))
    assert within.tolist() == [[False, False], [False, True], [True, True]]
    assert known.all()


def test_a_device_that_did_not_fail_is_known_to_its_last_row() -> None:
    """A row answers for a horizon when the recording goes on to its end."""
    one = history(None)
    assert not one.failed
    assert one.observed_left().tolist() == [4.0, 3.0, 0.0]
    within, known = one.faults_within((3.0, 4.0))
    assert not within.any()
    assert known.tolist() == [[True, True], [True, False], [False, False]]


def test_exact_times_are_kept_and_follow_the_rows() -> None:
    """A float64 of today's seconds is off by up to 120 ns; times that were changed are read from the seconds again."""
    t_ns = np.array([1_795_814_694_123_456_789, 1_795_814_704_123_456_789])
    one = History("p1", seconds(t_ns), np.zeros((2, 1), np.float32), None, t_ns)
    assert one.t_ns.tolist() == t_ns.tolist()
    assert one.only(slice(1, None)).t_ns.tolist() == t_ns[1:].tolist()
    assert replace(one, t_s=one.t_s + 60).t_ns.tolist() == nanoseconds(one.t_s + 60).tolist()
    assert replace(one, t_s=one.t_s[:1], x=one.x[:1]).t_ns.tolist() == nanoseconds(one.t_s[:1]).tolist()
