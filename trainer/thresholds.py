"""The table of the agent's own alerts at each threshold over the calibration devices."""

import math
from collections.abc import Sequence

import numpy as np

from agent.bundle.file import Bundle
from agent.bundle.manifest import ThresholdRow, ThresholdTable
from agent.replay.measure import EarlyWarning
from trainer.data.history import History
from trainer.played import early_warning, play

ODDS_MIN, ODDS_MAX = -4.0, 6.0
"""Log-odds of the lowest and highest threshold: a risk of two in a hundred, and one where false alarms thin out."""


def threshold_table(bundle: Bundle, histories: Sequence[History], n: int) -> ThresholdTable:
    """Run the core over `histories` once for each of n thresholds, under the bundle's policy and windows."""
    tried = thresholds(n)
    found = [early_warning(bundle, play(bundle, bundle.model, histories, one), histories) for one in tried]
    return table_of(tried, found)


def table_of(tried: Sequence[float], found: Sequence[EarlyWarning]) -> ThresholdTable:
    """Thresholds, rising, beside what was found at each of them over the same devices."""
    rows = tuple(
        ThresholdRow(
            threshold=threshold,
            false_alarms=one.false_alarms,
            rate_upper95_per_s=one.false_alarms_per_s_upper95,
            detected=one.strict.detected,
            mean_lead_s=one.strict.mean_lead_s,
        )
        for threshold, one in zip(tried, found, strict=True)
    )
    first = found[0]
    return ThresholdTable(first.h_max_s, first.h_min_s, first.exposure_s, len(first.devices), rows)


def thresholds(n: int) -> list[float]:
    """n thresholds, even in log-odds, as float32 holds them."""
    return [float(np.float32(1 / (1 + math.exp(-odds)))) for odds in np.linspace(ODDS_MIN, ODDS_MAX, n).tolist()]
