"""How often the interval of the remaining life holds the truth: within the cap, by device, and by what is left."""

import math

import msgspec
import numpy as np

from agent.score.early_warning import Interval
from agent.words import Float32, Int64
from trainer.data.history import Float64
from trainer.evaluation.device_bootstrap import counts, mean, shares95

PARTS = 4


class Coverage(msgspec.Struct, frozen=True):
    """Over the rows whose true remaining life lies in [left_min_s, left_max_s], devices that failed alone.

    share     of these rows whose truth lies in the interval
    share_95  interval over the devices, NaN where fewer than two have rows here
    sooner    share whose failure came sooner than the interval allowed; the rest of the misses came later
    width_s   mean width of the interval
    """

    left_min_s: float
    left_max_s: float
    n_rows: int
    n_devices: int
    share: float
    share_95: Interval
    sooner: float
    width_s: float


class OfDevices(msgspec.Struct, frozen=True):
    """The share of each device's own rows: a tenth of the devices have at most `low`, a tenth at least `high`."""

    low: float
    median: float
    high: float


class IntervalCoverage(msgspec.Struct, frozen=True):
    """Coverage over the cap as a whole, by quarters of it (those that have rows), and of the devices."""

    whole: Coverage
    by_left: tuple[Coverage, ...]
    of_devices: OfDevices


def percent(interval: Interval) -> str:
    """ "84% to 93%", "unknown" where there is nothing to draw from."""
    return "unknown" if math.isnan(interval.low) else f"{interval.low:.0%} to {interval.high:.0%}"


def coverage_of(rul: Float32, left: Float64, of_device: Int64, n_devices: int, cap_s: float) -> IntervalCoverage:
    """rul float32 [rows, 3] low, estimate, high; left float64 [rows], each at most `cap_s`; of_device int64 [rows],
    each row's number of 0 to n_devices - 1. Without a row all figures are NaN.
    """
    low, _, high = rul.astype(np.float64).T
    holds = (low <= left) & (left <= high)
    quarter = np.minimum((left / cap_s * PARTS).astype(np.int64), PARTS - 1)
    rows = counts(quarter, of_device, n_devices, PARTS)
    hits = counts(quarter[holds], of_device[holds], n_devices, PARTS)

    def over_quarters(first: int, last: int) -> Coverage:
        here = (first <= quarter) & (quarter < last)
        n_rows, n_hits = (n[:, first:last].sum(axis=1, keepdims=True) for n in (rows, hits))  # each [n_devices, 1]
        is_there = bool(here.any())
        return Coverage(
            left_min_s=first / PARTS * cap_s,
            left_max_s=last / PARTS * cap_s,
            n_rows=int(n_rows.sum()),
            n_devices=int((n_rows > 0).sum()),
            share=int(n_hits.sum()) / int(n_rows.sum()) if is_there else math.nan,
            share_95=shares95(n_hits, n_rows)[0],
            sooner=mean([(left < low)[here]]) if is_there else math.nan,
            width_s=mean([(high - low)[here]]) if is_there else math.nan,
        )

    some = rows.sum(axis=1) > 0
    own = hits[some].sum(axis=1) / rows[some].sum(axis=1) if some.any() else np.array([math.nan])
    return IntervalCoverage(
        whole=over_quarters(0, PARTS),
        by_left=tuple(over_quarters(index, index + 1) for index in range(PARTS) if rows[:, index].any()),
        of_devices=OfDevices(*np.quantile(own, (0.1, 0.5, 0.9)).tolist()),
    )
