"""Which charts of a bank are kept, decided on the calibration devices alone.

A forecast that expects no more of the normal rows than the device's own mean does is another level chart, with a net
to pay for: where rows are noise around a level the net is left out, and that is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.anomaly.charts import ChartSpec
from trainer.anomaly.forecaster import forecasts_of
from trainer.anomaly.model import Forecaster, aheads_of
from trainer.anomaly.own_normal import Pooled, history_lost
from trainer.config import Config
from trainer.data.history import History, normal_rows

SKILL_MIN = 0.02
"""Share of the normal rows' squared deviations that a forecast must take away to be kept."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The charts that are kept.

    skills  by `ahead`: share of the squared deviations of normal rows that the forecast takes away
    why     in words
    """

    charts: tuple[ChartSpec, ...]
    skills: dict[int, float]
    why: str


def choose_charts(
    bank: tuple[ChartSpec, ...],
    histories: Sequence[History],
    pool: Pooled,
    forecaster: Forecaster | None,
    config: Config,
) -> Choice:
    """The bank without forecasts that add nothing, unless the configuration names its charts."""
    skills = {} if forecaster is None else skills_of(forecaster, histories, pool, config)
    if config.anomaly.charts:
        return Choice(bank, skills, "the charts are those of anomaly.charts")
    kept = tuple(chart for chart in bank if chart.residual != "forecast" or skills[chart.ahead] >= SKILL_MIN)
    if len(kept) == len(bank) or not aheads_of(bank, "forecast"):
        return Choice(bank, skills, "the default bank of charts")
    best = max(skills.values())
    why = f"the net adds nothing and is left out: it foresees {max(best, 0):.1%} of what normal rows do"
    return Choice(kept, skills, why)


def skills_of(forecaster: Forecaster, histories: Sequence[History], pool: Pooled, config: Config) -> dict[int, float]:
    """By `ahead`: 1 - the squared errors of the forecasts over those of the own mean, on normal rows once learnt."""
    errors = dict.fromkeys(forecaster.readouts, 0.0)
    totals = dict.fromkeys(forecaster.readouts, 0.0)
    for history in histories:
        moments = pool.moments(history)
        late = np.arange(len(history.t_s)) >= pool.learning.rows
        rows = (normal_rows(history, config.anomaly_h_max) & late)[:, None] & moments.is_there & pool.sensors
        for ahead, expected in forecasts_of(forecaster, moments.z, history_lost(history, config.model.dt_max)).items():
            counts = rows & np.isfinite(expected)
            errors[ahead] += float(((moments.z - np.nan_to_num(expected))[counts] ** 2).sum())
            totals[ahead] += float((moments.z[counts] ** 2).sum())
    return {ahead: 1 - errors[ahead] / max(totals[ahead], 1e-12) for ahead in errors}
