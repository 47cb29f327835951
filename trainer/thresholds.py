"""The table of the agent's own alerts at each threshold over the calibration devices."""

import math
from collections.abc import Sequence

import numpy as np

from agent.bundle.file import Bundle
from agent.bundle.manifest import ThresholdRow, ThresholdTable
from trainer.data.history import History
from trainer.played import early_warning, play

ODDS_MIN, ODDS_MAX = -4.0, 6.0
"""Log-odds of the lowest and highest threshold: a risk of two in a hundred, and one where false alarms thin out."""


def threshold_table(bundle: Bundle, histories: Sequence[History], n: int) -> ThresholdTable:
    """Run the core over `histories` once for each of n thresholds, under the bundle's policy and windows."""
    rows = []
    for threshold in thresholds(n):
        found = early_warning(bundle, play(bundle, bundle.model, histories, threshold), histories)
        rows.append(
            ThresholdRow(
                threshold=threshold,
                false_alarms=found.false_alarms,
                rate_upper95_per_s=found.false_alarms_per_s_upper95,
                detected=found.strict.detected,
                mean_lead_s=found.strict.mean_lead_s,
            )
        )
    windows = bundle.manifest.thresholds
    return ThresholdTable(windows.h_max_s, windows.h_min_s, found.exposure_s, len(histories), tuple(rows))


def thresholds(n: int) -> list[float]:
    """n thresholds, even in log-odds, as float32 holds them."""
    return [float(np.float32(1 / (1 + math.exp(-odds)))) for odds in np.linspace(ODDS_MIN, ODDS_MAX, n).tolist()]
