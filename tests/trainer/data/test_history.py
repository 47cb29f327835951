"""What a recording knows of the life of its device, for one that failed and one that did not."""

import hashlib
from dataclasses import replace

import numpy as np

from agent.score.time_unit import nanoseconds, seconds
from trainer.data.history import History, digest_of, normal_rows, numbered


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


def life(faults: list[tuple[float, float]], t_fail: float | None = None) -> History:
    """A row each second from 0 to 19."""
    x = np.arange(20, dtype=np.float32)[:, None]
    return History("p1", np.arange(20.0), x, t_fail, faults=np.array(faults, np.float64).reshape(-1, 2))


def test_a_fault_holds_from_its_start_to_before_its_end() -> None:
    assert np.flatnonzero(life([(2, 4), (9.5, 9.9), (18, np.inf)]).in_fault()).tolist() == [2, 3, 18, 19]
    assert not life([]).in_fault().any()


def test_normal_rows_are_outside_of_faults_and_far_from_a_known_failure() -> None:
    assert np.flatnonzero(normal_rows(life([(0, 7)]), h_max_s=3)).tolist() == list(range(7, 20))
    assert np.flatnonzero(normal_rows(life([(0, 7)], t_fail=20.0), h_max_s=3)).tolist() == list(range(7, 14))


def test_a_piece_knows_nothing_of_what_came_after_it() -> None:
    whole = life([(2, 4), (9, 15), (16, 18)], t_fail=19.5)
    piece = whole.between(5, 12)
    assert (piece.t_s.tolist(), piece.x[:, 0].tolist()) == (list(range(5, 12)), list(range(5, 12)))
    assert (piece.t_fail, piece.faults.tolist()) == (None, [[9.0, 12.0]])
    assert whole.between(12, np.inf).t_fail == 19.5


def test_lives_are_named_as_a_recording_names_them() -> None:
    first, second = life([]), replace(life([]), t_s=100 + np.arange(20.0))
    assert [(one.device, one.owner) for one in numbered("p1", [first, second])] == [("p1", "p1"), ("p1~2", "p1")]
    assert [(one.device, one.owner) for one in numbered("p1", [first])] == [("p1", "p1")]


def test_labels_change_the_digest_and_their_absence_does_not() -> None:
    """A data set without them has the digest that older bundles name."""
    assert len({digest_of([one]) for one in (life([]), life([(2, 4)]), replace(life([]), machine="p0"))}) == 3
    plain = hashlib.sha256(b"p1\0" + life([]).t_s.tobytes() + life([]).x.tobytes() + b"None").hexdigest()
    assert digest_of([life([])]) == plain
