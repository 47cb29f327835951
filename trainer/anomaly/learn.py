"""From parts of a data set to the `anomaly` head: pool, forecaster, charts, scales; thresholds come by playing it.

The forecaster learns from the fit devices, everything else is measured on the calibration devices. Labels are not
needed; where rows are known to be faulty, or to lie before a failure, they teach nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.judge.threshold import default_budget, parse_budget
from agent.words import Bool
from trainer.anomaly import charts
from trainer.anomaly.bank import asked_bank, sets_of
from trainer.anomaly.charts import Bank, Channels, ChartRows, ChartSpec
from trainer.anomaly.choose import Choice, choice_as_text, faulty_rows, with_skill
from trainer.anomaly.forecaster import Rows, forecasts_of, train_forecaster, untrained
from trainer.anomaly.labelled import choose_set, warned_shares
from trainer.anomaly.model import AnomalyModel, Forecaster, aheads_of, float32
from trainer.anomaly.moments import VALUE_MAX, Z_MAX, distance
from trainer.anomaly.own_normal import Pooled, history_lost, quiet_rows
from trainer.anomaly.pool import FitRows, pool_of
from trainer.anomaly.scales import scales_of
from trainer.config import Config
from trainer.data.check_normal import named
from trainer.data.history import Float64, History, normal_rows
from trainer.data.split import Parts
from trainer.data.stages import size, stage
from trainer.evaluation.judge_rules import anomaly_rules

UNIT_QUANTILE = 0.99
UNIT_MIN = 1e-3
FAR_SHARE = 0.1
"""Of a device's later normal rows, that may be far from what was learnt before that is told."""
UNUSUAL_FAR = 2.0
"""So many times as far from the pool as the farthest 1 % of the fit devices' windows an own normal is told of."""
LEADING_ROWS = 100
"""Rows at least, the highest ones, from which it is told how often each chart leads."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """The head before its thresholds are known.

    judged  of each calibration device, float64 [rows, J]: charts over their scales, once its own normal is learnt
    losses  of the forecaster's steps
    choice  which charts are in it, and why
    """

    model: AnomalyModel
    judged: tuple[Float64, ...]
    losses: list[float]
    choice: Choice

    def shares(self, threshold: float) -> tuple[float, ...]:
        """How often each chart leads, of the calibration rows over a threshold; of the highest where few are."""
        rows = np.concatenate(self.judged)
        highest = rows.max(axis=1)
        least = np.sort(highest)[-min(LEADING_ROWS, len(rows))]
        leads = rows.argmax(axis=1)[highest >= min(threshold, least)]
        return tuple((np.bincount(leads, minlength=rows.shape[1]) / len(leads)).tolist())


def learn(config: Config, parts: Parts) -> Learnt:
    """Train and choose. Raises DataRefused for recordings that are too short; `check_normal` says so beforehand."""
    pool = Pooled.of(parts.fit, config)
    bank = asked_bank(config, pool.events)
    aheads = aheads_of(bank, "forecast")
    if aheads:
        stage(f"the net learns to forecast {size(parts.fit)}, in {config.anomaly.steps} steps")
    forecaster, losses = forecaster_of(config, parts.fit, pool, aheads)
    stage(f"charts of {size((*parts.fit, *parts.calibrate))}")
    choice = with_skill(bank, parts.calibrate, pool, forecaster, config)
    histories = [one for one in (*parts.fit, *parts.calibrate) if faulty_rows(one, config.anomaly_h_max).any()]
    sets = sets_of(choice.charts) if histories and not config.anomaly.charts else {"": choice.charts}
    specs = tuple(dict.fromkeys(chart for charts_ in sets.values() for chart in charts_))
    model = model_of(config, parts.fit, pool, specs, forecaster)
    rows = [charts_of(history, model, pool, config) for history in parts.calibrate]
    normal = normal_of(rows, parts.calibrate, specs, config)
    model = replace(model, scales=scales_of([one.s[which] for one, which in zip(rows, normal, strict=True)]))
    columns = {name: [specs.index(chart) for chart in charts_] for name, charts_ in sets.items()}
    chosen = columns[next(iter(sets))]
    if len(sets) > 1:
        stage(f"chooses among {len(sets)} sets of charts by the labels")
        labelled = [charts_of(history, model, pool, config) for history in histories]
        set_choice = choose_set({
            name: warned_shares(
                [anomaly_of(one, model, which, of) for one, of in zip(rows, normal, strict=True)],
                parts.calibrate,
                [anomaly_of(one, model, which) for one in labelled],
                histories,
                anomaly_rules(config),
                parse_budget(default_budget(config.data.counts), fleet_size=0),
            )
            for name, which in columns.items()
        })  # fmt: skip
        chosen = columns[set_choice.name]
        choice = replace(choice, charts=sets[set_choice.name], why=f"{choice.why}; {choice_as_text(set_choice)}")
    judged = tuple(one.s[one.wait == 0][:, chosen] / np.array(model.scales)[chosen] for one in rows)
    return Learnt(model.only(chosen), judged, losses, choice)


def normal_of(
    rows: Sequence[ChartRows], histories: Sequence[History], specs: Sequence[ChartSpec], config: Config
) -> list[Bool]:
    """Bool [T] a history: rows once learnt that are normal; those in which a chart remembers a fault only where no
    others are.
    """
    normal = [(one.wait == 0) & normal_rows(of, config.anomaly_h_max) for one, of in zip(rows, histories, strict=True)]
    quiet = [which & quiet_rows(of, config.anomaly_h_max, specs) for which, of in zip(normal, histories, strict=True)]
    return quiet if any(which.any() for which in quiet) else normal


def anomaly_of(rows: ChartRows, model: AnomalyModel, columns: list[int], only: Bool | None = None) -> Float64:
    """float64 [T]: the anomaly of some of the charts; NaN while it is learnt, and outside of `only`."""
    judged = (rows.wait == 0) & (True if only is None else only)
    return np.where(judged, (rows.s / np.array(model.scales))[:, columns].max(axis=1), np.nan)


def forecaster_of(
    config: Config, fit: Sequence[History], pool: Pooled, aheads: Sequence[int]
) -> tuple[Forecaster | None, list[float]]:
    """The trained net and the loss of each step; none where no chart looks at forecasts."""
    if not aheads:
        return None, []
    settings = config.anomaly
    return train_forecaster(
        [rows_to_learn(history, pool, config) for history in fit],
        aheads,
        hidden=settings.hidden,
        steps=settings.steps,
        batch=settings.batch,
        rate=settings.learning_rate,
        seed=config.seed,
    )


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
    """The model with scales of 1."""
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
    n, distances = pool.learning.rows, []
    for history in fit:
        for start in range(0, len(history.t_s) - n + 1, max(n // 2, 1)):
            moments = pool.moments(history.only(slice(start, start + n)))
            distances.append(distance(moments, pool.sensors)[-1])
    return max(float(np.quantile(distances, UNIT_QUANTILE)), UNIT_MIN) if distances else 1.0


def charts_of(history: History, model: AnomalyModel, pool: Pooled, config: Config) -> ChartRows:
    """The charts of one history, by the reference."""
    lost = history_lost(history, config.model.dt_max)
    moments = pool.moments(history)
    forecasts = {} if model.forecaster is None else forecasts_of(model.forecaster, moments.z, lost)
    bank = replace(model.bank, channels=pool.channels(history))
    return charts.chart_rows(bank, pool.x(history), forecasts, lost)


def notes_on_learning(config: Config, parts: Parts) -> list[str]:
    """What to tell before the training: devices that the learning did not see as they are later, devices so far from
    those that are fitted on that no chart can follow them, and devices that were learnt from unusual rows.
    """
    pool, n = Pooled.of(parts.fit, config), config.learning_rows
    unit, unusual = unit_of_distance(parts.fit, pool), list[str]()
    left: dict[str, float] = {}
    beyond: dict[str, Float64] = {}  # by channel
    for history in (*parts.fit, *parts.calibrate, *parts.play):
        moments, normal = pool.moments(history), normal_rows(history, config.anomaly_h_max)
        is_beyond = (np.abs(moments.y) >= VALUE_MAX) & pool.sensors
        leaves = is_beyond & (is_beyond[:n].mean(axis=0) <= FAR_SHARE)  # who was there from the start did not leave
        off = (leaves | ((np.abs(moments.z) >= Z_MAX) & pool.sensors)).any(axis=1)
        if normal[n:].any() and (share := float(off[n:][normal[n:]].mean())) > FAR_SHARE:
            left[history.device] = share
        elif normal.any() and (shares := is_beyond[normal].mean(axis=0)).max() > FAR_SHARE:
            beyond[history.device] = shares
        elif len(normal) >= n and distance(moments, pool.sensors)[n - 1] > UNUSUAL_FAR * unit:
            unusual.append(history.device)
    notes = []
    if left:
        worst = max(left, key=lambda device: left[device])
        what = f"{named('device', list(left))} left what the first {n:,} rows showed: of {worst!r}, {left[worst]:.0%} "
        what += f"of the later normal rows lie {Z_MAX:g} own deviations away or more. Where no fault explains it, "
        notes.append(what + "anomaly.learning must be longer, so that it holds a whole duty cycle")
    if beyond:
        worst = max(beyond, key=lambda device: float(beyond[device].max()))
        channel, share = config.data.channels[int(beyond[worst].argmax())], float(beyond[worst].max())
        what = (
            f"{named('device', list(beyond))} values so far from those of the fit devices that no chart follows them: "
        )
        what += (
            f"of {worst!r}, channel {channel!r} is {VALUE_MAX:g} of their deviations away or more in {share:.0%} of "
        )
        notes.append(what + "the normal rows. Is it in other units? Else fit on such devices, too")
    if unusual:
        what = f"{named('device', unusual)} learnt from unusual rows, far from those of the fit devices: was there a "
        notes.append(what + f"fault in the first {n:,} rows? It counts as normal then")
    return notes


def rehearsed(config: Config, parts: Parts) -> Learnt:
    """A head that has learnt nothing, of the names and sizes that the trained one will have at most."""
    pool = Pooled.of(parts.fit, config)
    bank = asked_bank(config, pool.events)
    aheads = aheads_of(bank, "forecast")
    forecaster = untrained(len(pool.events), config.anomaly.hidden, aheads) if aheads else None
    model = model_of(config, parts.fit, pool, bank, forecaster)
    return Learnt(model, (), [], Choice(bank, {}, ""))
