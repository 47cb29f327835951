"""Age alone: how many failures the lives of other devices let expect within the horizon, at the age reached.

Lives are taken as Weibull distributed (W. Weibull, "A statistical distribution function of wide applicability",
J. Appl. Mech. 18 (1951), 293-297), fitted by likelihood. Where wear rules, this rises with age, so a threshold on it
is an age, chosen under the judge as for every other method. `agent/replay/age_only.py` asks less and needs less, the
lives in a manifest alone: what is the lowest age at which a calendar may warn without overdrawing the budget?
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.words import Bool
from trainer.baselines.scorer import Scorer, Task
from trainer.data.history import Float64, History

SHAPE_MIN, SHAPE_MAX = 0.05, 50.0
"""From a hazard that all but vanishes with age to devices that all die on the same day."""


@dataclass(frozen=True, slots=True)
class Age:
    """A Weibull distribution of lives: P(life > age) = exp(-(age / scale_s)^shape)."""

    scale_s: float
    shape: float
    horizon_s: float
    every_s: float

    def score(self, history: History) -> Float64:
        """Cumulative hazard of the horizon ahead: P(failure within it) = 1 - exp(-score), without its saturation."""
        age_s = history.t_s - history.t_s[0] + self.every_s
        ahead: Float64 = ((age_s + self.horizon_s) / self.scale_s) ** self.shape - (age_s / self.scale_s) ** self.shape
        return ahead


def fit(histories: Sequence[History], task: Task) -> Scorer:
    """The likeliest Weibull distribution of the lives; there is nothing to tune."""
    lives_s = np.array([history.observed_left()[0] + task.every_s for history in histories])
    failed = np.array([history.failed for history in histories])
    return Age(*weibull(lives_s, failed), task.horizon_s, task.every_s)


def weibull(lives_s: Float64, failed: Bool) -> tuple[float, float]:
    """Scale and shape by likelihood; lives_s > 0, some ended by a failure and the others only known to be longer.

    The shape's equation rises, so halve.
    """
    relative = lives_s / lives_s.max()
    logs = np.log(relative)
    low, high = SHAPE_MIN, SHAPE_MAX
    for _ in range(60):
        shape = (low + high) / 2
        weights = relative**shape
        if (weights * logs).sum() / weights.sum() - 1 / shape < logs[failed].mean():
            low = shape
        else:
            high = shape
    return float(lives_s.max() * (np.sum(relative**shape) / failed.sum()) ** (1 / shape)), shape
