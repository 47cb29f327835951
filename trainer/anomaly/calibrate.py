"""Thresholds of the `anomaly` head: the bundle is played through the agent's core, and its judge tries each of them.

What they are chosen from is what is known of the calibration devices: failures, labelled fault intervals, or nothing,
when every alert on time that is taken for normal is a false one and nobody knows what is warned of.
"""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from agent.bundle.file import Bundle
from agent.bundle.manifest import ThresholdTable
from agent.replay.inline import PlayedDevice
from agent.words import Quality
from trainer.config import Config
from trainer.data.history import Float64, History, normal_rows
from trainer.evaluation.playback import play
from trainer.evaluation.threshold_sweep import Rules, table_at, thresholds_of_scores

NOTHING_RAISES = 1e30
BEYOND = (1.05, 1.25, 1.5, 2.0, 4.0)
"""Thresholds above the highest score of normal time, as multiples of it: an alert there was never seen."""


def anomaly_table(bundle: Bundle, histories: Sequence[History], config: Config) -> ThresholdTable:
    """Play `histories` once, and judge at thresholds that follow the scores of their normal rows."""
    assert bundle.manifest.anomaly is not None
    played = play(bundle, bundle.model, histories, NOTHING_RAISES)
    judged = [since_learnt(history, scores_of(one)) for history, one in zip(histories, played, strict=True)]
    rules = rules_of_anomaly(bundle, config)
    kept = [(history, scores) for history, scores in judged if len(scores)]
    normal = [scores[normal_rows(history, rules.h_max_s)] for history, scores in kept]
    thresholds = thresholds_of_scores(normal, rules.n_thresholds - len(BEYOND))
    thresholds += [float(np.float32(thresholds[-1] * factor)) for factor in BEYOND]
    if any(history.failed for history, _ in kept):
        return table_at(thresholds, [scores for _, scores in kept], [history for history, _ in kept], rules)
    normal_time = [
        (replace(history, t_fail=None, faults=history.faults[:0]), np.where(which, scores, np.nan))
        for (history, scores), which in zip(
            kept, (normal_rows(history, rules.h_max_s) for history, _ in kept), strict=True
        )
    ]
    table = table_at(thresholds, [scores for _, scores in normal_time], [history for history, _ in normal_time], rules)
    rows = tuple(msgspec.structs.replace(row, detected=0, mean_lead_s=0.0) for row in table.rows)
    return msgspec.structs.replace(table, rows=rows, basis="normal")


def rules_of_anomaly(bundle: Bundle, config: Config) -> Rules:
    assert bundle.manifest.anomaly is not None
    every_s, h_min_s = bundle.manifest.cadence.every_s, config.judge.h_min
    return Rules(bundle.manifest.anomaly.policy, every_s, config.anomaly_h_max, h_min_s, config.anomaly.thresholds)


def scores_of(played: PlayedDevice) -> Float64:
    """float64 [T]: the anomaly, NaN for a row that the judge does not count and while the head warms up."""
    anomaly = played.outputs["anomaly"][:, 0]
    return np.where((played.quality == Quality.OK) & (anomaly >= 0), anomaly, np.nan).astype(np.float64)


def since_learnt(history: History, scores: Float64) -> tuple[History, Float64]:
    """From the first row with a score on: a device that learns gives no false alarm, and its time must not count."""
    first = int(np.argmax(np.isfinite(scores))) if np.isfinite(scores).any() else len(scores)
    return history.only(slice(first, None)), scores[first:]
