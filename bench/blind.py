"""The `anomaly` head in numpy, from recordings to alerts: what the benches without labels measure.

The charts are those of trainer/anomaly/charts.py, which a bundle's graph is tested against, and the forecaster is the
trainer's. The judge is the plainest that there is: a row over the threshold raises, `hold` rows below it clear. The
threshold is blind: the lowest at which normal calibration time keeps to the budget, and a tenth of it to the alarms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from agent.judge.threshold import TIME_IN_ALARM_MAX
from agent.score.early_warning import Spell, n_false_alarms
from bench.public_sets import Recording
from trainer.anomaly.bank import sets_of
from trainer.anomaly.charts import Bank, Channels, ChartSpec, Pool, chart_rows
from trainer.anomaly.forecaster import Rows, forecasts_of, train_forecaster
from trainer.anomaly.labelled import choose_set
from trainer.anomaly.model import Forecaster
from trainer.anomaly.moments import Learning, moments_of
from trainer.anomaly.pool import FitRows, pool_of
from trainer.anomaly.scales import scales_of
from trainer.data.history import Float64

CONSTANT = 1e-9
"""A deviation this small beside the mean is that of rounding."""
HIDDEN, STEPS, STRETCHES, RATE = 32, 400, 28, 4e-3
THRESHOLDS = 400


@dataclass(frozen=True, slots=True)
class Rules:
    """rows: N of the learning; hold: rows; every_s: between rows; false alarms a second."""

    rows: int
    hold: int
    every_s: float
    h_max_s: float
    budget_per_s: float


@dataclass(frozen=True, slots=True)
class Labelled:
    """A labelled machine: s float64 [T, J], charts over their scales; t_s float64 [T]; windows float64 [n, 2], s, in
    which an alert is wanted.
    """

    s: Float64
    t_s: Float64
    windows: Float64

    def warned(self, alerts: Sequence[Spell]) -> float:
        """Mean over the windows of the share that is left when the first alert comes; NaN without a window."""
        shares = []
        for start_s, end_s in self.windows.tolist():
            raised_s = [one.raised_s for one in alerts if start_s <= one.raised_s < end_s]
            shares.append((end_s - raised_s[0]) / (end_s - start_s) if raised_s else 0.0)
        return float(np.mean(shares)) if shares else np.nan


@dataclass(frozen=True, slots=True)
class Detector:
    """A fitted bank. scale, offset float64 [R, F] by regime; scales: q of each chart; columns: the charts in use."""

    rules: Rules
    charts: tuple[ChartSpec, ...]
    events: np.ndarray
    scale: dict[int, tuple[Float64, Float64]]
    forecaster: Forecaster | None
    pools: tuple[Pool, ...]
    scales: Float64
    columns: list[int]

    @classmethod
    def fit(
        cls, charts: Sequence[ChartSpec], rules: Rules, fit: Sequence[Recording], *, events: np.ndarray, seed: int
    ) -> Self:
        """Scaling, forecaster and pools of normal rows."""
        scale = scaling_of(fit, events)
        bare = cls(rules, tuple(charts), events, scale, None, (), np.ones(len(charts)), list(range(len(charts))))
        aheads = sorted({chart.ahead for chart in charts if chart.residual == "forecast"})
        moments = [bare.moments(one) for one in fit]
        sensors = bare.sensors
        forecaster = None
        if aheads:
            stretches = [
                Rows(
                    moments_.z.astype(np.float32),
                    (np.arange(len(moments_.z)) >= rules.rows // 2)[:, None] & moments_.is_there & sensors,
                )
                for moments_ in moments
            ]
            forecaster = train_forecaster(
                stretches, aheads, hidden=HIDDEN, steps=STEPS, batch=STRETCHES, rate=RATE, seed=seed
            )[0]
        taught = [
            FitRows(
                moments_,
                np.arange(len(moments_.z)) == 0,
                np.ones(len(moments_.z), bool),
                {} if forecaster is None else forecasts_of(forecaster, moments_.z, np.zeros(len(moments_.z), bool)),
            )
            for moments_ in moments
        ]
        pools = tuple(pool_of(chart, Learning(rules.rows), sensors, taught) for chart in charts)
        return cls(rules, tuple(charts), events, scale, forecaster, pools, bare.scales, bare.columns)

    @property
    def sensors(self) -> np.ndarray:
        return np.array([scale for scale, _ in self.scale.values()]).any(axis=0) & ~self.events

    def channels(self, one: Recording) -> Channels:
        regimes = [regime if regime in self.scale else next(iter(self.scale)) for regime in one.regime.tolist()]
        return Channels(
            np.array([self.scale[regime][0] for regime in regimes]),
            np.array([self.scale[regime][1] for regime in regimes]),
            self.events,
        )

    def moments(self, one: Recording):
        channels = self.channels(one)
        return moments_of(one.x, channels.scale, channels.offset, Learning(self.rules.rows))

    def s(self, machine: Recording) -> Float64:
        """[T - N, J]: the charts over their scales, from the first row after the learning on."""
        bank = Bank(self.charts, Learning(self.rules.rows), self.channels(machine), self.pools)
        forecasts = None
        if self.forecaster is not None:
            forecasts = forecasts_of(self.forecaster, self.moments(machine).z, np.zeros(len(machine.x), bool))
        return chart_rows(bank, machine.x, forecasts).s[self.rules.rows :] / self.scales

    def with_scales(self, normal: Sequence[Float64]) -> "Detector":
        """The scales of normal time; `normal` comes from `s` with scales of 1."""
        return self._replaced(scales=np.array(scales_of(normal)))

    def chosen(self, normal: Sequence[Float64], machines: Sequence["Labelled"]) -> tuple["Detector", str]:
        """With the set of charts that labelled machines choose, as `forewarn-train fit` has it; charts over scales."""
        sets = {
            name: self.with_bank(charts) for name, charts in sets_of([self.charts[one] for one in self.columns]).items()
        }
        warned = {}
        for name, of in sets.items():
            threshold = blind_threshold([of.of(one) for one in normal], self.rules)
            warned[name] = np.array(
                [one.warned(spells(of.of(one.s), threshold, self.rules, one.t_s)) for one in machines]
            )
        name = choose_set(warned).name
        return sets[name], name

    def with_bank(self, bank: Sequence[ChartSpec]) -> "Detector":
        """With those of its charts in use."""
        return self._replaced(columns=[self.charts.index(chart) for chart in bank])

    def of(self, s: Float64) -> Float64:
        """[T]: anomaly of the charts in use."""
        return s[:, self.columns].max(axis=1)

    def _replaced(self, **changes) -> "Detector":
        fields = {name: getattr(self, name) for name in self.__slots__}
        return Detector(**(fields | changes))


def bounds(faulty: np.ndarray, t_s: Float64) -> Float64:
    """Intervals [start, end) of the rows that are labelled, float64 [n, 2]."""
    edges = np.diff(np.concatenate(([0], faulty.astype(np.int64), [0])))
    after = np.append(t_s, 2 * t_s[-1] - t_s[-2])
    return np.stack((after[np.flatnonzero(edges == 1)], after[np.flatnonzero(edges == -1)]), axis=1)


def scaling_of(fit: Sequence[Recording], events: np.ndarray) -> dict[int, tuple[Float64, Float64]]:
    """Scale and offset by regime; a channel that is constant in one regime is left out of all."""
    x, regime = np.concatenate([one.x for one in fit]), np.concatenate([one.regime for one in fit])
    by_regime = {}
    for number in np.unique(regime).tolist():
        rows = x[regime == number]
        deviation, mean = rows.std(axis=0), rows.mean(axis=0)
        varies = (deviation > CONSTANT * (1 + np.abs(mean))) & ~events
        by_regime[number] = (varies / np.where(varies, deviation, 1), mean)
    varies = np.array([scale for scale, _ in by_regime.values()]).all(axis=0)
    return {number: (scale * varies, -mean * scale * varies) for number, (scale, mean) in by_regime.items()}


def spells(score: Float64, threshold: float, rules: Rules, t_s: Float64) -> tuple[Spell, ...]:
    """Alerts: raised at a row over the threshold, cleared after `hold` rows below it."""
    over = np.flatnonzero(score >= threshold)
    if not len(over):
        return ()
    cut = np.flatnonzero(np.diff(over) > rules.hold)
    first, last = over[np.append(0, cut + 1)], over[np.append(cut, len(over) - 1)]
    clear = [t_s[end + rules.hold] if end + rules.hold < len(t_s) else np.inf for end in last]
    return tuple(Spell(float(t_s[start]), float(end)) for start, end in zip(first, clear, strict=True))


def blind_threshold(normal: Sequence[Float64], rules: Rules) -> float:
    """The lowest at which normal time keeps to the budget, of quantiles of its rows and of what no row reached."""
    rows = np.concatenate(normal)
    exposure_s = len(rows) * rules.every_s
    tail = np.unique(np.quantile(rows, 1 - np.geomspace(0.3, 0.5 / len(rows), THRESHOLDS)))
    beyond = rows.max() * np.array([1.0001, 1.05, 1.25, 1.5, 2, 4])
    for threshold in (*tail, *beyond):
        stood_s = [
            min(one.cleared_s, len(score) * rules.every_s) - one.raised_s
            for score in normal
            for one in spells(score, threshold, rules, np.arange(len(score)) * rules.every_s)
        ]
        alarms = sum(n_false_alarms(each_s, rules.h_max_s) for each_s in stood_s)
        if alarms <= rules.budget_per_s * exposure_s and sum(stood_s) <= TIME_IN_ALARM_MAX * exposure_s:
            return float(threshold)
    return float(beyond[-1])
