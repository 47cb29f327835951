"""How long channels stood still or were silent in the recordings."""

import numpy as np
import pytest

from trainer.bundle.longest_runs import longest_runs
from trainer.data.history import History

NAN = np.nan


def history(t_s: list[float], *columns: list[float]) -> History:
    return History("d", np.array(t_s, np.float64), np.array(columns, np.float32).T, None)


@pytest.mark.parametrize(
    ("t_s", "values", "steady_s", "absent_s"),
    [
        ([0, 1, 2, 3], [1, 2, 3, 4], 0, 0),
        ([0, 1, 2, 4], [1, 2, 2, 2], 3, 0),
        ([5, 6, 7, 9], [1, 1, 1, 1], 4, 0),
        ([0, 1, 2, 3], [1, NAN, NAN, 1], 3, 2),
        ([0, 1, 2, 3], [1, NAN, NAN, 2], 0, 2),
        ([0, 2, 3, 4], [NAN, NAN, 1, NAN], 0, 2),
        ([0, 1, 2, 3], [NAN, NAN, NAN, NAN], 0, 3),
        ([0, 1, 100, 101], [1, 1, 1, 1], 1, 0),
        ([0, 1, 100, 102], [1, NAN, NAN, NAN], 0, 2),
        ([0], [1], 0, 0),
        ([0, 1, 2], [0.0, -0.0, 1], 1, 0),
    ],
)
def test_a_run_is_from_its_first_row_to_its_last(t_s, values, steady_s, absent_s):
    steady, absent = longest_runs([history(t_s, values)], dt_max_s=10)
    assert (steady.tolist(), absent.tolist()) == ([steady_s], [absent_s])


def test_the_longest_counts_a_channel_and_a_device():
    one = history([0, 1, 2, 3], [1, 1, 1, 2], [NAN, 1, 2, 3])
    other = history([0, 1, 2, 3], [1, 2, 3, 4], [1, NAN, NAN, NAN])
    steady, absent = longest_runs([one, other], dt_max_s=10)
    assert steady.tolist() == [2, 0]
    assert absent.tolist() == [0, 3]


def test_it_is_what_a_plain_loop_finds():
    """Against a device's rows taken one by one, as an agent meets them."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        t_s = np.cumsum(rng.choice([1.0, 1.0, 1.0, 50.0], 60))
        values = rng.choice([1.0, 1.0, 1.0, 2.0, NAN], 60)
        longest = {"steady": 0.0, "absent": 0.0}
        before, value, since, heard = -np.inf, NAN, 0.0, 0.0
        for t, v in zip(t_s.tolist(), values.tolist(), strict=True):
            if t - before > 10:
                value, heard = NAN, t
            if np.isnan(v):
                longest["absent"] = max(longest["absent"], t - heard)
            else:
                heard = t
                if v != value:
                    value, since = v, t
                longest["steady"] = max(longest["steady"], t - since)
            before = t
        steady, absent = longest_runs([history(t_s.tolist(), values.tolist())], dt_max_s=10)
        assert (steady[0], absent[0]) == (longest["steady"], longest["absent"])
