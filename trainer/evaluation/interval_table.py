"""Thresholds from labelled fault intervals: what of them was told, and what normal time between them cost."""

from collections.abc import Sequence

import numpy as np

from agent.bundle.manifest import ThresholdRow, ThresholdTable
from agent.errors import DataRefused
from agent.score.early_warning import ObservedDevice
from agent.score.fault_intervals import FaultDetection, LabelledDevice, measure
from trainer.data.history import Float64, History
from trainer.evaluation.threshold_sweep import BEYOND, Rules, alerts_at, beyond, thresholds_of_scores


def interval_table(scores: Sequence[Float64], histories: Sequence[History], rules: Rules) -> ThresholdTable:
    """What the agent's judge makes of the labelled faults of the histories at each threshold; basis is `intervals`.

    scores  float64 [T] a history, NaN for a row that is not judged, see `alerts_at`

    An alert tells of a fault from h_max of the rules before it to its end. Rows before the first one that is judged
    are not observed. The lead of an interval is the time from its first alert to its end, 0 where there is none:
    of two thresholds that tell of the same faults the one that tells sooner has the longer one. Raises DataRefused
    where there is no interval that could be told of, or no normal time. Thresholds follow all scores, and go beyond the
    highest of normal time.
    """
    normal = [score[~history.in_fault()] for score, history in zip(scores, histories, strict=True)]
    thresholds = thresholds_of_scores(scores, max(rules.n_thresholds - len(BEYOND), 2))
    thresholds = sorted({*thresholds, *beyond(thresholds_of_scores(normal, 2)[-1])})
    starts_s = [first_judged_s(score, history, rules.every_s) for score, history in zip(scores, histories, strict=True)]
    results = [
        measure([*map(labelled, fleet, histories, starts_s)], h_max_s=rules.h_max_s, early_s=rules.h_max_s)
        for fleet in alerts_at(thresholds, scores, histories, rules)
    ]
    first = results[0]
    if not first.faults or not first.exposure_s:
        nothing = "labelled fault begins" if not first.faults else "normal time is"
        what = f"no {nothing} in what was judged of the calibration machines: no threshold can be chosen from intervals"
        raise DataRefused("data.faults", what, next_step="Record longer, or deal out other machines with split.seed.")
    rows = tuple(
        ThresholdRow(
            threshold=threshold,
            false_alarms=result.false_alarms,
            rate_upper95_per_s=result.false_alarms_per_s_upper95,
            detected=result.strict.detected,
            mean_lead_s=mean_lead_s(result),
            false_alarm_s=result.false_alarm_s,
        )
        for threshold, result in zip(thresholds, results, strict=True)
    )
    return ThresholdTable(
        rules.h_max_s,
        rules.h_min_s,
        first.exposure_s,
        len(histories),
        rows,
        failures=first.faults,
        basis="intervals",
        window_s=window_s(first, rules.h_max_s),
    )


def first_judged_s(score: Float64, history: History, every_s: float) -> float:
    """When the observation of a device begins: one cadence before its first row that has a score, or at its end."""
    judged = np.flatnonzero(~np.isnan(score))
    return float(history.t_s[judged[0]]) - every_s if len(judged) else float(history.t_s[-1])


def labelled(device: ObservedDevice, history: History, start_s: float) -> LabelledDevice:
    faults = np.minimum(history.faults, device.end_s)  # the last one may have no end
    known = faults[faults[:, 0] < faults[:, 1]]
    return LabelledDevice(device.device, start_s, device.end_s, known, device.spells, device.stops)


def window_s(result: FaultDetection, early_s: float) -> float:
    """Mean time in which an alert tells of an interval."""
    lengths_s = [one.end_s - one.start_s for one in result.intervals if one.outcome != "cut_off"]
    return early_s + sum(lengths_s) / len(lengths_s)


def mean_lead_s(result: FaultDetection) -> float:
    told = [one for one in result.intervals if one.outcome == "detected"]
    return sum(one.end_s - one.start_s - one.delay_s for one in told) / result.faults
