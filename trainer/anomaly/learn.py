"""From parts of a data set to the `anomaly` head: pool, forecaster, charts, scales; thresholds come by playing it.

The forecaster learns from the fit devices, everything else is measured on the calibration devices. Labels are not
needed; where rows are known to be faulty, or to lie before a failure, they teach nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.words import Bool
from trainer.anomaly import charts
from trainer.anomaly.charts import Bank, Channels, ChartRows, ChartSpec
from trainer.anomaly.choose import Choice, choose_charts
from trainer.anomaly.forecaster import Rows, forecasts_of, train_forecaster, untrained
from trainer.anomaly.model import AnomalyModel, Forecaster, aheads_of, float32
from trainer.anomaly.moments import Z_MAX, distance
from trainer.anomaly.own_normal import Pooled, history_lost, quiet_rows
from trainer.anomaly.pool import FitRows, pool_of
from trainer.config import Config
from trainer.data.check_normal import named
from trainer.data.history import History, normal_rows
from trainer.data.split import Parts

DEFAULT_RATE = 0.05
EVENT_RATE, EVENT_ROWS = 0.1, 24
SCALE_QUANTILE = 0.99
SCALE_MIN = 1e-6
UNIT_QUANTILE = 0.99
UNIT_MIN = 1e-3
FAR_SHARE = 0.1
"""Of a device's later normal rows, that may be far from what was learnt before that is told."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """The head before its thresholds are known.

    shares  of the rows over the scale, how often each chart leads
    losses  of the forecaster's steps
    choice  which charts are in it, and why
    """

    model: AnomalyModel
    shares: tuple[float, ...]
    losses: list[float]
    choice: Choice


def default_bank(config: Config, events: Bool) -> tuple[ChartSpec, ...]:
    """One bank for a machine that nobody knows yet: jumps that stay, slow wear, bursts; and events where there are."""
    bank = (
        ChartSpec("level", 0, DEFAULT_RATE, "max"),
        ChartSpec("forecast", config.anomaly.ahead, DEFAULT_RATE, "max"),
        ChartSpec("smoothing", 0, 1.0, "mean"),
    )
    return (*bank, ChartSpec("event", EVENT_ROWS, EVENT_RATE, "max")) if events.any() else bank


def asked_bank(config: Config, events: Bool) -> tuple[ChartSpec, ...]:
    """What the configuration asks for."""
    asked = tuple(ChartSpec(one.residual, one.ahead, one.rate, one.mix) for one in config.anomaly.charts)
    return asked or default_bank(config, events)


def learn(config: Config, parts: Parts) -> Learnt:
    """Train and choose. Raises DataRefused for recordings that are too short; `check_normal` says so beforehand."""
    pool = Pooled.of(parts.fit, config)
    bank = asked_bank(config, pool.events)
    aheads = aheads_of(bank, "forecast")
    forecaster: Forecaster | None = None
    losses: list[float] = []
    if aheads:
        settings = config.anomaly
        forecaster, losses = train_forecaster(
            [rows_to_learn(history, pool, config) for history in parts.fit],
            aheads,
            hidden=settings.hidden,
            steps=settings.steps,
            batch=settings.batch,
            rate=settings.learning_rate,
            seed=config.seed,
        )
    choice = choose_charts(bank, parts.calibrate, pool, forecaster, config)
    model = model_of(config, parts.fit, pool, choice.charts, forecaster)
    rows = [charts_of(history, model, pool, config) for history in parts.calibrate]
    quiet = [quiet_rows(history, config.anomaly_h_max, choice.charts) for history in parts.calibrate]
    scales, shares = scales_and_shares(rows, quiet)
    return Learnt(replace(model, scales=scales), shares, losses, choice)


def rows_to_learn(history: History, pool: Pooled, config: Config) -> Rows:
    """z, and which values the forecaster may learn to expect: normal ones, once z stands still."""
    moments = pool.moments(history)
    late = np.arange(len(history.t_s)) >= pool.learning.rows // 2
    usable = (normal_rows(history, config.anomaly_h_max) & late)[:, None] & moments.is_there & pool.sensors
    return Rows(float32(moments.z), usable)


def model_of(
    config: Config,
    fit: Sequence[History],
    pool: Pooled,
    specs: tuple[ChartSpec, ...],
    forecaster: Forecaster | None,
) -> AnomalyModel:
    """The model with scales of 1; readouts that no chart reads are left out."""
    kept = aheads_of(specs, "forecast")
    if forecaster is not None:
        readouts = {ahead: forecaster.readouts[ahead] for ahead in kept}
        forecaster = replace(forecaster, readouts=readouts) if kept else None
    rows = [fit_rows(history, pool, forecaster, config) for history in fit]
    return AnomalyModel(
        bank=Bank(
            specs,
            pool.learning,
            Channels(pool.scale[0], pool.offset[0], pool.events),
            tuple(pool_of(spec, pool.learning, pool.sensors, rows) for spec in specs),
        ),
        scale=float32(pool.scale),
        offset=float32(pool.offset),
        regimes=pool.regimes,
        n_x=len(config.channels),
        scales=(1.0,) * len(specs),
        unit=unit_of_distance(fit, pool),
        forecaster=forecaster,
    )


def fit_rows(history: History, pool: Pooled, forecaster: Forecaster | None, config: Config) -> FitRows:
    """A fit device's rows, from which it is told whether a chart follows the device's own normal or the pool's."""
    lost = history_lost(history, config.model.dt_max)
    moments = pool.moments(history)
    fresh = lost.copy()
    fresh[:1] = True
    forecasts = {} if forecaster is None else forecasts_of(forecaster, moments.z, lost)
    return FitRows(moments, fresh, normal_rows(history, config.anomaly_h_max), forecasts)


def unit_of_distance(fit: Sequence[History], pool: Pooled) -> float:
    """How far own normals of the fit devices lie from the pool's: of windows as long as the learning, the farthest 1 %.

    1 where none of them is so long.
    """
    n, found = pool.learning.rows, []
    for history in fit:
        for start in range(0, len(history.t_s) - n + 1, max(n // 2, 1)):
            moments = pool.moments(history.only(slice(start, start + n)))
            found.append(distance(moments, pool.sensors)[-1])
    return max(float(np.quantile(found, UNIT_QUANTILE)), UNIT_MIN) if found else 1.0


def charts_of(history: History, model: AnomalyModel, pool: Pooled, config: Config) -> ChartRows:
    """The charts of one history, by the reference."""
    lost = history_lost(history, config.model.dt_max)
    moments = pool.moments(history)
    forecasts = {} if model.forecaster is None else forecasts_of(model.forecaster, moments.z, lost)
    bank = replace(model.bank, channels=pool.channels(history))
    return charts.chart_rows(bank, pool.x(history), forecasts, lost)


def scales_and_shares(rows: Sequence[ChartRows], quiet: Sequence[Bool]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of each chart the 99 % quantile over quiet rows, bool [T] each, and how often it leads of all rows over that."""
    normal = [(one.wait == 0) & which for one, which in zip(rows, quiet, strict=True)]
    values = np.concatenate([one.s[which] for one, which in zip(rows, normal, strict=True)])
    scales = np.maximum(np.quantile(values, SCALE_QUANTILE, axis=0), SCALE_MIN)
    judged = np.concatenate([one.s[one.wait == 0] for one in rows]) / scales
    leads = judged.argmax(axis=1)[judged.max(axis=1) > 1]
    counts = np.bincount(leads, minlength=len(scales))
    return tuple(scales.tolist()), tuple((counts / max(counts.sum(), 1)).tolist())


def notes_on_learning(config: Config, parts: Parts) -> list[str]:
    """What to tell before the training: devices that the learning did not see as they are later."""
    pool, n = Pooled.of(parts.fit, config), config.learning_rows
    far = {}
    for history in (*parts.fit, *parts.calibrate, *parts.play):
        off = np.abs(pool.moments(history).z[:, pool.sensors]).max(axis=1) >= Z_MAX
        later = off[n:][normal_rows(history, config.anomaly_h_max)[n:]]
        if len(later) and later.mean() > FAR_SHARE:
            far[history.device] = float(later.mean())
    if not far:
        return []
    worst = max(far, key=lambda device: far[device])
    what = f"{named('device', list(far))} left what the first {n:,} rows showed: of {worst!r}, {far[worst]:.0%} of the "
    what += f"later normal rows lie {Z_MAX:g} own deviations away or more. Where no fault explains it, "
    return [what + "anomaly.learning must be longer, so that it holds a whole duty cycle"]


def rehearsed(config: Config, parts: Parts) -> Learnt:
    """A head that has learnt nothing, of the names and sizes that the trained one will have at most."""
    pool = Pooled.of(parts.fit, config)
    bank = asked_bank(config, pool.events)
    aheads = aheads_of(bank, "forecast")
    forecaster = untrained(len(pool.events), config.anomaly.hidden, aheads) if aheads else None
    model = model_of(config, parts.fit, pool, bank, forecaster)
    return Learnt(model, (0.0,) * len(bank), [], Choice(bank, {}, ""))
