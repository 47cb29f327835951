"""Isolation forest: in how few random cuts does a row stand alone among healthy ones?

F. T. Liu, K. M. Ting and Z.-H. Zhou, "Isolation forest", ICDM 2008. How much the rows are smoothed beforehand is tuned;
trees and rows a tree are the paper's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import IsolationForest

from trainer.baselines.scorer import Baseline, Candidate, Task, values
from trainer.baselines.standard import RATES, Standard, drawn, healthy_parts, standard
from trainer.data.history import Float64, History

TREES = 100
ROWS_MAX = 20_000
"""Healthy rows that the trees draw theirs from."""


@dataclass(frozen=True, slots=True)
class Forest:
    """The trees, over rows in the scale."""

    rate: float
    scale: Standard
    trees: IsolationForest

    def score(self, history: History) -> Float64:
        """The paper's score, 0 to 1; NaN where every channel is missing."""
        scores = -self.trees.score_samples(self.scale.smooth(history, self.rate))
        return np.where(self.scale.has_value(history), scores, np.nan)


def candidates(histories: Sequence[History], task: Task) -> Iterator[Candidate]:
    """The forest of each rate. Raises DataRefused when no channel varies over the healthy rows."""
    scale = standard(histories, task)
    for rate in RATES:
        rows = drawn(np.concatenate(healthy_parts(scale, histories, task, rate)), ROWS_MAX, task.seed)
        yield (
            f"rate {rate:g}",
            Forest(rate, scale, IsolationForest(n_estimators=TREES, random_state=task.seed).fit(rows)),
        )


ISOLATION_FOREST = Baseline(
    candidates,
    score="in how few random cuts a row stands alone among healthy ones",
    after="Liu, Ting and Zhou, ICDM 2008",
    tuned=f"the rate at which rows are smoothed: {values(RATES)}",
    library="scikit-learn",
    is_seeded=True,
)
