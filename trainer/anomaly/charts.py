"""The charts of the `anomaly` head over whole histories: the reference that the graph of a bundle is tested against.

A chart follows a residual of each channel by an exponentially weighted mean (S. W. Roberts, Technometrics 1 (1959),
239-250) and squares it in units of *its own variance on this device*: surprise that is smoothed first and squared then
keeps its sign, so a small step that stays is seen, and noise that changes sides is not. One row after the other, with
N the learning rows, n the row (from 1), k the row since the start or the last lost history, everything [F] a channel:

    y   = clip(x scale + offset, +-30)                        missing: the own mean, which teaches nothing
    m  += [n <= N and there];  mu += [..] (y - mu) / m;  M2 += [..] (y - mu_old)(y - mu)
    v   = (M2 + nu f) / (m + nu);  z = clip((y - mu) / sqrt v, +-6)          after this row was counted (moments.py)
    r   = y                          level
          y - S, then S += 0.3 (y - S)    smoothing: at k = 1 S is y first, so r is 0; so it is at a channel's first
                                          value while nothing was learnt of it; a missing value leaves S as it is
          z(t) - zhat(t | t - a)          forecast: from k > a and n > N // 2 on, since z moves before
    c  += [n <= N, there];  b += [..] (r - b) / c             a residual's own mean
    b'  = pool_mean + own_mean (b - pool_mean)
    e   = (1 - rate) e + rate (r - b')                        r - b' is 0 for a missing value and where r is not there;
                                                              e is 0 before the chart starts and after lost history
    Q  += [n <= N, there] e^2;  D = Q / c + eps v             forecast: eps, as z is in own units
    D'  = own_spread D + (1 - own_spread) pool_spread
    u   = e^2 / D'                                            0 for an event, a channel of scale 0, and, unless the
                                                              pool alone is used, one with fewer than half of the
                                                              chart's learning rows: c < rows // 2
    s   = max u, or its mean over the channels that have one  0 where none has
    event chart: level's u; g = an event in this row or the `ahead - 1` before; s = (sqrt(s of level) + 2 g)^2

    anomaly = max_j s_j / q_j;  -(rows until the first number) while n <= N or k <= A, the farthest `ahead`
    contribution = u / sum u of that chart (equal shares where it is 0); zeros while anomaly is negative

Kept over lost history: n, m, mu, M2, c, b, Q. Begun again: k, h, c of the net, ring, S, e, events.
With own_mean = own_spread = 1 the pool is not used. They are 0 for a chart in which devices differ no more than a
device does from itself (pool.py): there the pool knows better than a few rows do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from agent.words import Bool, Float32, Int64
from trainer.anomaly.moments import Learning, Moments, distance, moments_of, running_mean
from trainer.data.history import Float64

SMOOTHING = 0.3
"""Weight of the newest row in S."""
EVENT_WEIGHT = 2.0
"""Deviations that a recent event adds to the level."""
FORGOTTEN = 1e-12
"""A weight that no score can show."""


@dataclass(frozen=True, slots=True)
class ChartSpec:
    """One chart, as agent.bundle.manifest.Chart has it; `ahead`: rows of a forecast, or for which an event counts."""

    residual: Literal["level", "smoothing", "forecast", "event"]
    ahead: int
    rate: float
    mix: Literal["max", "mean"]


@dataclass(frozen=True, slots=True)
class Pool:
    """What a chart's residuals are over the fit devices, float64 [F] each.

    mean, spread          mean of the residual, and mean square of the chart, on normal rows
    own_mean, own_spread  weight of the device's own, 0 to 1
    """

    mean: Float64
    spread: Float64
    own_mean: Float64
    own_spread: Float64

    @classmethod
    def unused(cls, n_channels: int) -> Self:
        """The device's own alone."""
        return cls(np.zeros(n_channels), np.ones(n_channels), np.ones(n_channels), np.ones(n_channels))


@dataclass(frozen=True, slots=True)
class Channels:
    """scale, offset float64 [F] or [T, F]; events bool [F]: counts of events, which no chart but `event` follows."""

    scale: Float64
    offset: Float64
    events: Bool

    @property
    def sensors(self) -> Bool:
        """bool [F]: what the charts follow."""
        varies: Bool = np.atleast_2d(self.scale != 0).any(axis=0) & ~self.events
        return varies


@dataclass(frozen=True, slots=True)
class Bank:
    """All that is fixed before a device is seen; a `Pool` a chart."""

    charts: tuple[ChartSpec, ...]
    learning: Learning
    channels: Channels
    pools: tuple[Pool, ...]

    @property
    def farthest(self) -> int:
        """A: rows that the farthest forecast looks ahead."""
        return max((chart.ahead for chart in self.charts if chart.residual == "forecast"), default=0)


@dataclass(frozen=True, slots=True)
class ChartRows:
    """Charts of a history, before they are compared.

    s         float64 [T, J]
    u         float32 [T, J, F]  what each channel gives to a chart
    wait      int64 [T]          rows until the first number, 0 from it on
    distance  float64 [T]        of the own normal from the pool's; 0 while it is learnt
    """

    s: Float64
    u: Float32
    wait: Int64
    distance: Float64


def chart_rows(
    bank: Bank, x: Float32, forecasts: Mapping[int, Float64] | None = None, history_lost: Bool | None = None
) -> ChartRows:
    """All charts of one device's rows [T, F], NaN where a value is missing.

    forecasts     of each `ahead`, float64 [T, F]: what was expected of a row's z, at that row; NaN where nothing was
    history_lost  bool [T]: rows before which history was lost
    """
    fresh = np.zeros(len(x), np.bool_) if history_lost is None else history_lost.copy()
    fresh[:1] = True
    moments = moments_of(x, bank.channels.scale, bank.channels.offset, bank.learning)
    pairs = [
        _chart(chart, pool, bank, moments, fresh, (forecasts or {}).get(chart.ahead))
        for chart, pool in zip(bank.charts, bank.pools, strict=True)
    ]
    for index, chart in enumerate(bank.charts):
        if chart.residual == "event":
            pairs[index] = _with_events(chart, bank.channels, x, fresh, *pairs[index])
    n = np.arange(1, len(x) + 1)
    k = n - np.maximum.accumulate(np.where(fresh, n - 1, 0))
    wait = np.maximum(np.maximum(bank.learning.rows + 1 - n, bank.farthest + 1 - k), 0)
    return ChartRows(
        s=np.stack([s for s, _ in pairs], axis=1),
        u=np.stack([u for _, u in pairs], axis=1).astype(np.float32),
        wait=wait,
        distance=np.where(n > bank.learning.rows, distance(moments, bank.channels.sensors), 0.0),
    )


def anomaly(rows: ChartRows, scales: Sequence[float] | Float64) -> tuple[Float64, Float64]:
    """The head's `anomaly` [T] and `contribution` [T, F], from a scale q > 0 a chart."""
    by_chart = rows.s / np.asarray(scales)
    u = rows.u[np.arange(len(rows.s)), by_chart.argmax(axis=1)].astype(np.float64)
    total = u.sum(axis=1, keepdims=True)
    share = np.where(total > 0, u / np.where(total > 0, total, 1.0), 1 / u.shape[1])
    learns = rows.wait > 0
    return np.where(learns, -rows.wait, by_chart.max(axis=1)), np.where(learns[:, None], 0.0, share)


def first_row(chart: ChartSpec, learning: Learning) -> int:
    """Rows of a device before a chart starts: z moves while it is learnt, and with it what is expected of it."""
    return learning.rows // 2 if chart.residual == "forecast" else 0


def residual_of(
    chart: ChartSpec, learning: Learning, moments: Moments, fresh: Bool, forecast: Float64 | None
) -> tuple[Float64, Bool]:
    """The residual [T, F] that a chart follows, and where there is one. Raises ValueError without its forecasts."""
    if chart.residual == "smoothing":
        return moments.y - _smooth_before(moments, learning, fresh), moments.is_there
    if chart.residual != "forecast":
        return moments.y, moments.is_there
    if forecast is None:
        raise ValueError(f"no forecast {chart.ahead} rows ahead was given")
    started = (np.arange(len(moments.z)) >= first_row(chart, learning))[:, None]
    return moments.z - np.nan_to_num(forecast), moments.is_there & np.isfinite(forecast) & started


def _chart(
    chart: ChartSpec, pool: Pool, bank: Bank, moments: Moments, fresh: Bool, forecast: Float64 | None
) -> tuple[Float64, Float64]:
    """s [T] and u [T, F] of one chart; of an `event` one, of its level."""
    n_rows, first = bank.learning.rows, first_row(chart, bank.learning)
    residual, is_there = residual_of(chart, bank.learning, moments, fresh, forecast)
    own_units = moments.variance if chart.residual != "forecast" else np.ones_like(moments.variance)
    floor, row = bank.learning.floor * own_units, np.arange(len(residual))
    teaches = is_there & (row < n_rows)[:, None]
    own, count = running_mean(residual, teaches)
    centre = pool.mean + pool.own_mean * (own - pool.mean)
    keeps = np.broadcast_to(np.where(fresh, 0.0, 1 - chart.rate)[:, None], residual.shape)
    e = recursion(keeps, chart.rate * np.where(is_there, residual - centre, 0.0))
    spread = np.cumsum(np.where(teaches, e**2, 0.0), axis=0) / np.maximum(count, 1) + floor
    spread = pool.own_spread * spread + (1 - pool.own_spread) * pool.spread
    pooled = (pool.own_mean == 0) & (pool.own_spread == 0)
    judged = bank.channels.sensors & (pooled | (count >= max((n_rows - first) // 2, 1)))
    u = np.where(judged, e**2 / spread, 0.0)
    if chart.mix == "max":
        return u.max(axis=1, initial=0.0), u
    return u.sum(axis=1) / np.maximum(judged.sum(axis=1), 1), u


def _smooth_before(moments: Moments, learning: Learning, fresh: Bool) -> Float64:
    """S of the row before, [T, F]; the row itself where there is none, so that nothing was expected of it."""
    seen = np.cumsum(moments.is_there, axis=0)
    since: Int64 = seen - np.maximum.accumulate(np.where(fresh[:, None], seen - moments.is_there, 0), axis=0)
    unlearnt = seen[np.minimum(np.arange(len(seen)), learning.rows) - 1] == 0  # before this row; of row 0 it is fresh
    starts = fresh[:, None] | (moments.is_there & (since == 1) & unlearnt)
    keeps = np.where(starts, 0.0, np.where(moments.is_there, 1 - SMOOTHING, 1.0))
    smooth = recursion(keeps, np.where(starts, moments.y, np.where(moments.is_there, SMOOTHING * moments.y, 0.0)))
    before = np.concatenate((moments.y[:1], smooth[:-1]))
    return np.where(starts | ~moments.is_there, moments.y, before)


def _with_events(
    chart: ChartSpec, channels: Channels, x: Float32, fresh: Bool, level: Float64, u: Float64
) -> tuple[Float64, Float64]:
    """A level that a recent event confirms; each gives its part of sqrt s to the contributions."""
    row = np.arange(len(x))[:, None]
    newest = np.maximum.accumulate(np.where((x > 0) & channels.events, row, -chart.ahead), axis=0)
    since_start = np.maximum.accumulate(np.where(fresh, row[:, 0], 0))[:, None]
    recent = (newest > row - chart.ahead) & (newest >= since_start)
    deviation = np.sqrt(level)
    total = u.sum(axis=1, keepdims=True)
    of_level = u / np.where(total > 0, total, 1.0) * deviation[:, None]
    of_events = EVENT_WEIGHT * recent / np.maximum(recent.sum(axis=1, keepdims=True), 1)
    return (deviation + EVENT_WEIGHT * recent.any(axis=1)) ** 2, of_level + of_events


def recursion(keeps: Float64, adds: Float64) -> Float64:
    """float64 [T, F]: y(t) = keeps(t) y(t - 1) + adds(t) from y = 0, with 0 <= keeps <= 1, without a loop over rows.

    By doubling (W. D. Hillis and G. L. Steele, Communications of the ACM 29 (1986), 1170-1183), until nothing is
    kept over so many rows.
    """
    keeps, total, span = keeps.copy(), adds.copy(), 1
    while span < len(total) and keeps[span:].max(initial=0.0) > FORGOTTEN:
        total[span:] = total[span:] + keeps[span:] * total[:-span]
        keeps[span:] = keeps[span:] * keeps[:-span]
        span *= 2
    return total
