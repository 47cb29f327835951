"""How often, how soon and at what price in false alarms a detector told of faults that are labelled as intervals.

A fault interval [start, end) is *detected* by an alert that is raised in [start - early, end); its delay is from the
start to the first such raise, negative where it came before. An alert raised anywhere else is a *false alarm*. Where a
false one still stands when a fault starts, the interval is *standing*: nobody was told anew, so it is missed in the
strict column and detected with delay 0 in the lenient one.

An alert means "a fault is there, or within h_max": a false one counts once more for each h_max of normal time that it
stands. One that was right may stand for h_max of normal time after its interval; from then on it counts as a false one
does, since an alert that never ends tells of nothing. Normal time, and so the exposure, is what was observed outside of
all intervals. An interval that began before the observation is *cut off*: it is neither detected nor missed, and no
alert in it is false.

Every device counts for itself, also where an incident strikes many at once: an alert is of one device, and that is what
its reader sees. Times are seconds; where a bundle counts cycles, a second is a cycle.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np

from agent.judge.chance import by_chance
from agent.score.early_warning import (
    FalseAlarmRate,
    Float64,
    Interval,
    Spell,
    bootstrap95,
    n_false_alarms,
    wilson95,
)
from agent.score.stops import covered_s, no_stops

IntervalOutcome = Literal["detected", "standing", "missed", "cut_off"]


@dataclass(frozen=True, slots=True)
class LabelledDevice:
    """What a detector said of one device, and when it was not normal.

    start_s, end_s  the time observed: from one cadence before the first row to the last row
    faults          float64 [n, 2]: intervals [start_s, end_s), rising, not overlapping
    spells          its alerts in the order of their raises
    stops           float64 [n, 2]: when it stood, as planned, which is no normal time (agent.score.stops)
    """

    device: str
    start_s: float
    end_s: float
    faults: Float64
    spells: tuple[Spell, ...]
    stops: Float64 = field(default_factory=no_stops, compare=False)

    def normal_s(self, start_s: float, end_s: float) -> float:
        """Normal time between two times, within what was observed; 0 where they are the wrong way round."""
        start_s, end_s = max(start_s, self.start_s), min(end_s, self.end_s)
        if end_s <= start_s:
            return 0.0
        if len(self.stops):
            return end_s - start_s - covered_s(np.concatenate((self.faults, self.stops)), start_s, end_s)
        faulty = np.minimum(self.faults[:, 1], end_s) - np.maximum(self.faults[:, 0], start_s)
        return max(end_s - start_s - float(np.maximum(faulty, 0).sum()), 0.0)


class FaultResult(msgspec.Struct, frozen=True):
    """One interval; `delay_s` is NaN (null in JSON) unless it was detected."""

    device: str
    start_s: float
    end_s: float
    outcome: IntervalOutcome
    delay_s: float


class FaultColumn(msgspec.Struct, frozen=True):
    """Detection over the intervals that count, and delay over those that were detected."""

    detected: int
    detection_rate: float
    detection_rate_95: Interval
    mean_delay_s: float
    mean_delay_s_95: Interval
    median_delay_s: float
    median_delay_s_95: Interval


class FaultDetection(msgspec.Struct, frozen=True):
    """The score of one detector over some devices.

    exposure_s        normal time observed
    by_chance         intervals that as many alarms at random times would tell of
    false_alarm_s     how long alerts stood in normal time that were false, or that had outlived their interval by h_max
    """

    h_max_s: float
    early_s: float
    faults: int
    exposure_s: float
    false_alarms: int
    false_alarms_per_s: float
    false_alarms_per_s_upper95: float
    false_alarm_s: float
    false_alarm_share: float
    by_chance: float
    strict: FaultColumn
    lenient: FaultColumn
    intervals: tuple[FaultResult, ...]


def measure(fleet: Sequence[LabelledDevice], *, h_max_s: float, early_s: float = 0.0) -> FaultDetection:
    """The score over distinct devices. Raises ValueError unless h_max_s > 0, early_s >= 0 and intervals rise."""
    if not (h_max_s > 0 and early_s >= 0):
        raise ValueError(f"h_max_s is {h_max_s}, must be above 0; early_s is {early_s}, must be at least 0")
    if len({one.device for one in fleet}) < len(fleet):
        raise ValueError("a device is there twice")
    for one in fleet:
        if (np.diff(one.faults.ravel()) < 0).any():
            raise ValueError(f"device {one.device}: its fault intervals overlap or are not in the order of time")
    intervals = tuple(result for one in fleet for result in _intervals_of(one, early_s))
    false_s = [stood_s for one in fleet for stood_s in _false_s(one, h_max_s, early_s)]
    exposure_s = math.fsum(one.normal_s(one.start_s, one.end_s) for one in fleet)
    false_alarms, false_alarm_s = sum(n_false_alarms(each_s, h_max_s) for each_s in false_s), math.fsum(false_s)
    rate = FalseAlarmRate.of(false_alarms, false_alarm_s, exposure_s)
    counted = [one for one in intervals if one.outcome != "cut_off"]
    delays_s = [one.delay_s for one in counted if one.outcome == "detected"]
    standing = [0.0 for one in counted if one.outcome == "standing"]
    return FaultDetection(
        h_max_s=h_max_s,
        early_s=early_s,
        faults=len(counted),
        exposure_s=exposure_s,
        false_alarms=false_alarms,
        false_alarms_per_s=rate.per_s,
        false_alarms_per_s_upper95=rate.per_s_upper95,
        false_alarm_s=false_alarm_s,
        false_alarm_share=rate.share,
        by_chance=_by_chance(counted, false_alarms, exposure_s, early_s),
        strict=_column(delays_s, len(counted)),
        lenient=_column(delays_s + standing, len(counted)),
        intervals=intervals,
    )


def _by_chance(counted: Sequence[FaultResult], false_alarms: int, exposure_s: float, early_s: float) -> float:
    lengths_s = [one.end_s - one.start_s for one in counted]
    alarms = false_alarms + sum(one.outcome == "detected" for one in counted)
    watched_s = exposure_s + math.fsum(lengths_s)
    return by_chance(alarms, watched_s, [early_s + length_s for length_s in lengths_s])


def _intervals_of(device: LabelledDevice, early_s: float) -> list[FaultResult]:
    results = []
    after_s = -math.inf  # an alert tells of one interval, so `early` does not reach into the one before
    for start_s, end_s in device.faults.tolist():
        from_s = max(start_s - early_s, after_s)
        raises_s = [one.raised_s for one in device.spells if from_s <= one.raised_s < end_s]
        stands = any(one.raised_s < from_s and one.cleared_s > start_s for one in device.spells)
        outcome: IntervalOutcome = "detected" if raises_s else "standing" if stands else "missed"
        if start_s < device.start_s or start_s > device.end_s:
            outcome = "cut_off"
        delay_s = raises_s[0] - start_s if outcome == "detected" else math.nan
        results.append(FaultResult(device.device, start_s, end_s, outcome, delay_s))
        after_s = end_s
    return results


def _false_s(device: LabelledDevice, h_max_s: float, early_s: float) -> list[float]:
    """How long each alert stood in normal time that was false, or outlived what it told of by more than h_max."""
    stood_s = []
    for spell in device.spells:
        until_s = min(spell.cleared_s, device.end_s)
        detected = (device.faults[:, 0] - early_s <= spell.raised_s) & (spell.raised_s < device.faults[:, 1])
        if not detected.any():
            stood_s.append(device.normal_s(spell.raised_s, until_s))
        else:
            rest_s = device.normal_s(float(device.faults[detected, 1].min()), until_s) - h_max_s
            stood_s += [rest_s] if rest_s > 0 else []
    return stood_s


def _column(delays_s: Sequence[float], n_faults: int) -> FaultColumn:
    delay_s = np.array(delays_s, np.float64)
    mean, median = bootstrap95(delay_s)
    return FaultColumn(
        detected=len(delay_s),
        detection_rate=len(delay_s) / n_faults if n_faults else math.nan,
        detection_rate_95=wilson95(len(delay_s), n_faults),
        mean_delay_s=float(delay_s.mean()) if len(delay_s) else math.nan,
        mean_delay_s_95=mean,
        median_delay_s=float(np.median(delay_s)) if len(delay_s) else math.nan,
        median_delay_s_95=median,
    )
