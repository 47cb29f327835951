"""Hotelling's T2 and Q of a principal component model of the healthy rows: how unlike them is a row?

T2 is a row's distance from the centre within the plane of the components that hold most of the healthy variance, Q
(squared prediction error) its distance from that plane (J. E. Jackson and G. S. Mudholkar, "Control procedures for
residuals associated with principal component analysis", Technometrics 21 (1979), 341-349). Each is counted in its
healthy 99 % quantile, and the greater one is the score. How much the rows are smoothed beforehand is tuned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from trainer.baselines.scorer import Baseline, Candidate, Task, values
from trainer.baselines.standard import RATES, Standard, healthy_parts, standard
from trainer.data.history import Float64, History

VARIANCE = 0.9
"""Share of the healthy variance that the components hold at least."""
UNIT_QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class T2Q:
    """mean float64 [C], components float64 [k, C] and their variance float64 [k]; unit float64 [2] of T2 and of Q."""

    rate: float
    scale: Standard
    mean: Float64
    components: Float64
    variance: Float64
    unit: Float64

    def score(self, history: History) -> Float64:
        """The greater of T2 and Q, each in its unit; NaN where every channel is missing."""
        both = self.statistics(self.scale.smooth(history, self.rate)) / self.unit
        return np.where(self.scale.has_value(history), both.max(axis=1), np.nan)

    def statistics(self, rows: Float64) -> Float64:
        """float64 [T, 2]: T2 and Q of standardised rows."""
        off = rows - self.mean
        along = np.einsum("tc,kc->tk", off, self.components)
        t2 = (along**2 / self.variance).sum(axis=1)
        q = np.maximum((off**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        return np.stack([t2, q], axis=1)


def candidates(histories: Sequence[History], task: Task) -> Iterator[Candidate]:
    """The model of each rate. Raises DataRefused when no channel varies over the healthy rows."""
    scale = standard(histories, task)
    for rate in RATES:
        rows = np.concatenate(healthy_parts(scale, histories, task, rate))
        model = PCA(svd_solver="full").fit(rows)
        held = np.cumsum(model.explained_variance_ratio_)
        k = min(int(np.searchsorted(held, VARIANCE)) + 1, int((model.explained_variance_ > 0).sum()))
        plain = T2Q(rate, scale, model.mean_, model.components_[:k], model.explained_variance_[:k], np.ones(2))
        unit = np.quantile(plain.statistics(rows), UNIT_QUANTILE, axis=0)
        unit = np.where(unit > 1e-9, unit, np.inf)  # of one channel nothing is left for Q
        yield f"rate {rate:g}", T2Q(rate, scale, plain.mean, plain.components, plain.variance, unit)


T2_Q = Baseline(
    candidates,
    score="the greater of T2 and Q (squared prediction error) of the healthy rows' principal components, each in its "
    "healthy 99 % quantile",
    after="Hotelling (1947); Jackson and Mudholkar, Technometrics 21 (1979)",
    tuned=f"the rate at which rows are smoothed: {values(RATES)}",
    library="scikit-learn",
)
