"""Residuals of Holt-Winters forecasts: how far is each channel from what its level, trend and day say?

Level, trend (additive, damped) and, where a day is a whole number of rows, a daily season (P. R. Winters, "Forecasting
sales by exponentially weighted moving averages", Management Science 6 (1960), 324-342). The weights of a channel are
fitted to its longest healthy stretch; all devices are then forecast with them, one row ahead. The residual is smoothed,
and its rate tuned: one row ahead, the forecast follows a slow fault.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from statsmodels.tsa.holtwinters import ExponentialSmoothing

from trainer.baselines.healthy import healthy
from trainer.baselines.scorer import Baseline, Candidate, Task, values
from trainer.baselines.standard import RATES, Standard, smoothed, standard
from trainer.data.history import Float64, History

ROWS_MAX = 1_000
"""Rows that the weights of a channel are fitted to."""
DAY_S = 86_400.0
SEASON_MIN, SEASON_MAX = 4, 288
DAYS_MIN = 3
"""Days that a healthy stretch holds at least before a daily season is believed."""


@dataclass(frozen=True, slots=True)
class Weights:
    """float64 [C] each: of level, trend and season, and what a row leaves of the trend; season in rows, 0 = none."""

    level: Float64
    trend: Float64
    damping: Float64
    season: Float64
    season_rows: int


@dataclass(frozen=True, slots=True)
class Residuals:
    """spread float64 [C]: root mean square of each channel's smoothed residual over healthy rows."""

    rate: float
    scale: Standard
    weights: Weights
    spread: Float64

    def score(self, history: History) -> Float64:
        """Deviations by which the worst channel is off its forecast; NaN where every channel is missing."""
        off = smoothed(residuals(self.scale.of(history), self.weights), self.rate)
        worst = (np.abs(off) / np.where(self.spread > 0, self.spread, np.inf)).max(axis=1)
        return np.where(self.scale.has_value(history), worst, np.nan)


def candidates(histories: Sequence[History], task: Task) -> Iterator[Candidate]:
    """The residuals at each rate. Raises DataRefused when no channel varies over the healthy rows."""
    scale = standard(histories, task)
    longest = max(histories, key=lambda history: healthy(history, task).sum())
    stretch = scale.of(longest)[healthy(longest, task)]
    weights = weights_of(stretch, season_rows(len(stretch), task.every_s))
    errors = [residuals(scale.of(history), weights) for history in histories]
    masks = [healthy(history, task) for history in histories]
    for rate in RATES:
        rows = [smoothed(error, rate)[mask] for error, mask in zip(errors, masks, strict=True)]
        spread: Float64 = np.sqrt(np.mean(np.concatenate(rows) ** 2, axis=0))
        yield f"rate {rate:g}", Residuals(rate, scale, weights, spread)


def season_rows(n_rows: int, every_s: float) -> int:
    """Rows of a day, 0 where that is no whole number, or the stretch of `n_rows` too short to show one."""
    a_day = DAY_S / every_s
    is_whole = abs(a_day - round(a_day)) < 1e-9 and SEASON_MIN <= a_day <= SEASON_MAX
    return round(a_day) if is_whole and min(n_rows, ROWS_MAX) >= DAYS_MIN * a_day else 0


def weights_of(stretch: Float64, season: int) -> Weights:
    """The weights that forecast each channel of a healthy stretch [n, C] best; none move where it is too short."""
    rows = stretch[-ROWS_MAX:]
    level, trend, damping, seasonal = np.zeros((4, rows.shape[1]))
    damping += 1.0
    for channel in range(rows.shape[1]):
        if len(rows) < 10 or np.ptp(rows[:, channel]) == 0:
            continue
        model = ExponentialSmoothing(
            rows[:, channel],
            trend="add",
            damped_trend=True,
            seasonal="add" if season else None,
            seasonal_periods=season or None,
            initialization_method="heuristic" if len(rows) >= 20 else "estimated",
        )
        fit = model.fit(optimized=True).params
        level[channel], trend[channel] = fit["smoothing_level"], fit["smoothing_trend"]
        damping[channel] = fit["damping_trend"]
        seasonal[channel] = fit["smoothing_seasonal"] if season else 0.0
    return Weights(level, trend, damping, seasonal, season)


def residuals(z: Float64, weights: Weights) -> Float64:
    """float64 [T, C]: each row less its forecast by the rows before it; 0 for the first."""
    level, trend = z[0].copy(), np.zeros(z.shape[1])
    seasons = np.zeros((max(weights.season_rows, 1), z.shape[1]))
    errors = np.empty_like(z)
    for index, row in enumerate(z):
        season = seasons[index % len(seasons)]
        trend = weights.damping * trend
        error = row - level - trend - season
        errors[index] = error
        level, trend = level + trend + weights.level * error, trend + weights.level * weights.trend * error
        season += weights.season * (1 - weights.level) * error
    return errors


HOLT_WINTERS = Baseline(
    candidates,
    score="by how many healthy deviations the worst channel's smoothed residual of a forecast is off 0",
    after="Winters, Management Science 6 (1960)",
    tuned=f"the rate at which residuals are smoothed: {values(RATES)}",
    library="statsmodels",
)
