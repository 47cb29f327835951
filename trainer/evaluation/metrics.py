"""Figures of the whole bundle on devices that nothing was fitted to: probabilities, interval, remaining life."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from agent.bundle.manifest import Manifest
from agent.replay.inline import PlayedDevice
from trainer.data.history import History
from trainer.evaluation.device_bootstrap import mean
from trainer.evaluation.interval_coverage import IntervalCoverage, coverage_of
from trainer.evaluation.reliability import Bin, calibration_error, reliability


class HorizonFigures(msgspec.Struct, frozen=True):
    """The risk at one horizon, over the rows that know what followed.

    brier              its Brier score, beside that of always saying the base rate
    calibration_error  mean distance of what came true from what was said, over the bins
    bins               what was said and what came true, by tenths of the risk
    """

    horizon_s: float
    base_rate: float
    brier: float
    brier_of_base_rate: float
    calibration_error: float
    bins: tuple[Bin, ...]


class Figures(msgspec.Struct, frozen=True):
    """Over all rows of some devices; rows of one device are alike, so trust them to the number of devices.

    A device that did not fail answers for as long as its recording goes on: no fault by then, more life than that.

    rmse_s              of the remaining life, truth capped, all rows that know it
    rmse_of_constant_s  of the constant that is best on these very rows: an estimate that knows nothing
    interval            how often it holds the truth, over the rows within the cap
    """

    n_devices: int
    n_rows: int
    rmse_s: float
    rmse_of_constant_s: float
    interval: IntervalCoverage
    horizons: tuple[HorizonFigures, ...]


def figures(played: Sequence[PlayedDevice], histories: Sequence[History], manifest: Manifest) -> Figures:
    """Compare scores with what became of the devices; the manifest has a `rul` head.

    Some of them failed, and within the cap of a row: else there is nothing to measure.
    """
    assert manifest.rul is not None
    cap_s = manifest.rul.cap_s
    left = np.concatenate([history.observed_left() for history in histories])
    of_device = np.repeat(np.arange(len(histories)), [len(history.t_s) for history in histories])
    failed = np.array([history.failed for history in histories])[of_device]
    faults = [history.faults_within(manifest.horizons_s) for history in histories]
    within_horizon, is_known = (np.concatenate(parts) for parts in zip(*faults, strict=True))  # [rows, horizons] each
    risk = np.concatenate([device.risk for device in played])
    rul = np.concatenate([device.rul for device in played])
    is_measured, within = failed | (left >= cap_s), failed & (left <= cap_s)
    capped = np.minimum(left, cap_s)[is_measured]
    horizons = []
    for column, horizon_s in enumerate(manifest.horizons_s):
        rows = is_known[:, column]
        faulty = within_horizon[rows, column]
        base = mean([faulty])
        brier = mean([(risk[rows, column] - faulty) ** 2])
        bins = reliability(risk[rows, column], faulty, of_device[rows], len(histories))
        horizons.append(
            HorizonFigures(horizon_s, base, brier, base * (1 - base), calibration_error(bins), bins),
        )
    return Figures(
        n_devices=len(histories),
        n_rows=len(left),
        rmse_s=math.sqrt(mean([(rul[is_measured, 1] - capped) ** 2])),
        rmse_of_constant_s=math.sqrt(mean([(capped - mean([capped])) ** 2])),
        interval=coverage_of(rul[within], left[within], of_device[within], len(histories), cap_s),
        horizons=tuple(horizons),
    )
