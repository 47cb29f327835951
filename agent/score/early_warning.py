"""The early-warning score: how often, how soon and at what price in false alarms a detector warned.

With H_min < H_max an alert is *true* when it is raised within [t_fail - H_max, t_fail - H_min]; raised later it is
*late*, and counted apart; raised earlier, or on a device that does not fail, it is a *false alarm*. An alert means
"within H_max": a false one that stands for longer counts once more for each H_max that it stands before
t_fail - H_max or the end of the recording; stops of the machine do not count. The lead of a failure is t_fail - first
true raise, 0 when there is none: that is the *strict* column. In the *lenient* column an early alert that still stands
at t_fail - H_max is a detection with lead H_max; false alarms are the same in both.

A failure counts when the recording shows a part of its window and its end, that is t_fail - H_min lies within it;
of a device cut off before, only false alarms and exposure count. Times are seconds; where a bundle counts cycles, a
second is a cycle. Few devices prove little, so every figure comes with its 95 % interval.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt

from agent.judge.chance import by_chance
from agent.judge.threshold import ROUNDING
from agent.score.stops import covered_s, no_stops
from agent.words import AlertEvent

Float64 = npt.NDArray[np.float64]
Outcome = Literal["detected", "missed", "did_not_fail", "cut_off"]

BOOTSTRAP_SAMPLES = 2000
BOOTSTRAP_SEED = 0
_Z95 = 1.959963984540054  # two-sided 95 % of the normal distribution


@dataclass(frozen=True, slots=True)
class Spell:
    """One alert: it stands from `raised_s` until just before `cleared_s`, which is infinite when it never ended."""

    raised_s: float
    cleared_s: float = math.inf


@dataclass(frozen=True, slots=True)
class ObservedDevice:
    """What a detector said of one device, and what became of it.

    start_s, end_s  the time observed: from one cadence before the first row to the last row
    t_fail_s        when it failed, infinite when it did not
    spells          its alerts in the order of their raises
    stops           float64 [n, 2]: when it stood, as planned (agent.score.stops)
    """

    device: str
    start_s: float
    end_s: float
    t_fail_s: float
    spells: tuple[Spell, ...]
    stops: Float64 = field(default_factory=no_stops, compare=False)

    @property
    def exposure_s(self) -> float:
        """Time in which a false alarm could have come."""
        return max(self.ran_s(self.start_s, min(self.end_s, self.t_fail_s)), 0.0)

    def ran_s(self, start_s: float, end_s: float) -> float:
        """Time between two times less that of stops."""
        return end_s - start_s - covered_s(self.stops, start_s, end_s)


class Interval(msgspec.Struct, frozen=True):
    """A 95 % confidence interval; NaN (null in JSON) where there is nothing to estimate from."""

    low: float
    high: float


class Column(msgspec.Struct, frozen=True):
    """Detection and lead over the failures. Means and medians count a missed failure as lead 0."""

    detected: int
    detection_rate: float
    detection_rate_95: Interval
    mean_lead_s: float
    mean_lead_s_95: Interval
    median_lead_s: float
    median_lead_s_95: Interval
    missed: tuple[str, ...]


class DeviceResult(msgspec.Struct, frozen=True):
    """One device and what its alerts were worth.

    false_alarm_s    how long its false alarms, which never overlap, stood before t_fail - H_max
    raised_before_s  how long before the failure each alert was raised, in the order of time, negative = after it;
                     empty for a device that did not fail
    """

    device: str
    outcome: Outcome
    lead_s: float
    lenient_detected: bool
    lenient_lead_s: float
    true_alerts: int
    late_alerts: int
    false_alarms: int
    false_alarm_s: float
    exposure_s: float
    raised_before_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FalseAlarmRate:
    """How often false alarms came over the exposure, and the share of it that they stood; NaN without exposure."""

    per_s: float
    per_s_upper95: float
    share: float

    @classmethod
    def of(cls, false_alarms: int, false_alarm_s: float, exposure_s: float) -> Self:
        figures = (false_alarms, poisson_upper95(false_alarms), false_alarm_s)
        return cls(*(figure / exposure_s if exposure_s else math.nan for figure in figures))


class EarlyWarning(msgspec.Struct, frozen=True):
    """The early-warning score of one detector over some devices.

    false_alarm_s, false_alarm_share  how long false alarms stood, and that over the exposure
    by_chance                         failures that as many alarms at random times would warn of
    """

    h_max_s: float
    h_min_s: float
    failures: int
    exposure_s: float
    false_alarms: int
    false_alarms_per_s: float
    false_alarms_per_s_upper95: float
    false_alarm_s: float
    false_alarm_share: float
    by_chance: float
    late: tuple[str, ...]
    strict: Column
    lenient: Column
    devices: tuple[DeviceResult, ...]


def spells_of(events: Iterable[AlertEvent]) -> tuple[Spell, ...]:
    """The alerts of one device, in the order of their raises, from its events."""
    spells: dict[str, Spell] = {}
    for event in events:
        if event.kind == "raised":
            spells[event.alert] = Spell(event.t_ns / 1e9)
        elif event.kind == "cleared" and event.alert in spells:
            spells[event.alert] = replace(spells[event.alert], cleared_s=event.t_ns / 1e9)
    return tuple(sorted(spells.values(), key=lambda spell: spell.raised_s))


def observed_device(
    device: str,
    t_s: Float64,
    every_s: float,
    t_fail_s: float | None,
    spells: Iterable[Spell],
    stops: Float64 | None = None,
) -> ObservedDevice:
    """A device by the times of its rows, float64 [T >= 1], and the cadence; `spells` in the order of their raises."""
    t_fail = math.inf if t_fail_s is None else t_fail_s
    stood = no_stops() if stops is None else stops
    return ObservedDevice(device, float(t_s[0]) - every_s, float(t_s[-1]), t_fail, tuple(spells), stood)


def measure(fleet: Sequence[ObservedDevice], *, h_max_s: float, h_min_s: float) -> EarlyWarning:
    """The early-warning score over distinct devices. Raises ValueError unless 0 <= h_min_s < h_max_s."""
    if not 0 <= h_min_s < h_max_s:
        raise ValueError(f"h_min_s is {h_min_s}, must be at least 0 and below h_max_s ({h_max_s})")
    if len({one.device for one in fleet}) < len(fleet):
        raise ValueError("a device is there twice")
    devices = tuple(_result_of(one, h_max_s, h_min_s) for one in fleet)
    failed = [one for one in devices if one.outcome in ("detected", "missed")]
    exposure_s = math.fsum(one.exposure_s for one in devices)
    false_alarms = sum(one.false_alarms for one in devices)
    false_alarm_s = math.fsum(one.false_alarm_s for one in devices)
    rate = FalseAlarmRate.of(false_alarms, false_alarm_s, exposure_s)
    alarms = false_alarms + sum(one.outcome == "detected" for one in failed)
    return EarlyWarning(
        h_max_s=h_max_s,
        h_min_s=h_min_s,
        failures=len(failed),
        exposure_s=exposure_s,
        false_alarms=false_alarms,
        false_alarms_per_s=rate.per_s,
        false_alarms_per_s_upper95=rate.per_s_upper95,
        false_alarm_s=false_alarm_s,
        false_alarm_share=rate.share,
        by_chance=by_chance(alarms, exposure_s, [h_max_s - h_min_s] * len(failed)),
        late=tuple(one.device for one in devices if one.late_alerts),
        strict=_column({one.device: one.lead_s for one in failed if one.outcome == "detected"}, failed),
        lenient=_column({one.device: one.lenient_lead_s for one in failed if one.lenient_detected}, failed),
        devices=devices,
    )


def _result_of(device: ObservedDevice, h_max_s: float, h_min_s: float) -> DeviceResult:
    opens_s, closes_s = device.t_fail_s - h_max_s, device.t_fail_s - h_min_s  # infinite for a device that did not fail
    true = [spell for spell in device.spells if opens_s <= spell.raised_s <= closes_s]
    late = [spell for spell in device.spells if spell.raised_s > closes_s]
    early = [spell for spell in device.spells if spell.raised_s < opens_s]
    stood_s = [
        device.ran_s(spell.raised_s, min(spell.cleared_s, opens_s, max(device.end_s, spell.raised_s)))
        for spell in early
    ]
    lead_s = device.t_fail_s - true[0].raised_s if true else 0.0
    stands = any(spell.cleared_s > opens_s for spell in early)
    outcome: Outcome = "detected" if true else "missed"
    if math.isinf(device.t_fail_s):
        outcome = "did_not_fail"
    elif not device.start_s < closes_s <= device.end_s:
        outcome = "cut_off"
    counts = outcome in ("detected", "missed")
    return DeviceResult(
        device=device.device,
        outcome=outcome,
        lead_s=lead_s if counts else math.nan,
        lenient_detected=counts and (stands or bool(true)),
        lenient_lead_s=(h_max_s if stands else lead_s) if counts else math.nan,
        true_alerts=len(true),
        late_alerts=len(late),
        false_alarms=sum(n_false_alarms(each_s, h_max_s) for each_s in stood_s),
        false_alarm_s=math.fsum(stood_s),
        exposure_s=device.exposure_s,
        raised_before_s=()
        if outcome == "did_not_fail"
        else tuple(device.t_fail_s - one.raised_s for one in device.spells),
    )


def n_false_alarms(stood_s: float, h_max_s: float) -> int:
    """How often an alert was wrong that stood for `stood_s` >= 0 before a failure could be `h_max_s` > 0 away."""
    return max(1, math.ceil(stood_s / h_max_s * (1 - ROUNDING)))


def _column(leads_s: Mapping[str, float], failed: Sequence[DeviceResult]) -> Column:
    """Figures of one column; `leads_s` holds the lead of each detected one of the failures."""
    lead_s = np.array([leads_s.get(one.device, 0.0) for one in failed], np.float64)
    mean, median = bootstrap95(lead_s)
    return Column(
        detected=len(leads_s),
        detection_rate=len(leads_s) / len(failed) if failed else math.nan,
        detection_rate_95=wilson95(len(leads_s), len(failed)),
        mean_lead_s=float(lead_s.mean()) if failed else math.nan,
        mean_lead_s_95=mean,
        median_lead_s=float(np.median(lead_s)) if failed else math.nan,
        median_lead_s_95=median,
        missed=tuple(one.device for one in failed if one.device not in leads_s),
    )


def bootstrap95(of_device: Float64) -> tuple[Interval, Interval]:
    """Percentile intervals of mean and median over devices drawn anew (Efron and Tibshirani 1993, chapter 13).

    of_device float64 [n]: a lead, or a paired difference, of each device.
    """
    if not len(of_device):
        return Interval(math.nan, math.nan), Interval(math.nan, math.nan)
    drawn = np.random.default_rng(BOOTSTRAP_SEED).integers(len(of_device), size=(BOOTSTRAP_SAMPLES, len(of_device)))
    samples = np.sort(of_device)[drawn]  # [BOOTSTRAP_SAMPLES, failures]; sorted, so that no order of devices matters
    bounds = [np.quantile(figure, (0.025, 0.975)) for figure in (samples.mean(axis=1), np.median(samples, axis=1))]
    mean, median = (Interval(float(low), float(high)) for low, high in bounds)
    return mean, median


def wilson95(hits: int, n: int) -> Interval:
    """95 % interval of a share, sound at 0, at n and for small n (E. B. Wilson, J. Am. Stat. Assoc. 22 (1927), 209)."""
    if n == 0:
        return Interval(math.nan, math.nan)
    share, z2 = hits / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Interval(0.0 if hits == 0 else centre - half, 1.0 if hits == n else centre + half)


def poisson_upper95(count: int) -> float:
    """One-sided 95 % upper bound of a Poisson mean after `count` events: 3.0 for none (the rule of three).

    The mean at which `count` or fewer events have probability 0.05 (Garwood, Biometrika 28 (1936), 437-442), by
    bisection, so that it needs no scipy on a gateway.
    """
    k = np.arange(count + 1)
    log_factorial = np.cumsum(np.log(np.maximum(k, 1)))
    low, high = float(count), count + 3 * math.sqrt(count + 1) + 3
    while high - low > 1e-12 * high:
        mean = (low + high) / 2
        at_most_count = np.exp(k * math.log(mean) - mean - log_factorial).sum()
        if at_most_count > 0.05:
            low = mean
        else:
            high = mean
    return (low + high) / 2
