"""Thresholds of the `anomaly` head: the bundle is played through the agent's core, and its judge tries each of them.

What they are chosen from is what is known of the calibration devices: failures, labelled fault intervals, or nothing,
when every alert on time that is taken for normal is a false one and nobody knows what is warned of.
"""

from collections.abc import Sequence

import numpy as np

from agent.bundle.file import Bundle
from agent.bundle.manifest import ThresholdTable
from trainer.anomaly.charts import ChartSpec
from trainer.anomaly.own_normal import quiet_rows
from trainer.config import Config
from trainer.data.history import Float64, History, normal_rows
from trainer.evaluation.incidents import incidents_as_text, without_incidents
from trainer.evaluation.interval_table import interval_table
from trainer.evaluation.judge_rules import anomaly_rules
from trainer.evaluation.normal_table import normal_table
from trainer.evaluation.playback import NEVER, play
from trainer.evaluation.threshold_sweep import Rules, judged_scores, table_at, thresholds_beyond


def anomaly_table(bundle: Bundle, histories: Sequence[History], config: Config) -> tuple[ThresholdTable, str]:
    """Play `histories` once, and judge at thresholds that follow their scores; also what to say of it, if anything."""
    assert bundle.manifest.anomaly is not None
    played, rules = play(bundle, bundle.model, histories, NEVER), anomaly_rules(config)
    pairs = [
        since_learnt(history, judged_scores(one, "anomaly", rules.policy))
        for history, one in zip(histories, played, strict=True)
    ]
    kept, scores = zip(*[(history, score) for history, score in pairs if len(score)], strict=True)
    if any(history.failed for history in kept):
        table = failure_table(scores, kept, rules)
        if table.failures:
            return table, ""
    normal = [normal_rows(history, rules.h_max_s) for history in kept]
    in_fault = [history.in_fault() & np.isfinite(score) for history, score in zip(kept, scores, strict=True)]
    if any(which.any() for which in in_fault) and any(which.any() for which in normal):
        return interval_table(scores, kept, rules), ""
    charts = [ChartSpec(one.residual, one.ahead, one.rate, one.mix) for one in bundle.manifest.anomaly.charts]
    quiet = [quiet_rows(history, rules.h_max_s, charts) for history in kept]
    of_normal = [np.where(which, score, np.nan) for which, score in zip(quiet, scores, strict=True)]
    trimmed = without_incidents(of_normal, kept, rules)
    return normal_table(trimmed.scores, kept, rules), incidents_as_text(trimmed, config.data.counts, len(kept))


def failure_table(scores: Sequence[Float64], histories: Sequence[History], rules: Rules) -> ThresholdTable:
    """At thresholds up to beyond the highest score of normal rows."""
    normal = [score[normal_rows(history, rules.h_max_s)] for history, score in zip(histories, scores, strict=True)]
    return table_at(thresholds_beyond(normal, rules.n_thresholds), scores, histories, rules)


def since_learnt(history: History, scores: Float64) -> tuple[History, Float64]:
    """From the first row with a score on: a device that learns gives no false alarm, and its time must not count."""
    first = int(np.argmax(np.isfinite(scores))) if np.isfinite(scores).any() else len(scores)
    return history.only(slice(first, None)), scores[first:]
