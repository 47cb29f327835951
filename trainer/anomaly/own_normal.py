"""Histories as the `anomaly` head sees them: scaled by the pool, in own deviations, and which rows may teach."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from agent.words import Bool, Float32
from trainer.anomaly.charts import Channels
from trainer.anomaly.moments import Learning, Moments, moments_of
from trainer.config import Config
from trainer.data.history import Float64, History, normal_rows
from trainer.model.features import Scaling, fit_scaling


@dataclass(frozen=True, slots=True)
class Pool:
    """What is pooled over the fit devices: the scaling, 0 for events, and what counts events, bool [F]."""

    scaling: Scaling
    events: Bool
    learning: Learning

    @classmethod
    def of(cls, histories: Sequence[History], config: Config) -> Self:
        """Over the normal rows of the fit devices. Raises DataRefused for a channel that does not vary."""
        normal = [with_rows(history, normal_rows(history, config.anomaly_h_max)) for history in histories]
        events = np.array([info.event for info in config.data.channel_info(config.data.channels)])
        return cls(fit_scaling(normal, config), events, Learning(config.learning_rows))

    @property
    def scale(self) -> Float64:
        """[R, F]; 0 for a channel that counts events."""
        return np.where(self.events, 0.0, self.scaling.scale)

    @property
    def offset(self) -> Float64:
        return np.where(self.events, 0.0, self.scaling.offset)

    @property
    def sensors(self) -> Bool:
        varies: Bool = (self.scale != 0).any(axis=0)
        return varies

    def channels(self, history: History) -> Channels:
        """Scale and offset, [T, F] by the rows' regimes where there are some."""
        regime, _ = self.scaling.grouped(history.x)
        if not regime.size:
            return Channels(self.scale[0], self.offset[0], self.events)
        return Channels(regime @ self.scale, regime @ self.offset, self.events)

    def moments(self, history: History) -> Moments:
        of = self.channels(history)
        return moments_of(self.x(history), of.scale, of.offset, self.learning)

    def x(self, history: History) -> Float32:
        """[T, F] without settings and types."""
        return history.x[:, : len(self.events)]


def with_rows(history: History, rows: Bool) -> History:
    """The history with these rows alone, all of them if there are none."""
    if not rows.any():
        return history
    return History(history.device, history.t_s[rows], history.x[rows], None)


def history_lost(history: History, dt_max_s: float) -> Bool:
    """Bool [T]: rows before which a silence was longer than a state outlasts."""
    return np.diff(history.t_s, prepend=history.t_s[0]) > dt_max_s
