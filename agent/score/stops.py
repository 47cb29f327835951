"""Time in which a machine stood, as planned: nothing is said of it, it is no exposure, and no alert is false in it."""

import numpy as np
import numpy.typing as npt

from agent.words import Bool

Float64 = npt.NDArray[np.float64]


def no_stops() -> Float64:
    return np.empty((0, 2))


def stops_of(t_s: Float64, is_left_out: Bool) -> Float64:
    """float64 [n, 2]: where a device stood, by the times float64 [T] of its rows, which rise, and bool [T].

    A row speaks of the time since the row before it, so a stop is from the last row before it to its own last row; one
    without a row before it has always been.
    """
    edges = np.diff(is_left_out.astype(np.int8), prepend=0, append=0)
    first, last = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0) - 1
    return np.stack((np.append(-np.inf, t_s)[first], t_s[last]), axis=1)


def covered_s(intervals: Float64, start_s: float, end_s: float) -> float:
    """Seconds from `start_s` to `end_s` that lie in any of the intervals float64 [n, 2], which may overlap."""
    if not len(intervals):
        return 0.0
    ordered = np.clip(intervals[np.argsort(intervals[:, 0])], start_s, end_s)
    reached = np.maximum.accumulate(ordered[:, 1])
    begins = np.maximum(ordered[:, 0], np.concatenate(([start_s], reached[:-1])))
    return float(np.maximum(reached - begins, 0).sum())
