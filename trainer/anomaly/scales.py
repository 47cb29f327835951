"""The scale of each chart: what normal time exceeds equally often in every chart, counted in stretches.

`anomaly` is the greatest chart over its scale, so the scales decide which chart gives how many of the false alarms. A
share of the rows would favour charts that follow single rows: where a slow chart is over its scale for a hundred rows
at once, a fast one is so a hundred times, and each time an alarm. So highest rows of stretches are compared.
"""

from collections.abc import Sequence

import numpy as np

from trainer.data.history import Float64

STRETCH_ROWS = 64
STRETCH_SHARE = 0.05
"""Of the stretches, and at least the highest: a few may be faults that nobody knows of."""
SCALE_MIN = 1e-6


def scales_of(normal: Sequence[Float64]) -> tuple[float, ...]:
    """Of each chart the value that its highest row in a stretch of normal rows seldom exceeds.

    normal  of each device the charts of its normal rows, float64 [T, J]; at least one row in all
    """
    highest = np.concatenate([
        np.maximum.reduceat(rows, np.arange(0, len(rows), STRETCH_ROWS), axis=0) for rows in normal if len(rows)
    ])  # fmt: skip
    rank = max(1, round(STRETCH_SHARE * len(highest)))
    return tuple(np.maximum(np.sort(highest, axis=0)[-rank], SCALE_MIN).tolist())
