"""Does a risk of 0.3 come true three times in ten? By tenths of the risk, for one horizon.

The edges of the bins are fixed. Most risks are nearly 0 or nearly 1: bins of equal counts would all lie there, and show
nothing of the risks at which somebody has to decide. And fixed edges mean the same for every bundle.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from agent.score.early_warning import Interval
from agent.words import Bool, Float32, Int64
from trainer.evaluation.device_bootstrap import counts, mean, shares95

BINS = 10


class Bin(msgspec.Struct, frozen=True):
    """Rows whose risk lies in [low, high), the last bin with its upper edge.

    risk         mean of what was predicted
    observed     share of the rows whose fault came within the horizon
    observed_95  interval over the devices, NaN where fewer than two have rows here
    """

    low: float
    high: float
    risk: float
    observed: float
    observed_95: Interval
    n_rows: int
    n_devices: int


def reliability(risk: Float32, faulty: Bool, of_device: Int64, n_devices: int) -> tuple[Bin, ...]:
    """The bins that have rows. All arrays [rows]; of_device is each row's number of 0 to n_devices - 1."""
    place = np.minimum((risk.astype(np.float64) * BINS).astype(np.int64), BINS - 1)
    rows = counts(place, of_device, n_devices, BINS)
    hits = counts(place[faulty], of_device[faulty], n_devices, BINS)
    intervals = shares95(hits, rows)
    return tuple(
        Bin(
            low=index / BINS,
            high=(index + 1) / BINS,
            risk=mean([risk[place == index].astype(np.float64)]),
            observed=int(hits[:, index].sum()) / int(rows[:, index].sum()),
            observed_95=intervals[index],
            n_rows=int(rows[:, index].sum()),
            n_devices=int((rows[:, index] > 0).sum()),
        )
        for index in range(BINS)
        if rows[:, index].any()
    )


def calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance of observed from predicted, by rows (the expected calibration error; Naeini et al., AAAI 2015).

    Few devices make it larger than it is: even a perfect risk misses what little was observed.
    """
    n_rows = sum(one.n_rows for one in bins)
    return math.fsum(one.n_rows * abs(one.observed - one.risk) for one in bins) / n_rows
