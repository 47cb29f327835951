"""How long a channel stood still, and how long it had no value, in the recordings: what an agent holds `stuck` against.

A row after a silence beyond `model.dt_max` begins anew: what the channel did meanwhile is not known.
"""

from collections.abc import Sequence

import numpy as np

from agent.words import Bool, Float32, Int64
from trainer.data.history import Float64, History


def longest_runs(histories: Sequence[History], dt_max_s: float) -> tuple[Float64, Float64]:
    """float64 [F] each, in seconds or cycles: the longest over all histories that a channel stood, and had no value.

    stood     from the first row with a value to the last one with the same, whatever rows without a value lie between;
              a channel that never varied has the longest life
    no value  from the row with the last value, or the first row, to the last row without one; 0 where none was missing
    """
    runs = [[_runs(history.t_s, values, dt_max_s) for values in history.x.T] for history in histories]  # [N, F, 2]
    steady_s, absent_s = np.max(runs, axis=0).T
    return steady_s, absent_s


def _runs(t_s: Float64, values: Float32, dt_max_s: float) -> tuple[float, float]:
    begins = np.diff(t_s, prepend=-np.inf) > dt_max_s
    has_value = ~np.isnan(values)
    absent_s = t_s - t_s[_last(has_value | begins)]
    at = np.flatnonzero(has_value)
    spell = np.cumsum(begins)[at]
    changes = np.ones(len(at), np.bool_)
    changes[1:] = (values[at][1:] != values[at][:-1]) | (spell[1:] != spell[:-1])
    steady_s = t_s[at] - t_s[at][_last(changes)]
    return float(steady_s.max(initial=0)), float(absent_s[~has_value].max(initial=0))


def _last(is_so: Bool) -> Int64:
    """int64 [n]: index of the last one up to each where it is so; it is at the first."""
    return np.maximum.accumulate(np.where(is_so, np.arange(len(is_so)), 0))
