"""EWMA control charts: a channel's exponentially weighted mean beside its healthy level, in healthy deviations.

z = (1 - rate) z + rate x, started at the healthy level (S. W. Roberts, "Control chart tests based on geometric moving
averages", Technometrics 1 (1959), 239-250). The textbook's limits hold for independent rows of like devices; here
devices differ and rows hang together, so the deviation of z is measured on healthy rows for the rate at hand, and the
threshold takes the place of the factor L. After a gap of dt the weight is 1 - (1 - rate)^(dt / cadence), as if the
rows between had been like the new one (D. J. Wright, Management Science 32 (1986), 499-510); a missing value leaves
its channel's chart as it was. The rate is tuned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.baselines.healthy import healthy, healthy_rows
from trainer.baselines.scorer import Baseline, Candidate, Task, values
from trainer.data.history import Float64, History

RATES = (0.1, 0.02, 0.05, 0.2, 0.4)


@dataclass(frozen=True, slots=True)
class Ewma:
    """level, spread float64 [F]: of a channel over healthy rows, of its chart around it. Spread 0 leaves it out."""

    rate: float
    every_s: float
    level: Float64
    spread: Float64

    def score(self, history: History) -> Float64:
        """Deviations by which the worst channel's chart is off its level; NaN until a channel was heard."""
        off = np.abs(chart(history, self.rate, self.every_s, self.level) - self.level)
        worst: Float64 = np.fmax.reduce(off / np.where(self.spread > 0, self.spread, np.nan), axis=1)
        return worst


def candidates(histories: Sequence[History], task: Task) -> Iterator[Candidate]:
    """The charts of each rate. Raises DataRefused when no channel varies over the healthy rows."""
    rows = healthy_rows(histories, task)
    level: Float64 = np.nanmean(rows, axis=0)
    for rate in RATES:
        charts = [chart(history, rate, task.every_s, level)[healthy(history, task)] for history in histories]
        spread: Float64 = np.sqrt(np.nanmean((np.concatenate(charts) - level) ** 2, axis=0))
        yield f"rate {rate:g}", Ewma(rate, task.every_s, level, spread)


def chart(history: History, rate: float, every_s: float, level: Float64) -> Float64:
    """float64 [T, F]: each channel's mean after each row; NaN until its first value."""
    has_value = np.isfinite(history.x)
    mean, newest_s = level.copy(), np.full(len(level), history.t_s[0] - every_s)
    means = np.empty(has_value.shape, np.float64)
    for index, (row, is_there) in enumerate(zip(history.x, has_value, strict=True)):
        weight = 1 - (1 - rate) ** ((history.t_s[index] - newest_s) / every_s)
        mean = np.where(is_there, mean + weight * (row - mean), mean)
        newest_s = np.where(is_there, history.t_s[index], newest_s)
        means[index] = mean
    means[~np.logical_or.accumulate(has_value)] = np.nan
    return means


EWMA = Baseline(
    candidates,
    score="by how many healthy deviations the worst channel's exponentially weighted mean is off its level",
    after="Roberts, Technometrics 1 (1959); for irregular rows Wright, Management Science 32 (1986)",
    tuned=f"the rate: {values(RATES)}",
)
