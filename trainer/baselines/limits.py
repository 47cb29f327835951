"""Limits on each channel, as a plant sets them: how far is the worst channel outside its healthy band?

The band runs between two quantiles of the channel over healthy rows, and the distance is counted in widths of the
band: with quartiles these are the fences of Tukey (Exploratory Data Analysis, 1977, section 2C), with the extremes
the alarm limits of a plant's first weeks. The quantile is tuned; the judge's m of n is the on-delay, its clear ratio
the deadband of ISA-18.2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.baselines.healthy import healthy_rows
from trainer.baselines.scorer import Baseline, Candidate, Task, values
from trainer.data.history import Float64, History

QUANTILES = (0.0, 0.001, 0.01, 0.05, 0.25)
"""Share of healthy rows beyond each side of a band."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bands: low and high float64 [F]. A channel without width has no unit to count in and is left out."""

    low: Float64
    high: Float64

    def score(self, history: History) -> Float64:
        """Widths by which the worst channel lies outside its band, 0 within; NaN where every channel is missing."""
        width = self.high - self.low
        beyond = np.maximum(self.low - history.x, history.x - self.high)  # [T, F]
        beyond = np.maximum(beyond / np.where(width > 0, width, np.nan), 0)
        worst: Float64 = np.fmax.reduce(beyond, axis=1)  # ignores NaN beside a number
        return worst


def candidates(histories: Sequence[History], task: Task) -> Iterator[Candidate]:
    """Bands of each width. Raises DataRefused when no channel varies over the healthy rows."""
    rows = healthy_rows(histories, task)
    for quantile in QUANTILES:
        low, high = np.nanquantile(rows, (quantile, 1 - quantile), axis=0)
        yield f"quantile {quantile:g}", Limits(low, high)


LIMITS = Baseline(
    candidates,
    score="by how many widths of its healthy band the worst channel lies outside it",
    after="Tukey's fences (1977); alarm limits with on-delay and deadband (ISA-18.2), which are the judge's m of n and "
    "clear ratio",
    tuned=f"the band's quantile: {values(QUANTILES)}",
)
