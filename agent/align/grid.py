"""Rows on a grid of event time: at each whole multiple of `every`, the newest value of each channel.

A row at g has of each channel the newest value of the span g - max_age < t <= g. The device's first reading beyond g
makes it; no clock does, so a replay makes the same rows. A grid point where too few channels have a value makes no row,
and is not counted: the next row says `gap` where rows are missing. A reading that passes several points makes a row at
each of them while values are held, ROWS_MAX at most.
"""

import numpy as np

from agent.align.count import Counting
from agent.align.hold import Newest
from agent.align.runs import Made, Runs
from agent.devices.slots import NEVER
from agent.words import Bool, Int64

ROWS_MAX = 60  # of one reading: held values say less and less, and no payload may cost more work than this


def point_ns(t_ns: Int64, every_ns: Int64) -> Int64:
    """The first grid point at or after each time, int64 [b]."""
    return -(-t_ns // every_ns) * every_ns


def passed_ns(front_ns: Int64, every_ns: Int64) -> Int64:
    """The last grid point that a device has passed whose readings reach front_ns int64 [b]; NEVER for none."""
    return np.where(front_ns == NEVER, NEVER, np.maximum(point_ns(front_ns, every_ns) - every_ns, NEVER))


def grid_rows(
    runs: Runs,
    newest: Newest,
    front_ns: Int64,
    every_ns: Int64,
    max_age_ns: Int64,
    channels_min: Int64,
    counting: Counting | None,
) -> Made:
    """The rows of grid points that these readings pass.

    front_ns int64 [d] newest time of the devices' readings before these, NEVER for none; every_ns int64 [d];
    max_age_ns int64 [d, F]; channels_min int64 [d] how many channels must have a value
    counting  what happened meanwhile
    """
    before_ns = np.empty_like(runs.t_ns)
    before_ns[1:] = runs.t_ns[:-1]
    before_ns[runs.start] = front_ns
    every = every_ns[runs.run]
    first_ns = point_ns(before_ns, every)
    passes: Bool = (before_ns != NEVER) & (runs.t_ns > first_ns)
    reading = np.flatnonzero(passes)
    if not len(reading):
        return Made(runs.place[:0], runs.t_ns[:0], runs.x[:0])
    run, first_ns, every = runs.run[reading], first_ns[reading], every[reading]
    values, times_ns = newest.at(reading - 1, run)
    ends_ns = np.where(np.isnan(values), NEVER, times_ns + max_age_ns[run])  # from when on each value is too old
    until_ns = np.minimum(runs.t_ns[reading], ends_ns.max(axis=1))  # rows are before this
    n_points = np.clip(-((first_ns - until_ns) // every), 0, ROWS_MAX)
    of = np.repeat(np.arange(len(reading)), n_points)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(n_points) - n_points, n_points)
    t_ns = first_ns[of] + nth * every[of]
    x = np.where(t_ns[:, None] < ends_ns[of], values[of], np.float32(np.nan))
    has_quorum = np.count_nonzero(~np.isnan(x), axis=1) >= channels_min[run[of]]
    made, t_ns, x = reading[of][has_quorum], t_ns[has_quorum], x[has_quorum]
    return Made(runs.place[made], t_ns, x if counting is None else counting.into(x, made - 1, runs.run[made]))
