"""What the network reads of a row: scaled channels, two running means of them, the time seen, and facts of the device:
whether it was new when first seen, its operating regime, its type.

Here they are computed over histories, a chunk of rows at a time; `trainer/export/streaming.py` has the same
recursions for one row, and a test holds them equal. Everything looks back only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.errors import DataRefused
from agent.words import Bool, Float32
from trainer.config import Config, Model
from trainer.data.history import History
from trainer.model.regimes import Groups, fit_groups, one_hot

ROUNDING = 1e-3
"""Two values that are closer than this share of themselves are one value and its last digit (P15 of C-MAPSS)."""
HANDFUL_ROWS = 5
HANDFUL_SHARE = 0.01
"""A channel that has its second value in so few rows has no second value to learn from."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """z = x * scale + offset by the row's regime, clipped at +-clip.

    scale, offset  float32 [R, F] over the rows of the fit devices; 0 for a channel that a regime holds still. A channel
                   of two values, such as on and off, becomes 0 and 1
    regimes, types None where the config names none; then R is 1
    """

    scale: Float32
    offset: Float32
    clip: float
    regimes: Groups | None
    types: Groups | None

    @property
    def n_channels(self) -> int:
        """F, the channels that are scaled; `x` has the settings and the type after them."""
        return int(self.scale.shape[1])

    def grouped(self, x: Float32) -> tuple[Float32, Float32]:
        """float32 [T, R] and [T, types] of rows in order, one 1 a row; no columns where there are no groups."""
        columns, start = [], self.n_channels
        for groups in (self.regimes, self.types):
            if groups is None:
                columns.append(np.empty((len(x), 0), np.float32))
            else:
                end = start + groups.n_settings
                columns.append(one_hot(groups, x[:, start:end]))
                start = end
        return columns[0], columns[1]


@dataclass(frozen=True, slots=True)
class Features:
    """One history as the network reads it; it need not be a whole life.

    z       float32 [T, F]  scaled and clipped, missing values imputed
    age     float32 [T]     rows' worth of time seen, 1 at the first row
    left    float32 [T]     seconds until the failure, or until the recording ends where it did not fail
    groups  float32 [T, G]  1 for the row's regime and for its type
    new     whether it is known to begin its life with its first row
    failed  whether `left` ends in a failure
    """

    z: Float32
    age: Float32
    left: Float32
    groups: Float32
    new: bool = True
    failed: bool = True


class RunningMean:
    """Mean over the rows so far, weights falling by 1 - rate a row and made to sum to 1. Goes on from call to call."""

    def __init__(self, rate: float) -> None:
        self.rate, self.weight = rate, 0.0
        self.total: Float32 | None = None

    def over(self, z: Float32) -> Float32:
        """float32 [T, ...]: the mean at each row of `z`, which follow those of the calls before."""
        means = np.empty_like(z)
        total = np.zeros_like(z[0]) if self.total is None else self.total
        for index, row in enumerate(z):
            total = np.float32(1 - self.rate) * total + np.float32(self.rate) * row
            self.weight = (1 - self.rate) * self.weight + self.rate
            means[index] = total / np.float32(self.weight)
        self.total = total
        return means


@dataclass(frozen=True, slots=True)
class Batch:
    """Lives side by side, padded at their ends. What the network reads of a row is made when it is asked for, a chunk
    of rows at a time: of long lives all of it at once would be many times the recording.

    z float32 [T, n, F]; seen float32 [T, n]; facts float32 [T, n, 1 + G]; left float32 [T, n]
    real bool [T, n], False where padded; failed bool [n]; mean_rates of the running means, () where they are not read
    """

    z: Float32
    seen: Float32
    facts: Float32
    left: Float32
    real: Bool
    failed: Bool
    mean_rates: tuple[float, ...]

    @property
    def inputs(self) -> Float32:
        """float32 [T, n, 3F + 2 + G] of all rows, or [T, n, F + 2 + G] where the means are not read."""
        (whole,) = self.chunks()
        return whole

    def rows(self, length: int = 0) -> list[slice]:
        """The chunks of at most `length` rows, in order; 0 = one of all rows."""
        length = length or len(self.z)
        return [slice(start, start + length) for start in range(0, len(self.z), length)]

    def chunks(self, length: int = 0) -> Iterator[Float32]:
        """The inputs of `rows(length)`."""
        means = [RunningMean(rate) for rate in self.mean_rates]
        for rows in self.rows(length):
            z = self.z[rows]
            averages = [mean.over(z) for mean in means]
            yield np.concatenate([z, *averages, self.seen[rows, :, None], self.facts[rows]], axis=2)


def n_inputs(config: Config) -> int:
    """Columns of `Batch.inputs`."""
    n_groups = sum(grouping.count for grouping in (config.regimes, config.types) if grouping.by)
    n_means = len(config.model.mean_rates) if config.model.reads_means else 0
    return (1 + n_means) * len(config.data.channels) + 2 + n_groups


def fit_scaling(histories: Sequence[History], config: Config) -> Scaling:
    """Regimes and types, then mean and standard deviation a channel and regime, over all rows; events are not scaled.

    Raises DataRefused for a channel that does not vary in most regimes.
    """
    names = config.data.channels
    rows = np.concatenate([history.x for history in histories])
    n, n_settings = len(names), len(config.regimes.by)
    regimes = fit_groups(rows[:, n : n + n_settings], config.regimes) if config.regimes.by else None
    types = fit_groups(rows[:, n + n_settings :], config.types) if config.types.by else None
    regime = (
        np.zeros(len(rows), np.int64) if regimes is None else one_hot(regimes, rows[:, n : n + n_settings]).argmax(1)
    )
    measured = rows[:, :n].astype(np.float64)
    scale, offset = np.zeros((2, regime.max() + 1, n), np.float32)
    are_events = [info.event for info in config.data.channel_info(names)]
    for column, name in enumerate(names):
        if are_events[column]:  # most rows have none; what never happened was not learnt
            scale[:, column] = bool(np.nansum(measured[:, column]))
            continue
        still = _stillness(measured[:, column])
        for row in range(len(scale)):
            values = measured[regime == row, column]
            values = values[~np.isnan(values)]
            n_values = len(np.unique(values))
            if n_values > 2:
                scale[row, column] = 1 / values.std()
                offset[row, column] = -values.mean() / values.std()
            elif n_values == 2 and not still:  # of a channel that has more values elsewhere they are one and its noise
                low, high = np.nanmin(measured[:, column]), np.nanmax(measured[:, column])
                scale[row, column], offset[row, column] = 1 / (high - low), -low / (high - low)
        if (scale[:, column] == 0).sum() > len(scale) / 2:
            if len(scale) > 1:
                still = "takes at most two values over the fit devices in most of their regimes"
            what = f"channel {name!r} {still}"
            raise DataRefused("data.channels", what, next_step="Leave it out: a scaled constant is noise.")
    return Scaling(scale, offset, config.model.clip_sigma, regimes, types)


def _stillness(values: npt.NDArray[np.float64]) -> str:
    """Why a channel, float64 [rows], is no channel of two values such as on and off; "" where it is one."""
    levels, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if len(levels) < 2:
        return f"has {'one' if len(levels) else 'no'} value over the fit devices"
    if len(levels) > 2:
        return "takes more than two values over the fit devices"
    low, high = levels.tolist()
    if high - low < ROUNDING * max(abs(low), abs(high)):
        return f"takes two values over the fit devices, {low:.7g} and {high:.7g}, which differ by rounding alone"
    rare, n = int(counts.min()), int(counts.sum())
    if rare < max(HANDFUL_ROWS, HANDFUL_SHARE * n):
        return f"takes two values over the fit devices, one of them in {rare} of {n} rows only"
    return ""


def features_of(history: History, scaling: Scaling, model: Model) -> Features:
    """Scale a history and impute what is missing."""
    regime, kind = scaling.grouped(history.x)
    scale, offset = (
        (regime @ scaling.scale, regime @ scaling.offset) if regime.size else (scaling.scale, scaling.offset)
    )
    z = np.clip(history.x[:, : scaling.n_channels] * scale + offset, -scaling.clip, scaling.clip)
    z = imputed(z.astype(np.float32), min(model.mean_rates))
    age = 1 + (history.t_s - history.t_s[0]) / model.cadence
    left = history.observed_left()
    groups = np.concatenate((regime, kind), axis=1)
    return Features(z, age.astype(np.float32), left.astype(np.float32), groups, failed=history.failed)


def imputed(z: Float32, rate: float) -> Float32:
    """float32 [T, F]: each missing value becomes the running mean of its channel so far, 0 at the first row."""
    if not np.isnan(z).any():
        return z
    z, mean, weight = z.copy(), np.zeros(z.shape[1], np.float32), 0.0
    for row in z:
        row[:] = np.where(np.isnan(row), mean, row)
        weight = (1 - rate) * weight + rate
        mean += np.float32(rate / weight) * (row - mean)
    return z


def batch_of(lives: Sequence[Features], model: Model) -> Batch:
    """Pad to the longest life."""
    longest, n = max(len(life.z) for life in lives), len(lives)
    z = np.zeros((longest, n, lives[0].z.shape[1]), np.float32)
    age, left = np.zeros((2, longest, n), np.float32)
    facts = np.zeros((longest, n, 1 + lives[0].groups.shape[1]), np.float32)
    real = np.zeros((longest, n), np.bool_)
    for column, life in enumerate(lives):
        rows = len(life.z)
        z[:rows, column], age[:rows, column], left[:rows, column] = life.z, life.age, life.left
        facts[:rows, column, 0], facts[:rows, column, 1:] = life.new, life.groups
        real[:rows, column] = True
    seen = np.minimum(age / np.float32(model.age_unit), np.float32(model.clip_sigma))
    rates = model.mean_rates if model.reads_means else ()
    return Batch(z, seen, facts, left, real, np.array([life.failed for life in lives]), rates)
