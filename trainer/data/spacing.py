"""How close rows come, as the bundle says it to the agent."""

from collections.abc import Sequence

import numpy as np

from agent.bundle.manifest import Cadence
from trainer.config import Model
from trainer.data.history import History

CLOSEST_MAX = 0.75
"""Of the cadence: live rows may come this close although recorded ones came more evenly."""


def cadence_of(model: Model, histories: Sequence[History]) -> Cadence:
    """The cadence that was asked for, and how close rows came in the recordings: closer is not as in training."""
    closest_s = min((float(np.diff(one.t_s).min()) for one in histories if len(one.t_s) > 1), default=model.cadence)
    return Cadence(model.cadence, model.dt_max, least_s=min(closest_s, CLOSEST_MAX * model.cadence))
