"""Does a chart follow what a device learnt of itself, or what the pool of fit devices is?

A device's own mean and spread of a residual are worth having where devices differ: then the two halves of a learning
window agree with each other. Where they do not, what differs from window to window is chance, and a few rows of a
device know less than all rows of the pool. Where one of the two figures is the devices' own, both are: slow charts of
few windows show it in the mean alone. But a spread needs rows enough.

The reliability of a whole window follows from the agreement r of its halves, 2 r / (1 + r) (W. Brown and C. Spearman,
British Journal of Psychology 3, 1910). One answer a chart, for all channels: of one channel there are too few windows
to tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.words import Bool
from trainer.anomaly.charts import ChartSpec, Pool, first_row, recursion, residual_of
from trainer.anomaly.moments import Learning, Moments
from trainer.data.history import Float64

RELIABLE = 1 / 3
"""A window's own figure is used where at least this share of what differs between windows is the devices'."""
WINDOWS_MIN = 4
"""Fewer windows tell nothing; then a device's own is used."""
OWN_SHARE_MIN = 0.25
"""Of the learning rows, that a residual must have for its own figures: a far forecast may have none."""
INDEPENDENT_MIN = 4
"""Rows of a smoothed residual hang together over about 2 / rate: a spread of fewer independent ones is chance."""
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class FitRows:
    """One fit device's rows.

    fresh      bool [T]: the first row, and those before which history was lost
    normal     bool [T]: rows that may teach
    forecasts  by `ahead`, float64 [T, F], NaN where nothing was expected
    """

    moments: Moments
    fresh: Bool
    normal: Bool
    forecasts: Mapping[int, Float64]


def pool_of(chart: ChartSpec, learning: Learning, sensors: Bool, fit: Sequence[FitRows]) -> Pool:
    """What is pooled of a chart's residual over the fit devices, and whether it takes the place of a device's own."""
    residuals = [residual_of(chart, learning, one.moments, one.fresh, one.forecasts.get(chart.ahead)) for one in fit]
    counts = [is_there & one.normal[:, None] for one, (_, is_there) in zip(fit, residuals, strict=True)]
    n = np.maximum(sum(which.sum(axis=0) for which in counts), 1)
    mean = sum(np.where(which, r, 0.0).sum(axis=0) for which, (r, _) in zip(counts, residuals, strict=True)) / n
    halves = [
        half
        for which, (r, _) in zip(counts, residuals, strict=True)
        for half in _halves(chart, learning, r - mean, which)
    ]
    own_rows = learning.rows - max(first_row(chart, learning), _ahead(chart))
    has_rows = own_rows >= OWN_SHARE_MIN * learning.rows
    has_spread = has_rows and own_rows * chart.rate / 2 >= INDEPENDENT_MIN
    means, spreads = (_reliable(np.array([half[which] for half in halves]), sensors) for which in (0, 1))
    own_mean = float(has_rows and (means or (has_spread and spreads)))
    own_spread = float(has_spread and (means or spreads))
    squares = sum(
        np.where(which, _smoothed(chart, r, which, mean, own_mean) ** 2, 0.0).sum(axis=0)
        for which, (r, _) in zip(counts, residuals, strict=True)
    )
    ones = np.ones(len(sensors))
    return Pool(mean, np.maximum(squares / n, TINY), own_mean * ones, own_spread * ones)


def _ahead(chart: ChartSpec) -> int:
    return chart.ahead if chart.residual == "forecast" else 0


def _smoothed(chart: ChartSpec, r: Float64, which: Bool, mean: Float64, own_mean: float) -> Float64:
    """The chart [T, F] around the pool's mean, or around the device's own."""
    own = np.where(which, r, 0.0).sum(axis=0) / np.maximum(which.sum(axis=0), 1)
    off = np.where(which, r - (own if own_mean else mean), 0.0)
    return recursion(np.full_like(off, 1 - chart.rate), chart.rate * off)


def _halves(chart: ChartSpec, learning: Learning, r: Float64, which: Bool) -> list[Float64]:
    """Of each learning window that a device has, float64 [2, 2, F]: mean and log mean square, of either half."""
    halves, half = [], max(learning.rows // 2, 1)
    for start in range(0, len(r) - 2 * half + 1, 2 * half):
        parts = [slice(start, start + half), slice(start + half, start + 2 * half)]
        if min(which[part].sum(axis=0).max() for part in parts) < max(half // 2, 1):
            continue
        means, spreads = [], []
        for part in parts:
            n = np.maximum(which[part].sum(axis=0), 1)
            own = np.where(which[part], r[part], 0.0).sum(axis=0) / n
            off = np.where(which[part], r[part] - own, 0.0)
            e = recursion(np.full_like(off, 1 - chart.rate), chart.rate * off)
            means.append(own)
            spreads.append(np.log((e**2).sum(axis=0) / n + learning.floor))
        halves.append(np.array([means, spreads]))
    return halves


def _reliable(pairs: Float64, sensors: Bool) -> bool:
    """Does what differs between windows [W, 2, F] belong to the devices? True where too few windows tell."""
    if len(pairs) < WINDOWS_MIN:
        return True
    off = pairs[:, :, sensors] - pairs[:, :, sensors].mean(axis=0)  # all devices may have rested in one half
    variance = (off**2).mean(axis=(0, 1))
    varies = variance > TINY
    if not varies.any():
        return False
    agreement = float(((off[:, 0] * off[:, 1]).mean(axis=0)[varies] / variance[varies]).mean())
    return 2 * agreement / (1 + agreement) >= RELIABLE if agreement > 0 else False
