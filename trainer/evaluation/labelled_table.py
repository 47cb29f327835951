"""A table of thresholds after people said which of its alerts were right.

The recording of the time in which the bundle ran is played through it, and the judge tries every threshold of its
table. What an alert of then means now:

- labelled good: an incident. Its span, and h_max before, is not normal; an alert in it is right, and its lead is the
  time to the end of the span, h_max at most;
- labelled bad, and all time in which no alert stood: normal. Nobody reported a fault there, so an alert that a lower
  threshold gives in it counts as false;
- without a label: nobody knows. Its span, and h_max before, is left out, unless the caller takes it for false.

Counts are added: false alarms and exposure, incidents and detections. That says the plant is as the calibration devices
were. Where its false alarms refute that (one-sided exact test of two Poisson rates at the threshold that the budget
had chosen, 5 %; Przyborowski and Wilenski, Biometrika 31 (1940), 313-323), the plant's own false alarms and exposure
stand alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from agent.bundle.manifest import ThresholdRow, ThresholdTable
from agent.score.early_warning import ObservedDevice, poisson_upper95
from agent.score.fault_intervals import LabelledDevice, measure
from trainer.data.alert_labels import AlertSpan, Verdict
from trainer.data.history import Float64, History
from trainer.evaluation.threshold_sweep import Rules, alerts_at

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Observed:
    """What the judge makes of the recording at each threshold, rising.

    exposure_s    normal time in all
    incidents     labelled good, and judged
    false_alarms, false_alarm_s, detected, lead_s  one a threshold; lead_s is the sum over the incidents
    """

    exposure_s: float
    incidents: int
    false_alarms: tuple[int, ...]
    false_alarm_s: tuple[float, ...]
    detected: tuple[int, ...]
    lead_s: tuple[float, ...]


def observe(
    table: ThresholdTable,
    rules: Rules,
    scores: Sequence[Float64],
    histories: Sequence[History],
    spans: Mapping[str, Sequence[AlertSpan]],
) -> Observed:
    """Judge the recording at each threshold of the table; a device is observed from its first row that is judged.

    scores  float64 [T] a history, NaN for a row that is not judged, see `alerts_at`
    spans   by the history's device: its alerts, which do not overlap
    """
    begins_s = [_first_judged_s(score, one, rules.every_s) for score, one in zip(scores, histories, strict=True)]
    abnormal = [
        _abnormal(spans.get(one.device, ()), begin_s, float(one.t_s[-1]), rules.h_max_s)
        for one, begin_s in zip(histories, begins_s, strict=True)
    ]
    good = {
        (one.device, start_s)
        for one, of_device in zip(histories, abnormal, strict=True)
        for start_s, _, verdict in of_device
        if verdict == "good"
    }
    results = []
    leads_s = []
    for fleet in alerts_at([row.threshold for row in table.rows], scores, histories, rules):
        labelled = [*map(_labelled, fleet, begins_s, abnormal)]
        results.append(measure(labelled, h_max_s=rules.h_max_s))
        right = [
            one for one in results[-1].intervals if one.outcome == "detected" and (one.device, one.start_s) in good
        ]
        leads_s.append([min(one.end_s - one.start_s - one.delay_s, rules.h_max_s) for one in right])
    return Observed(
        exposure_s=results[0].exposure_s,
        incidents=len(good),
        false_alarms=tuple(one.false_alarms for one in results),
        false_alarm_s=tuple(one.false_alarm_s for one in results),
        detected=tuple(map(len, leads_s)),
        lead_s=tuple(map(math.fsum, leads_s)),
    )


def is_refuted(n: int, exposure_s: float, n_before: int, exposure_before_s: float) -> bool:
    """Whether n false alarms in exposure_s > 0 are more than the rate of before, itself counted, can explain."""
    total, share = n + n_before, exposure_s / (exposure_s + exposure_before_s)
    logs = (
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)
        + k * math.log(share) + (total - k) * math.log1p(-share)
        for k in range(n, total + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, logs)) < ALPHA


def merged(table: ThresholdTable, observed: Observed, n_devices: int, *, is_alone: bool) -> ThresholdTable:
    """The table with what was observed of n_devices; is_alone: their false alarms and exposure stand alone."""
    exposure_s = observed.exposure_s + (0.0 if is_alone else table.exposure_s)
    counts_failures = table.basis != "normal" and table.failures is not None
    failures = (table.failures or 0) + observed.incidents if counts_failures else table.failures
    rows = []
    for place, row in enumerate(table.rows):
        n_false = observed.false_alarms[place] + (0 if is_alone else row.false_alarms)
        stood_s = None
        if is_alone or row.false_alarm_s is not None:
            stood_s = observed.false_alarm_s[place] + (0.0 if is_alone else row.false_alarm_s or 0.0)
        detected, lead_s = row.detected, row.mean_lead_s
        if counts_failures and failures:
            lead_s = (row.mean_lead_s * (table.failures or 0) + observed.lead_s[place]) / failures
            detected += observed.detected[place]
        upper95 = poisson_upper95(n_false) / exposure_s
        rows.append(ThresholdRow(row.threshold, n_false, upper95, detected, lead_s, stood_s))
    return msgspec.structs.replace(
        table,
        exposure_s=exposure_s,
        n_devices=table.n_devices + max(n_devices, observed.incidents),  # a device may have several incidents
        rows=tuple(rows),
        failures=failures,
    )


def _abnormal(
    spans: Sequence[AlertSpan], begin_s: float, end_s: float, h_max_s: float
) -> list[tuple[float, float, Verdict]]:
    """Start, end and verdict of what was not normal, each from h_max before its alert on, but not before the last one
    ended; alerts that were false are normal, and so what comes before their end.
    """
    abnormal: list[tuple[float, float, Verdict]] = []
    after_s = begin_s
    for span in sorted(spans, key=lambda span: span.raised_s):
        start_s = max(span.raised_s - h_max_s, after_s)
        after_s = min(end_s if span.cleared_s is None else span.cleared_s, end_s)
        if span.verdict != "bad" and start_s < after_s:
            abnormal.append((start_s, after_s, span.verdict))
    return abnormal


def _labelled(
    device: ObservedDevice, begin_s: float, abnormal: Sequence[tuple[float, float, Verdict]]
) -> LabelledDevice:
    faults = np.array([(start_s, end_s) for start_s, end_s, _ in abnormal], np.float64).reshape(-1, 2)
    return LabelledDevice(device.device, begin_s, device.end_s, faults, device.spells, device.stops)


def _first_judged_s(score: Float64, history: History, every_s: float) -> float:
    """One cadence before the first row that has a score, the last row's time where none has."""
    judged = np.flatnonzero(~np.isnan(score))
    return float(history.t_s[judged[0]]) - every_s if len(judged) else float(history.t_s[-1])
