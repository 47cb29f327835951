"""Figures of the whole bundle on devices that nothing was fitted to: probabilities, interval, remaining life."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from agent.bundle.manifest import Manifest
from agent.replay.play import PlayedDevice
from trainer.data.history import History
from trainer.exact import mean


class HorizonFigures(msgspec.Struct, frozen=True):
    """Brier score of the risk at one horizon beside that of always saying its base rate, over the rows that know it."""

    horizon_s: float
    base_rate: float
    brier: float
    brier_of_base_rate: float


class Figures(msgspec.Struct, frozen=True):
    """Over all rows of some devices; rows of one device are alike, so trust them to the number of devices.

    A device that did not fail answers for as long as its recording goes on: no fault by then, more life than that.

    rmse_s             of the remaining life, truth capped, all rows that know it
    interval_coverage  share of the rows within the cap whose truth lies in the interval
    interval_width_s   mean width of the interval over the same rows
    """

    n_devices: int
    n_rows: int
    rmse_s: float
    interval_coverage: float
    interval_width_s: float
    horizons: tuple[HorizonFigures, ...]


def figures(played: Sequence[PlayedDevice], histories: Sequence[History], manifest: Manifest) -> Figures:
    """Compare what was told with what became of the devices; the manifest has a `rul` head.

    Some of them failed, and within the cap of a row: else there is nothing to measure.
    """
    assert manifest.rul is not None
    cap_s = manifest.rul.cap_s
    left = np.concatenate([history.observed_left() for history in histories])
    failed = np.concatenate([np.full(len(history.t_s), history.failed) for history in histories])
    faults = [history.faults_within(manifest.risk.horizons_s) for history in histories]
    within_horizon, known = (np.concatenate(parts) for parts in zip(*faults, strict=True))  # [rows, horizons] each
    risk = np.concatenate([told.risk for told in played])
    low, centre, high = np.concatenate([told.rul for told in played]).T
    told, within = failed | (left >= cap_s), failed & (left <= cap_s)
    horizons = []
    for column, horizon_s in enumerate(manifest.risk.horizons_s):
        rows = known[:, column]
        faulty = within_horizon[rows, column]
        base = mean([faulty])
        brier = mean([(risk[rows, column] - faulty) ** 2])
        horizons.append(HorizonFigures(horizon_s, base, brier, base * (1 - base)))
    return Figures(
        n_devices=len(histories),
        n_rows=len(left),
        rmse_s=math.sqrt(mean([(centre - np.minimum(left, cap_s))[told] ** 2])),
        interval_coverage=mean([(low <= left)[within] & (left <= high)[within]]),
        interval_width_s=mean([(high - low)[within].astype(np.float64)]),
        horizons=tuple(horizons),
    )
