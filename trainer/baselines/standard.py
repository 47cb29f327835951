"""Channels in healthy deviations of the fleet, for the methods that look at all of them together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from agent.words import Bool
from trainer.baselines.healthy import healthy, healthy_rows
from trainer.baselines.scorer import Task
from trainer.data.history import Float64, History

T = TypeVar("T", bound=np.generic)

CLIP = 10.0
"""Deviations at which a value is held: one wild value must not be all that a method sees for a long time."""
RATES = (0.1, 1.0, 0.3, 0.05, 0.02)
"""How fast the rows that a method sees follow the channels; 1 is the row itself."""


@dataclass(frozen=True, slots=True)
class Standard:
    """The scale: columns, of the F channels those that vary; level and spread float64 [C] of each of them."""

    columns: npt.NDArray[np.intp]
    level: Float64
    spread: Float64

    def of(self, history: History) -> Float64:
        """float64 [T, C]: a missing value is the channel's last one, 0 before the first."""
        z = np.clip((history.x[:, self.columns] - self.level) / self.spread, -CLIP, CLIP)
        has_value = np.isfinite(history.x[:, self.columns])
        newest = np.maximum.accumulate(np.where(has_value, np.arange(len(z))[:, None], -1), axis=0)
        return np.where(newest >= 0, np.take_along_axis(z, np.maximum(newest, 0), axis=0), 0)

    def smooth(self, history: History, rate: float) -> Float64:
        """float64 [T, C]: the same, exponentially weighted from the healthy level on."""
        return smoothed(self.of(history), rate)

    def has_value(self, history: History) -> Bool:
        """bool [T]: rows on which some channel says something."""
        any_of_row: Bool = np.logical_or.reduce(np.isfinite(history.x[:, self.columns]), axis=1)
        return any_of_row


def standard(histories: Sequence[History], task: Task) -> Standard:
    """Levels and spreads over the healthy rows. Raises DataRefused when no channel varies there."""
    rows = healthy_rows(histories, task)
    rows[~np.isfinite(rows)] = np.nan
    low, high = np.fmin.reduce(rows, axis=0), np.fmax.reduce(rows, axis=0)
    columns = np.flatnonzero(high > low)
    return Standard(columns, np.nanmean(rows[:, columns], axis=0), np.nanstd(rows[:, columns], axis=0))


def smoothed(z: Float64, rate: float) -> Float64:
    """float64 [T, C]: e = (1 - rate) e + rate z down the rows, from 0 on."""
    return np.asarray(lfilter([rate], [1.0, rate - 1.0], z, axis=0), np.float64)


def healthy_parts(scale: Standard, histories: Sequence[History], task: Task, rate: float) -> list[Float64]:
    """float64 [n, C] a history: its healthy rows in the scale, smoothed before the others were cut away."""
    return [scale.smooth(history, rate)[healthy(history, task)] for history in histories]


def drawn(rows: npt.NDArray[T], n_max: int, seed: int) -> npt.NDArray[T]:
    """At most `n_max` of the rows, in their order, each as likely as any other."""
    if len(rows) <= n_max:
        return rows
    kept = np.sort(np.random.default_rng(seed).choice(len(rows), n_max, replace=False))
    return rows[kept]
