"""The table of the agent's own alerts at each threshold over the calibration devices."""

import math
from collections.abc import Sequence

import numpy as np

from agent.bundle.file import Bundle
from agent.bundle.manifest import ThresholdRow, ThresholdTable
from agent.replay.measure import EarlyWarning, Watched, measure, watched
from trainer.config import Judge
from trainer.data.history import History
from trainer.played import Played, play

ODDS_MIN, ODDS_MAX = -4.0, 6.0
"""Log-odds of the lowest and highest threshold: false alarms thin out where risk is near 1."""


def threshold_table(bundle: Bundle, histories: Sequence[History], judge: Judge) -> ThresholdTable:
    """Run the core over `histories` once a threshold."""
    rows = []
    for threshold in thresholds(judge.thresholds):
        found = early_warning(play(bundle, bundle.model, histories, threshold), histories, bundle, judge)
        rows.append(
            ThresholdRow(
                threshold=threshold,
                false_alarms=found.false_alarms,
                rate_upper95_per_s=found.false_alarms_per_s_upper95,
                detected=found.strict.detected,
                mean_lead_s=found.strict.mean_lead_s,
            )
        )
    return ThresholdTable(judge.h_max, judge.h_min, found.exposure_s, len(histories), tuple(rows))


def early_warning(played: Played, histories: Sequence[History], bundle: Bundle, judge: Judge) -> EarlyWarning:
    """The early-warning score of what was played."""
    return measure(fleet_of(played, histories, bundle), h_max_s=judge.h_max, h_min_s=judge.h_min)


def fleet_of(played: Played, histories: Sequence[History], bundle: Bundle) -> list[Watched]:
    """What was said of each device, beside what became of it."""
    every_s, events = bundle.manifest.cadence.every_s, played.alerts
    return [
        watched(one.device, one.t_s, every_s, one.t_fail, [event for event in events if event.device == one.device])
        for one in histories
    ]


def thresholds(n: int) -> list[float]:
    """n thresholds, even in log-odds, as float32 holds them."""
    return [float(np.float32(1 / (1 + math.exp(-odds)))) for odds in np.linspace(ODDS_MIN, ODDS_MAX, n).tolist()]
