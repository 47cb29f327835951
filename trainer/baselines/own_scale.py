"""A device's own scale: its channels in deviations of its own first rows, instead of the fleet's.

Machines of one kind differ in level and spread by more than a fault moves them, or they do not: so it is tried for
each method, beside the fleet's scale. A spread is drawn to the fleet's by as many rows as PRIOR_ROWS, so that a
channel which stood still for a while does not become infinitely sensitive.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainer.baselines.scorer import Scorer, Task
from trainer.data.history import Float64, History

PRIOR_ROWS = 10
PRIOR_SHARE = 0.1
"""Of the fleet's variance, which PRIOR_ROWS of the prior have."""


@dataclass(frozen=True, slots=True)
class OwnScale:
    """n_rows learn a device's scale; spread float64 [F] is the fleet's deviation of a channel."""

    n_rows: int
    spread: Float64

    def of(self, history: History) -> History:
        """The same history in deviations of its first rows, in the fleet's deviations where they hold no value."""
        first = history.x[: self.n_rows].astype(np.float64)
        has_value = np.isfinite(first)
        n = has_value.sum(axis=0)
        level = np.where(has_value, first, 0).sum(axis=0) / np.maximum(n, 1)
        squares = (np.where(has_value, first - level, 0) ** 2).sum(axis=0)
        variance = (squares + PRIOR_ROWS * PRIOR_SHARE * self.spread**2) / (n + PRIOR_ROWS)
        rests = np.where(np.isfinite(history.x), 0.0, np.nan)
        x = np.where(self.spread > 0, (history.x - level) / np.where(variance > 0, np.sqrt(variance), 1), rests)
        return replace(history, x=x.astype(np.float32))


@dataclass(frozen=True, slots=True)
class OwnScaled:
    """A scorer that was fitted to histories in their own scale; it says nothing while a device's scale is learned."""

    scale: OwnScale
    scorer: Scorer

    def score(self, history: History) -> Float64:
        """As the scorer's, NaN over the rows that learn the scale."""
        scores = self.scorer.score(self.scale.of(history)).copy()
        scores[: self.scale.n_rows] = np.nan
        return scores


def own_scale(histories: Sequence[History], task: Task) -> OwnScale | None:
    """The scale for a task; None where most devices have too few rows to learn one and to be judged by it."""
    if np.median([len(history.t_s) for history in histories]) < 2 * task.own_rows:
        return None
    rows = np.concatenate([history.x for history in histories]).astype(np.float64)
    rows[~np.isfinite(rows)] = np.nan
    has_value = np.isfinite(rows).any(axis=0)
    spread = np.zeros(rows.shape[1])
    spread[has_value] = np.nanstd(rows[:, has_value], axis=0)
    return OwnScale(task.own_rows, spread)
