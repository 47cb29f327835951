"""Histories as the `anomaly` head sees them: scaled by the pool, in own deviations, and which rows may teach."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from agent.errors import DataRefused
from agent.words import Bool, Float32
from trainer.anomaly.charts import Channels, ChartSpec
from trainer.anomaly.moments import Learning, Moments, moments_of
from trainer.config import Config
from trainer.data.history import Float64, History, normal_rows
from trainer.model.regimes import Groups, fit_groups, one_hot

MEMORY = 7.0
"""A chart has forgotten a row after so many times 1 / rate: a thousandth of it is left, a millionth of its square."""
STILL = 1e-6
"""A channel that varies by less than this share of its mean stands still, and has a last digit."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """What is pooled over the normal rows of the fit devices.

    scale, offset  float64 [R, F], a regime a row; 0 for a channel that the regime holds still, or that counts events
    regimes        None where the config names none; their settings are the columns of `x` after the F channels
    events         bool [F]
    """

    scale: Float64
    offset: Float64
    regimes: Groups | None
    events: Bool
    learning: Learning

    @classmethod
    def of(cls, histories: Sequence[History], config: Config) -> Self:
        """Raises DataRefused where no channel varies, or where there are fewer settings than regimes."""
        n, by = len(config.data.channels), config.regimes.by
        rows = np.concatenate([history.x[normal_rows(history, config.anomaly_h_max)] for history in histories])
        regimes = fit_groups(rows[:, n : n + len(by)], config.regimes) if by else None
        regime = (
            np.zeros(len(rows), np.int64) if regimes is None else one_hot(regimes, rows[:, n : n + len(by)]).argmax(1)
        )
        events = np.array([info.event for info in config.data.channel_info(config.data.channels)])
        scale, offset = np.zeros((2, regime.max(initial=0) + 1, n))
        for column in np.flatnonzero(~events).tolist():
            for row in range(len(scale)):
                values = rows[regime == row, column].astype(np.float64)
                values = values[np.isfinite(values)]
                if len(values) and values.std() > STILL * max(abs(values.mean()), STILL):
                    scale[row, column], offset[row, column] = 1 / values.std(), -values.mean() / values.std()
        if not scale.any():
            what = "no channel varies in the normal rows of the fit devices"
            raise DataRefused("data.channels", what, next_step="Name channels that do.")
        return cls(scale, offset, regimes, events, Learning(config.learning_rows))

    @property
    def sensors(self) -> Bool:
        varies: Bool = (self.scale != 0).any(axis=0)
        return varies

    def channels(self, history: History) -> Channels:
        """Scale and offset, [T, F] by the rows' regimes where there are some."""
        if self.regimes is None:
            return Channels(self.scale[0], self.offset[0], self.events)
        n = len(self.events)
        regime = one_hot(self.regimes, history.x[:, n : n + self.regimes.n_settings])
        return Channels(regime @ self.scale, regime @ self.offset, self.events)

    def moments(self, history: History) -> Moments:
        of = self.channels(history)
        return moments_of(self.x(history), of.scale, of.offset, self.learning)

    def x(self, history: History) -> Float32:
        """[T, F] without settings and types."""
        return history.x[:, : len(self.events)]


def history_lost(history: History, dt_max_s: float) -> Bool:
    """Bool [T]: rows before which a silence was longer than a state outlasts."""
    return np.diff(history.t_s, prepend=history.t_s[0]) > dt_max_s


def quiet_rows(history: History, h_max_s: float, charts: Sequence[ChartSpec]) -> Bool:
    """Bool [T]: normal rows in which no chart remembers a row that was not."""
    normal, row = normal_rows(history, h_max_s), np.arange(len(history.t_s))
    memory = max(chart.ahead + math.ceil(MEMORY / chart.rate) for chart in charts)
    last = np.maximum.accumulate(np.where(normal, -memory - 1, row))
    return normal & (row - last > memory)
