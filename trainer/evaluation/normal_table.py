"""Thresholds from normal time alone: nobody knows of a fault there, so every alert is a false one.

Time counts where a row was judged. A clock that stands still while a device learns, in a labelled fault, or in what was
left out as an incident goes beside the event times: alerts are raised and cleared by event time, and measured by it.
"""

import math
from collections.abc import Sequence

import numpy as np

from agent.bundle.manifest import ThresholdTable
from agent.errors import DataRefused
from agent.score.early_warning import ObservedDevice, Spell
from trainer.data.history import Float64, History
from trainer.evaluation.threshold_sweep import Rules, alerts_at, early_warning, table_of, thresholds_of_scores

GAP_CADENCES = 2
"""A row speaks of no more time than this many cadences before it: what was before that is a gap."""


def normal_table(scores: Sequence[Float64], histories: Sequence[History], rules: Rules) -> ThresholdTable:
    """What the agent's judge makes of normal time at each threshold: `detected` and leads are 0, basis is `normal`.

    scores  float64 [T] a history, NaN for a row that is not judged or is not taken for normal, see `alerts_at`

    An alert that stands longer than h_max of the rules counts again for each h_max. Failures and labels of the
    histories are not looked at. Raises DataRefused where no row is left.
    """
    clocks = [normal_clock(score, history, rules.every_s) for score, history in zip(scores, histories, strict=True)]
    if not any(clock[-1] > 0 for clock in clocks):
        what = "no row of the calibration machines is normal and judged: no threshold can be chosen from them"
        raise DataRefused("data", what, next_step="Record longer, learn for a shorter time, or check the labels.")
    thresholds = thresholds_of_scores(scores, rules.n_thresholds)
    results = [
        early_warning([*map(by_clock, fleet, histories, clocks)], rules)
        for fleet in alerts_at(thresholds, scores, histories, rules)
    ]
    return table_of(thresholds, results, failures=0, basis="normal")


def normal_clock(score: Float64, history: History, every_s: float) -> Float64:
    """float64 [T]: seconds of normal time up to each row, which grow at rows that have a score."""
    since_s = np.minimum(np.diff(history.t_s, prepend=history.t_s[0] - every_s), GAP_CADENCES * every_s)
    return np.cumsum(np.where(np.isnan(score), 0.0, since_s))


def by_clock(device: ObservedDevice, history: History, clock: Float64) -> ObservedDevice:
    """The device with the times of its alerts by the clock, as one that never fails."""

    def at(time_s: float) -> float:
        return float(np.interp(time_s, history.t_s, clock)) if math.isfinite(time_s) else math.inf

    spells = tuple(Spell(at(spell.raised_s), at(spell.cleared_s)) for spell in device.spells)
    return ObservedDevice(device.device, 0.0, float(clock[-1]), math.inf, spells)
