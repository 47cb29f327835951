"""CUSUM charts: a channel's deviations beyond a slack, summed up, each side of its level for itself.

S = max(0, S + |z| - slack), z in healthy deviations (E. S. Page, "Continuous inspection schemes", Biometrika 41 (1954),
100-115). Rows hang together, so a sum is counted in its own root mean square over healthy rows, and the threshold
takes the place of the decision interval. The slack is tuned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.baselines.healthy import healthy
from trainer.baselines.scorer import Baseline, Candidate, Task, values
from trainer.baselines.standard import Standard, standard
from trainer.data.history import Float64, History

SLACKS = (0.5, 0.25, 1.0, 1.5, 2.0)


@dataclass(frozen=True, slots=True)
class Cusum:
    """spread float64 [C]: root mean square of each channel's sum over healthy rows; 0 leaves it out."""

    slack: float
    scale: Standard
    spread: Float64

    def score(self, history: History) -> Float64:
        """The greatest of the channels' sums; NaN where every channel is missing."""
        sums = sums_of(self.scale, history, self.slack) / np.where(self.spread > 0, self.spread, np.inf)
        return np.where(self.scale.has_value(history), sums.max(axis=1), np.nan)


def candidates(histories: Sequence[History], task: Task) -> Iterator[Candidate]:
    """The charts of each slack. Raises DataRefused when no channel varies over the healthy rows."""
    scale = standard(histories, task)
    for slack in SLACKS:
        sums = [sums_of(scale, history, slack)[healthy(history, task)] for history in histories]
        spread: Float64 = np.sqrt(np.mean(np.concatenate(sums) ** 2, axis=0))
        yield f"slack {slack:g}", Cusum(slack, scale, spread)


def sums_of(scale: Standard, history: History, slack: float) -> Float64:
    """float64 [T, C]: the greater of the two sums of each channel. A missing value adds nothing."""
    z = np.where(np.isfinite(history.x[:, scale.columns]), scale.of(history), 0)
    return np.maximum(one_sided(z - slack), one_sided(-z - slack))


def one_sided(steps: Float64) -> Float64:
    """float64 [T, C]: S = max(0, S + step) down the rows: how far the plain sum stands above its lowest so far."""
    total = np.cumsum(steps, axis=0)
    return total - np.minimum(np.minimum.accumulate(total, axis=0), 0)


CUSUM = Baseline(
    candidates,
    score="the greatest sum of a channel's healthy deviations beyond a slack, in that sum's own healthy size",
    after="Page, Biometrika 41 (1954)",
    tuned=f"the slack: {values(SLACKS)}",
)
