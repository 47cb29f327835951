"""Gradient boosting on lag features: the supervised method that most people reach for first.

It learns, of each row, whether the failure is at most `h_max` away, from each channel's value, its means and deviation
over the last rows, and how far it has moved. It is scored across folds (`cross_fit.py`). Where the first rows of a
history are those of a new device, the rows since then are a feature too, as they are for the network.
G. Ke et al., "LightGBM: A highly efficient gradient boosting decision tree", NIPS 2017. Leaves and trees are tuned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from lightgbm import LGBMClassifier

from agent.errors import DataRefused
from trainer.baselines.cross_fit import cross_fitted
from trainer.baselines.scorer import Baseline, Candidate, Scorer, Task
from trainer.baselines.standard import Standard, drawn, standard
from trainer.data.history import Float64, History

SHORT, LONG = 5, 20
"""Rows that the features look back."""
ROWS_MAX = 50_000
"""Rows that a model is fitted to."""


class Size(NamedTuple):
    """Of the ensemble."""

    leaves: int
    trees: int


SIZES = (Size(15, 100), Size(7, 100), Size(31, 100), Size(7, 300), Size(15, 300))


@dataclass(frozen=True, slots=True)
class Boosting:
    """The ensemble over features of the scaled rows."""

    scale: Standard
    knows_age: bool
    model: LGBMClassifier

    def score(self, history: History) -> Float64:
        """P(failure within h_max); NaN where every channel is missing."""
        both = np.asarray(self.model.predict_proba(features(self.scale, history, self.knows_age)), np.float64)
        return np.where(self.scale.has_value(history), both[:, 1], np.nan)


def candidates(histories: Sequence[History], task: Task) -> Iterator[Candidate]:
    """The ensembles of each size. Raises DataRefused where too few devices failed to learn from."""
    scale = standard(histories, task)
    for size in SIZES:
        yield f"{size.leaves} leaves, {size.trees} trees", cross_fitted(histories, partial(fit, scale, task, size))


def fit(scale: Standard, task: Task, size: Size, histories: Sequence[History]) -> Scorer:
    """One ensemble. Raises DataRefused when no row or every row is near a failure."""
    rows, near = [], []
    for history in histories:
        within, is_known = history.faults_within([task.h_max_s])
        rows.append(features(scale, history, task.knows_age)[is_known[:, 0]])
        near.append(within[is_known[:, 0], 0])
    target = np.concatenate(near)
    if target.all() or not target.any():
        what = "it learns from failures, and needs those of several devices beside rows that are far from one"
        raise DataRefused("boosting", what, next_step="Record more failures, or compare without it.")
    kept = drawn(np.arange(len(target)), ROWS_MAX, task.seed)
    model = LGBMClassifier(
        num_leaves=size.leaves,
        n_estimators=size.trees,
        learning_rate=0.05,
        subsample=0.7,
        subsample_freq=1,
        colsample_bytree=0.7,
        random_state=task.seed,
        n_jobs=1,  # threads cost more than they give on so few rows
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )
    return Boosting(scale, task.knows_age, model.fit(np.concatenate(rows)[kept], target[kept]))


def features(scale: Standard, history: History, knows_age: bool) -> Float64:
    """float64 [T, 6 C], and one more with age: values, means, deviation and moves of each channel."""
    z = scale.of(history)
    columns = [z, mean(z, SHORT), mean(z, LONG), deviation(z, LONG), z - back(z, SHORT), z - back(z, LONG)]
    if knows_age:
        columns.append(np.arange(1.0, len(z) + 1)[:, None])
    return np.concatenate(columns, axis=1)


def back(z: Float64, n: int) -> Float64:
    """float64 [T, C]: the value n rows ago; before the first row the channel stood at it."""
    return z[np.maximum(np.arange(len(z)) - n, 0)]


def mean(z: Float64, n: int) -> Float64:
    """float64 [T, C]: over the last n rows, or all where there are fewer."""
    total = np.concatenate([np.zeros((1, z.shape[1])), np.cumsum(z, axis=0)])
    end = np.arange(1, len(z) + 1)
    begin = np.maximum(end - n, 0)
    over: Float64 = (total[end] - total[begin]) / (end - begin)[:, None]
    return over


def deviation(z: Float64, n: int) -> Float64:
    """float64 [T, C]: standard deviation over the last n rows."""
    spread: Float64 = np.sqrt(np.maximum(mean(z**2, n) - mean(z, n) ** 2, 0))
    return spread


BOOSTING = Baseline(
    candidates,
    score="P(failure within h_max), learned from the failures",
    after="Ke et al., LightGBM, NIPS 2017",
    tuned="leaves and trees: " + "; ".join(f"{one.leaves}, {one.trees}" for one in SIZES),
    library="LightGBM",
    is_seeded=True,
)
