"""Means and shares over rows, and how sure they are: rows of one device are alike, so devices are drawn, never rows."""

import math
from collections.abc import Iterable

import numpy as np

from agent.score.early_warning import BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED, Interval
from agent.words import Bool, Int64
from trainer.data.history import Float64


def shares95(hits: Int64, rows: Int64) -> list[Interval]:
    """95 % percentile intervals of hits / rows, summed over devices (Efron and Tibshirani 1993, chapter 13).

    hits, rows int64 [n devices, k]; NaN for a column in which fewer than two devices have rows. What no device showed
    cannot be drawn: an interval of width 0 says that all were alike, not that the share is certain.
    """
    n = len(rows)
    drawn = np.random.default_rng(BOOTSTRAP_SEED).multinomial(n, np.full(n, 1 / n), size=BOOTSTRAP_SAMPLES)
    hits_drawn, rows_drawn = drawn @ hits, drawn @ rows  # each [BOOTSTRAP_SAMPLES, k]
    intervals = []
    for column in range(rows.shape[1]):
        some = rows_drawn[:, column] > 0
        if (rows[:, column] > 0).sum() < 2:
            intervals.append(Interval(math.nan, math.nan))
            continue
        low, high = np.quantile(hits_drawn[some, column] / rows_drawn[some, column], (0.025, 0.975))
        intervals.append(Interval(float(low), float(high)))
    return intervals


def counts(where: Int64, of_device: Int64, n_devices: int, n_places: int) -> Int64:
    """int64 [n_devices, n_places]: rows of each device at each place; where, of_device int64 [rows]."""
    flat = np.bincount(of_device * n_places + where, minlength=n_devices * n_places)
    return flat.reshape(n_devices, n_places)


def mean(parts: Iterable[Float64 | Bool]) -> float:
    """Mean over all parts, exact before it is rounded once: numpy's sum depends on where an array lies in memory."""
    rows = np.concatenate(list(parts))
    return math.fsum(rows.tolist()) / len(rows)
