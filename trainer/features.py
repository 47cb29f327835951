"""What the LSTM reads of a row: scaled channels, two running means of them, and the time seen.

Written here over whole histories for training; `trainer/streaming.py` has the same recursions for one row, and a test
holds them equal. Everything looks back only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.errors import DataRefused
from agent.words import Bool, Float32
from trainer.config import Model
from trainer.data.history import History, failure_time


@dataclass(frozen=True, slots=True)
class Scaling:
    """z = (x - mean) / std, clipped at +-clip; mean and std float32 [F] over the rows of the fit devices."""

    mean: Float32
    std: Float32
    clip: float


@dataclass(frozen=True, slots=True)
class Life:
    """One history as the network sees it.

    z    float32 [T, F]  scaled and clipped, missing values filled
    age  float32 [T]     rows' worth of time seen, 1 at the first row
    left float32 [T]     seconds until the failure
    """

    z: Float32
    age: Float32
    left: Float32


@dataclass(frozen=True, slots=True)
class Batch:
    """Lives side by side, padded at their ends.

    inputs float32 [T, n, 3F + 1]; left float32 [T, n]; real bool [T, n], False where padded
    """

    inputs: Float32
    left: Float32
    real: Bool


def fit_scaling(histories: Sequence[History], names: Sequence[str], clip: float) -> Scaling:
    """Mean and standard deviation a channel. Raises DataRefused for one that says nothing."""
    rows = np.concatenate([history.x for history in histories]).astype(np.float64)
    for name, values in zip(names, rows.T, strict=True):
        if len(np.unique(values[~np.isnan(values)])) <= 2:
            what = f"channel {name!r} takes at most two values over the fit devices"
            raise DataRefused("data.channels", what, next_step="Leave it out: a scaled constant is noise.")
    mean, std = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    return Scaling(mean.astype(np.float32), std.astype(np.float32), clip)


def live(history: History, scaling: Scaling, model: Model) -> Life:
    """Scale a run-to-failure history and fill what is missing."""
    z = np.clip((history.x - scaling.mean) / scaling.std, -scaling.clip, scaling.clip)
    z = filled(z.astype(np.float32), min(model.mean_rates))
    age = 1 + (history.t_s - history.t_s[0]) / model.cadence
    left = history.life_left(failure_time(history))
    return Life(z, age.astype(np.float32), left.astype(np.float32))


def filled(z: Float32, rate: float) -> Float32:
    """float32 [T, F]: each missing value becomes the running mean of its channel so far, 0 at the first row."""
    if not np.isnan(z).any():
        return z
    z, mean, weight = z.copy(), np.zeros(z.shape[1], np.float32), 0.0
    for row in z:
        row[:] = np.where(np.isnan(row), mean, row)
        weight = (1 - rate) * weight + rate
        mean += np.float32(rate / weight) * (row - mean)
    return z


def running_mean(z: Float32, rate: float) -> Float32:
    """float32 [T, ...]: mean over the rows so far, weights falling by 1 - rate a row and made to sum to 1."""
    means, total, weight = np.empty_like(z), np.zeros_like(z[0]), 0.0
    for index, row in enumerate(z):
        total = np.float32(1 - rate) * total + np.float32(rate) * row
        weight = (1 - rate) * weight + rate
        means[index] = total / np.float32(weight)
    return means


def batch_of(lives: Sequence[Life], model: Model) -> Batch:
    """Pad to the longest life and add running means and age."""
    longest, n = max(len(life.z) for life in lives), len(lives)
    z = np.zeros((longest, n, lives[0].z.shape[1]), np.float32)
    age, left = np.zeros((2, longest, n), np.float32)
    real = np.zeros((longest, n), np.bool_)
    for column, life in enumerate(lives):
        rows = len(life.z)
        z[:rows, column], age[:rows, column], left[:rows, column] = life.z, life.age, life.left
        real[:rows, column] = True
    means = [running_mean(z, rate) for rate in model.mean_rates]
    seen = np.minimum(age / np.float32(model.age_unit), np.float32(model.clip_sigma))
    inputs = np.concatenate([z, *means, seen[:, :, None]], axis=2)  # [T, n, 3F + 1]
    return Batch(inputs, left, real)
