"""The figures of a method over its seeds, with intervals over devices, and beside the bundle device by device."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from agent.score.early_warning import BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED, Interval
from trainer.comparison.trial import Trial
from trainer.data.history import Float64

NOWHERE = Interval(math.nan, math.nan)


class MethodFigures(msgspec.Struct, frozen=True):
    """One line of the table; figures are means over the seeds. NaN (null in JSON) where there was nothing to warn of.

    seeds                 how often it was fitted; 1 for a method that draws nothing
    n_tried, settings     settings of its own parameters that were tried, and those taken, one a seed
    detected_at_equal     with the best threshold that the played devices allow at the asked rate (`Trial.n_at_equal`)
    calibrated_per_s      false alarms a second on the devices that chose the threshold
    over                  mean lead of the bundle over this one's, and its interval from devices drawn for both at once
    """

    method: str
    seeds: int
    n_tried: int
    settings: tuple[str, ...]
    events: int
    detected: float
    detection_rate: float
    detection_rate_95: Interval
    detected_at_equal: float
    mean_lead_s: float
    mean_lead_s_95: Interval
    median_lead_s: float
    false_alarms: float
    exposure_s: float
    false_alarms_per_s: float
    calibrated_per_s: float
    false_alarm_share: float
    over: float
    over_95: Interval


def figures_of(method: str, trials: Sequence[Trial], bundle: Sequence[Trial]) -> MethodFigures:
    """A method's trials, one a seed, beside those of the bundle; all of the same events."""
    first = trials[0]
    leads, detected = means(trials)
    weights = drawn_devices([one.device for one in first.outcomes])
    beside, _ = means(bundle)
    exposure_s = first.exposure_s
    return MethodFigures(
        method=method,
        seeds=len(trials),
        n_tried=first.n_tried,
        settings=tuple(trial.setting for trial in trials),
        events=len(leads),
        detected=float(detected.sum()),
        detection_rate=ratio(detected.sum(), len(leads)),
        detection_rate_95=interval(weights @ detected, weights.sum(axis=1)),
        detected_at_equal=float(np.mean([trial.n_at_equal for trial in trials])),
        mean_lead_s=ratio(leads.sum(), len(leads)),
        mean_lead_s_95=interval(weights @ leads, weights.sum(axis=1)),
        median_lead_s=float(np.median(leads)) if len(leads) else math.nan,
        false_alarms=float(np.mean([trial.false_alarms for trial in trials])),
        exposure_s=exposure_s,
        false_alarms_per_s=ratio(float(np.mean([trial.false_alarms for trial in trials])), exposure_s),
        calibrated_per_s=float(np.mean([trial.chosen.rate_per_s for trial in trials])),
        false_alarm_share=ratio(float(np.mean([trial.false_alarm_s for trial in trials])), exposure_s),
        over=ratio(beside.sum(), leads.sum()),
        over_95=interval(weights @ beside, weights @ leads),
    )


def means(trials: Sequence[Trial]) -> tuple[Float64, Float64]:
    """float64 [events] each: lead, and share of the seeds that detected it."""
    leads = np.array([[one.lead_s for one in trial.outcomes] for trial in trials])
    detected = np.array([[float(one.detected) for one in trial.outcomes] for trial in trials])
    return leads.mean(axis=0), detected.mean(axis=0)


def drawn_devices(devices: Sequence[str]) -> Float64:
    """float64 [BOOTSTRAP_SAMPLES, events]: how often each event's device is drawn; the same for every method."""
    names = sorted(set(devices))
    if not names:
        return np.zeros((BOOTSTRAP_SAMPLES, 0))
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=BOOTSTRAP_SAMPLES)
    place = {name: index for index, name in enumerate(names)}
    return drawn[:, [place[device] for device in devices]].astype(np.float64)


def interval(over: Float64, under: Float64) -> Interval:
    """95 % percentile interval of over / under [samples]; samples with nothing below are left out."""
    some = under > 0
    if not some.any():
        return NOWHERE
    low, high = np.quantile(over[some] / under[some], (0.025, 0.975))
    return Interval(float(low), float(high))


def ratio(over: float, under: float) -> float:
    return float(over / under) if under else math.nan
