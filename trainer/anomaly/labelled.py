"""Labelled machines choose among a few sets of charts.

Faults that come and stay are seen by charts that remember; bursts in noise that hangs together, by what one row does
that nobody expected. A chart of the wrong kind is noise, and the maximum over charts has all of it; the plant's own
limits may be all that its faults need. But labels of a few machines choose badly (of 36 charts, six servers chose a
worse one than a bank that was fixed beforehand has). So there are few sets, and the first one stays unless another is
better by more than the machines differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.words import Bool
from trainer.data.history import Float64

MACHINES_MIN = 3
"""Fewer labelled machines do not say how much machines differ."""
ERRORS_MIN = 1.0
"""Standard errors of the mean difference, over machines, by which a set must be better than the first one."""


@dataclass(frozen=True, slots=True)
class SetChoice:
    """The name of the chosen set, and the mean average precision of each over n labelled machines."""

    name: str
    precision: Mapping[str, float]
    n_machines: int


def choose_set(sets: Mapping[str, Sequence[int]], machines: Sequence[Float64], faulty: Sequence[Bool]) -> SetChoice:
    """The set whose greatest chart ranks faulty rows highest; the first where labels do not tell.

    sets      columns of the charts, by name; the first one is the default
    machines  of each, float64 [T, J]: charts over their scales, rows that are judged
    faulty    bool [T]: rows in a labelled fault, or near a failure
    """
    default = next(iter(sets))
    labelled = [(s, which) for s, which in zip(machines, faulty, strict=True) if which.any() and not which.all()]
    if not labelled:
        return SetChoice(default, {}, 0)
    precision = {
        name: np.array([average_precision(s[:, columns].max(axis=1), which) for s, which in labelled])
        for name, columns in sets.items()
    }
    better = {name: float(found.mean()) for name, found in precision.items() if _is_better(found - precision[default])}
    means = {name: float(found.mean()) for name, found in precision.items()}
    return SetChoice(max(better, key=better.__getitem__, default=default), means, len(labelled))


def _is_better(differences: Float64) -> bool:
    n = len(differences)
    return n >= MACHINES_MIN and differences.mean() > ERRORS_MIN * differences.std(ddof=1) / n**0.5


def average_precision(score: Float64, positive: Bool) -> float:
    """Area under precision over recall by steps, rows of equal score at once; chance gives the share of positives.

    score float64 [T]; positive bool [T], at least one. Source: C. D. Manning, P. Raghavan, H. Schuetze, Introduction to
    Information Retrieval (2008), section 8.4.
    """
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.diff(score[order]) != 0, True)  # of rows of equal score
    precision = (hits / np.arange(1, len(hits) + 1))[last]
    return float((precision * np.diff(hits[last], prepend=0)).sum() / positive.sum())
