"""Which rows are of a machine that stands, by what its channel says, row by row and for a whole recording at once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.devices.slots import NEVER
from agent.step.stops import RUNS, STANDS, STOOD, Stopped, says_something, stopped_rows

SECOND = 10**9
GONE = math.nan


def rows_of(values: list[float], *, after_s: float = 0.0, newest: int = RUNS, above: float = 0.5) -> Stopped:
    """Rows a second apart, the first at 1 s."""
    value, t_ns = np.float32([values]), SECOND * np.arange(1, len(values) + 1)[None]
    before = np.array([newest], np.uint8), np.array([NEVER])
    return stopped_rows(above, after_s, value, t_ns, *before)


def left_out(values: list[float], **rest: float) -> list[int]:
    return rows_of(values, **rest).rows[0].astype(int).tolist()


def test_a_row_is_left_out_where_the_channel_is_not_above_the_bound():
    assert left_out([1, 1, 0, 0, 1, 0.5, 0.6]) == [0, 0, 1, 1, 0, 1, 0]
    assert left_out([-3, 900, 1100], above=1000) == [1, 1, 0]


def test_a_row_without_a_value_is_as_the_newest_one_that_had_it():
    assert left_out([GONE, GONE, 0, GONE, GONE, 1, GONE]) == [0, 0, 1, 1, 1, 0, 0]


def test_rows_of_a_start_are_left_out_too():
    """Started at 4 s: the rows at 4 and 5 s are within 2 s of it. One that always ran has no start."""
    assert left_out([1, 1, 0, 1, 1, 1, 1], after_s=2) == [0, 0, 1, 1, 1, 0, 0]
    assert left_out([1, 0, 1, 0, 1, GONE, GONE], after_s=2) == [0, 1, 1, 1, 1, 1, 0]


def test_a_machine_that_stood_runs_until_it_is_heard_to_stand_where_messages_may_be_missing():
    """Silence would be worse than a warning too many; a start is one all the same."""
    assert left_out([GONE, GONE, 0, GONE], newest=STOOD) == [0, 0, 1, 1]
    assert left_out([GONE, 1, 1, 1], newest=STOOD, after_s=2) == [0, 1, 1, 0]
    assert left_out([GONE, GONE, 1], newest=STANDS) == [1, 1, 0]


def test_not_a_number_above_every_bound_and_infinity_are_values_like_others():
    assert left_out([math.inf, -math.inf, math.inf]) == [0, 1, 0]


def test_a_row_says_something_by_a_value_or_by_an_event():
    x = np.float32([[1, 0], [0, GONE], [GONE, 0], [GONE, GONE], [GONE, 2]])
    assert says_something(x, np.array([False, True])).tolist() == [True, True, False, False, True]
    assert says_something(x, np.array([False, False])).tolist() == [True, True, True, False, True]
    assert says_something(x, np.array([True, True])).all(), "no event is all that such a row can say"


VALUES = st.lists(st.sampled_from([0.0, 1.0, GONE, 0.5, -1e30, 1e30]), min_size=1, max_size=20)


@pytest.mark.slow
@given(VALUES, VALUES, st.sampled_from([0.0, 1.5, 4.0]), st.integers(0, 19))
def test_a_recording_at_once_is_what_its_rows_are_one_by_one_among_others(values, others, after_s, cut):
    """Law 1 and law 2. Two devices, each row by itself with the other beside it; compare with the whole of one."""
    n = max(len(values), len(others))
    both = np.float32([[*of, *[GONE] * (n - len(of))] for of in (values, others)])
    t_ns = SECOND * np.arange(1, n + 1)
    newest, started_ns = np.full(2, RUNS, np.uint8), np.full(2, NEVER)
    steps = []
    for row in range(n):
        one = stopped_rows(0.5, after_s, both[:, [row]], np.full((2, 1), t_ns[row]), newest, started_ns)
        newest, started_ns = one.newest, one.started_ns
        steps.append(one.rows[:, 0])
    whole = rows_of(both[0].tolist(), after_s=after_s)
    assert np.array(steps)[:, 0].tolist() == whole.rows[0].tolist()
    assert (newest[0], started_ns[0]) == (whole.newest[0], whole.started_ns[0])
