"""What is normal for a device in its channels: mean and variance, learnt from its first rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.words import Bool
from trainer.data.history import Float64

VALUE_MAX, Z_MAX = 30.0, 6.0


@dataclass(frozen=True, slots=True)
class Learning:
    """How a device's own normal is learnt.

    rows      N: rows of a device from which it is learnt
    prior     nu: as many rows with the variance `variance` stand beside the device's own
    variance  f: that variance, in units of the pool's; two numbers that keep a channel which stands still while it
              is learnt from being infinitely sure
    floor     eps: least variance of a chart, in units of the channel's own
    """

    rows: int
    prior: float = 20.0
    variance: float = 0.1
    floor: float = 1e-5


@dataclass(frozen=True, slots=True)
class Moments:
    """Of each row, after it was counted: float64 [T, F] each, in pooled units; `z` is the row in own deviations."""

    y: Float64
    is_there: Bool
    mean: Float64
    variance: Float64
    z: Float64


def moments_of(x: npt.NDArray[np.floating], scale: Float64, offset: Float64, learning: Learning) -> Moments:
    """Scale rows [T, F] and learn their mean and variance from the first N.

    scale, offset float64 [F], or [T, F] where they follow the regime: pooled over the fit devices, scale 0 for a
    channel that is constant there. A missing value is the own mean: z = 0, and it teaches nothing.
    """
    is_there = np.isfinite(x)
    y = np.clip(np.where(is_there, x, 0.0) * scale + offset, -VALUE_MAX, VALUE_MAX)
    teaches = is_there & (np.arange(len(x)) < learning.rows)[:, None]
    mean, count = running_mean(y, teaches)
    before = np.concatenate((np.zeros((1, y.shape[1])), mean[:-1]))
    squares = np.cumsum(np.where(teaches, (y - before) * (y - mean), 0.0), axis=0)  # Welford
    variance = (squares + learning.prior * learning.variance) / (count + learning.prior)
    y = np.where(is_there, y, mean)
    return Moments(y, is_there, mean, variance, np.clip((y - mean) / np.sqrt(variance), -Z_MAX, Z_MAX))


def running_mean(values: Float64, counts: Bool) -> tuple[Float64, Float64]:
    """Mean float64 [T, F] of the values up to each row that `counts`, 0 before the first, and how many they are."""
    count = np.cumsum(counts, axis=0, dtype=np.float64)
    return np.cumsum(np.where(counts, values, 0.0), axis=0) / np.maximum(count, 1), count


def distance(moments: Moments, sensors: Bool) -> Float64:
    """float64 [T]: how far a device's own normal lies from the pool's, in the farthest channel; 0 = as the pool.

    The greater of how many pooled deviations the mean is off, and of the ratio of the deviations, less 1. No logarithm:
    in a graph its last bit would depend on the batch.
    """
    deviation = np.sqrt(moments.variance)
    off = np.maximum(np.abs(moments.mean), np.maximum(deviation, 1 / deviation) - 1)
    farthest: Float64 = np.where(sensors, off, 0.0).max(axis=1, initial=0.0)
    return farthest
