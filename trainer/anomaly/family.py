"""Which kinds of charts a machine needs, chosen by labelled machines: slow ones, fast ones, or all.

Faults that come and stay are seen by charts that remember; bursts in noise that hangs together, by what one row does
that nobody expected. A chart of the wrong kind is noise, and the maximum over charts has all of it. Labels of a few
machines choose badly among many charts (of 36, six servers chose a worse one than a bank that was fixed beforehand
has), so they choose among these three only, and where nothing is labelled all charts stay.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from agent.words import Bool
from trainer.anomaly.charts import ChartSpec
from trainer.data.history import Float64

FAST_RATE = 0.5
"""A chart is fast from this rate on."""
FAMILIES = ("all", "slow", "fast")


def family(name: str, charts: Sequence[ChartSpec]) -> list[int]:
    """Which of the charts belong to a family."""
    return [
        index for index, chart in enumerate(charts) if name == "all" or (chart.rate >= FAST_RATE) == (name == "fast")
    ]


def choose_family(
    charts: Sequence[ChartSpec], machines: Sequence[Float64], faulty: Sequence[Bool]
) -> tuple[str, Mapping[str, float]]:
    """The best family, and the mean average precision of each over the machines that show faults; ("all", {}) if none.

    machines  of each, float64 [T, J]: charts over their scales, rows that are judged
    faulty    bool [T]: rows in a labelled fault, or near a failure
    """
    labelled = [(s, which) for s, which in zip(machines, faulty, strict=True) if which.any() and not which.all()]
    found = {}
    for name in FAMILIES if labelled else ():
        if columns := family(name, charts):
            found[name] = float(np.mean([average_precision(s[:, columns].max(axis=1), which) for s, which in labelled]))
    return max(found, key=found.__getitem__, default="all"), found


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
