"""Which charts of a bank are kept: by what they foresee, and by what labelled machines say of them.

A forecast that expects no more of the normal rows than the device's own mean does is another level chart, with a net
to pay for: where rows are noise around a level it is left out, and so is smoothing. Limits then watch single rows in
their place. Where failures or faults of fit and calibration devices are known, these choose among the bank, its parts
and what a plant has without it (labelled.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.words import Bool
from trainer.anomaly.bank import LIMITS, SMOOTHING, lasting
from trainer.anomaly.charts import ChartSpec, residual_of
from trainer.anomaly.forecaster import forecasts_of
from trainer.anomaly.labelled import MACHINES_MIN, SetChoice
from trainer.anomaly.model import Forecaster
from trainer.anomaly.own_normal import Pooled, history_lost
from trainer.config import Config
from trainer.data.history import History, normal_rows
from trainer.data.plural import plural

SKILL_MIN = 0.02
"""Share of the normal rows' squared deviations that a forecast, or smoothing, must take away to be kept."""
Expectation = tuple[str, int]
"""A residual that follows what was expected of a row, and how far ahead; smoothing looks 0 rows ahead."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The charts that are kept.

    skills  by residual and `ahead`: share of the squared deviations of normal rows that the expectation takes away
    why     in words
    """

    charts: tuple[ChartSpec, ...]
    skills: dict[Expectation, float]
    why: str


def with_skill(
    bank: tuple[ChartSpec, ...],
    histories: Sequence[History],
    pool: Pooled,
    forecaster: Forecaster | None,
    config: Config,
) -> Choice:
    """The bank without charts whose expectation adds nothing, unless the configuration names its charts."""
    skills = skills_of(forecaster, histories, pool, config)
    if config.anomaly.charts:
        return Choice(bank, skills, "the charts are those of anomaly.charts")
    kept = tuple(one for one in bank if skills.get((one.residual, one.ahead), 1.0) >= SKILL_MIN)
    why = "the default bank of charts"
    n_skilled, lasts = len(kept), lasting(kept, config.learning_rows)
    if n_skilled < len(bank):
        why += f", without {' and '.join(skill_as_text(one, skills) for one in bank if one not in kept)}"
    if len(lasts) < n_skilled:
        why += f", without levels that remember too much of the {config.learning_rows} rows of learning"
    if {one.residual for one in lasts} == {"level"}:
        lasts, why = (*lasts, LIMITS), f"{why}, and with limits for what a single row shows"
    if not any(one.residual == "forecast" for one in kept):
        why += ": the net adds nothing and is left out"
    return Choice(lasts, skills, why)


def skill_as_text(chart: ChartSpec, skills: dict[Expectation, float]) -> str:
    name = "smoothing" if chart.residual == "smoothing" else f"the forecast {chart.ahead} ahead"
    return f"{name} (foresees {max(skills[chart.residual, chart.ahead], 0):.1%} of what normal rows do)"


def skills_of(
    forecaster: Forecaster | None, histories: Sequence[History], pool: Pooled, config: Config
) -> dict[Expectation, float]:
    """1 - the squared errors of what was expected over those of the own mean, on normal rows once learnt."""
    errors: dict[Expectation, float] = {}
    totals: dict[Expectation, float] = {}
    for history in histories:
        moments, lost = pool.moments(history), history_lost(history, config.model.dt_max)
        late = np.arange(len(history.t_s)) >= pool.learning.rows
        rows = (normal_rows(history, config.anomaly_h_max) & late)[:, None] & pool.sensors
        smoothed, is_there = residual_of(SMOOTHING, pool.learning, moments, lost, None)
        off = {("smoothing", 0): (np.clip(smoothed / np.sqrt(moments.variance), -6, 6), is_there)}
        for ahead, expected in forecasts_of(forecaster, moments.z, lost).items() if forecaster else ():
            off["forecast", ahead] = moments.z - np.nan_to_num(expected), moments.is_there & np.isfinite(expected)
        for of, (error, counts) in off.items():
            errors[of] = errors.get(of, 0.0) + float((error[rows & counts] ** 2).sum())
            totals[of] = totals.get(of, 0.0) + float((moments.z[rows & counts] ** 2).sum())
    return {of: 1 - errors[of] / max(totals[of], 1e-12) for of in errors}


def faulty_rows(history: History, h_max_s: float) -> Bool:
    """Bool [T]: rows in a labelled fault, or at most h_max before the failure."""
    near = np.zeros(len(history.t_s), np.bool_) if history.t_fail is None else history.t_fail - history.t_s <= h_max_s
    faulty: Bool = history.in_fault() | near
    return faulty


def choice_as_text(choice: SetChoice) -> str:
    """What labelled machines chose, and by how much."""
    if not choice.n_machines:
        return "no fault of a labelled machine can be judged, so nothing chooses among them"
    figures = ", ".join(f"{name} {warned:.2f}" for name, warned in choice.warned.items())
    if choice.n_machines < MACHINES_MIN:
        few = f"{plural(choice.n_machines, 'labelled machine')}, and {MACHINES_MIN} are the fewest that choose"
        return f"not by labels, since there are {few}; share of their faults warned of: {figures}"
    return f"{choice.name}, by the share of the faults of {choice.n_machines} labelled machines warned of: {figures}"
