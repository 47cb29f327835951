"""Labelled machines choose among a few sets of charts.

Faults that come and stay are seen by charts that remember; bursts in noise that hangs together, by what one row does
that nobody expected. A chart of the wrong kind is noise, and the maximum over charts has all of it; the plant's own
limits may be all that its faults need. But labels of a few machines choose badly (of 36 charts, six servers chose a
worse one than a bank that was fixed beforehand has). So there are few sets: the bank and its parts, of which the best
is taken, and what a plant has, which must be better than that by more than the machines differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.words import Bool
from trainer.data.history import Float64

MACHINES_MIN = 3
"""Fewer labelled machines do not say how much machines differ."""
ERRORS_MIN = 1.0
"""Standard errors of the mean difference, over machines, by which what a plant has must be better than the bank."""


@dataclass(frozen=True, slots=True)
class SetChoice:
    """The name of the chosen set, and the mean average precision of each over n labelled machines."""

    name: str
    precision: Mapping[str, float]
    n_machines: int


def choose_set(
    parts: Mapping[str, Sequence[int]],
    rivals: Mapping[str, Sequence[int]],
    machines: Sequence[Float64],
    faulty: Sequence[Bool],
) -> SetChoice:
    """The set whose greatest chart ranks faulty rows highest; the first part where few machines are labelled.

    parts, rivals  columns of the charts, by name; a rival must be better beyond chance
    machines       of each, float64 [T, J]: charts over their scales, rows that are judged
    faulty         bool [T]: rows in a labelled fault, or near a failure
    """
    labelled = [(s, which) for s, which in zip(machines, faulty, strict=True) if which.any() and not which.all()]
    first = next(iter(parts))
    if not labelled:
        return SetChoice(first, {}, 0)
    precision = {
        name: np.array([average_precision(s[:, columns].max(axis=1), which) for s, which in labelled])
        for name, columns in {**parts, **rivals}.items()
    }
    means = {name: float(found.mean()) for name, found in precision.items()}
    if len(labelled) < MACHINES_MIN:
        return SetChoice(first, means, len(labelled))
    best = max(parts, key=means.__getitem__)
    better = [name for name in rivals if _is_better(precision[name] - precision[best])]
    return SetChoice(max(better, key=means.__getitem__, default=best), means, len(labelled))


def _is_better(differences: Float64) -> bool:
    return bool(differences.mean() > ERRORS_MIN * differences.std(ddof=1) / len(differences) ** 0.5)


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
