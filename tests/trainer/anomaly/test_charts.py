"""The charts over whole histories against the equations of their docstring, written down row by row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.anomaly.charts import (
    EVENT_WEIGHT,
    SMOOTHING,
    Bank,
    Channels,
    ChartSpec,
    Pool,
    anomaly,
    chart_rows,
    recursion,
)
from trainer.anomaly.moments import Learning

CHARTS = (
    ChartSpec("level", 0, 0.05, "max"),
    ChartSpec("forecast", 4, 0.2, "max"),
    ChartSpec("smoothing", 0, 1.0, "mean"),
    ChartSpec("event", 5, 0.1, "max"),
)
F = 3


def bank(charts=CHARTS, rows=40, scale=(1.0, 2.0, 1.0), events=(False, False, True), pool=None) -> Bank:
    n_channels = len(scale)
    channels = Channels(np.array(scale), np.zeros(n_channels), np.array(events))
    return Bank(charts, Learning(rows), channels, (pool or Pool.unused(n_channels),) * len(charts))


def by_rows(of: Bank, x, forecasts, lost):
    """The equations of charts.py, one row and one channel at a time: s [T, J] and wait [T]."""
    learning, found, waits = of.learning, [], []
    k = 0
    count, mu, squares = np.zeros(F), np.zeros(F), np.zeros(F)
    own = [{"c": np.zeros(F), "b": np.zeros(F), "e": np.zeros(F), "q": np.zeros(F)} for _ in of.charts]
    smooth, newest = np.zeros(F), np.full(F, -999)
    for t, row in enumerate(x):
        n = t + 1
        k = 1 if lost[t] else k + 1
        if k == 1:
            newest[:] = -999
            for one in own:
                one["e"][:] = 0
        there = ~np.isnan(row)
        y = np.clip(np.where(there, row, 0) * of.channels.scale + of.channels.offset, -30, 30)
        first = there & (count == 0)
        for c in range(F):
            if there[c] and n <= learning.rows:
                count[c] += 1
                old = mu[c]
                mu[c] += (y[c] - old) / count[c]
                squares[c] += (y[c] - old) * (y[c] - mu[c])
        v = (squares + learning.prior * learning.variance) / (count + learning.prior)
        y = np.where(there, y, mu)
        z = np.clip((y - mu) / np.sqrt(v), -6, 6)
        newest[(row > 0) & of.channels.events] = t
        smooth = np.where((first & (n <= learning.rows)) | (k == 1), y, smooth)
        s_row = []
        for chart, pool, one in zip(of.charts, of.pools, own, strict=True):
            is_forecast = chart.residual == "forecast"
            start = learning.rows // 2 if is_forecast else 0
            r = {"level": y, "event": y, "smoothing": y - smooth, "forecast": z - forecasts[t]}[chart.residual]
            ok = there & (n > start) & (np.isfinite(forecasts[t]) if is_forecast else True)
            s, judged = np.zeros(F), np.zeros(F, bool)
            for c in range(F):
                teaches = ok[c] and n <= learning.rows
                if teaches:
                    one["c"][c] += 1
                    one["b"][c] += (r[c] - one["b"][c]) / one["c"][c]
                centre = pool.mean[c] + pool.own_mean[c] * (one["b"][c] - pool.mean[c])
                one["e"][c] += chart.rate * ((r[c] - centre if ok[c] else 0) - one["e"][c])
                one["q"][c] += one["e"][c] ** 2 if teaches else 0
                d = one["q"][c] / max(one["c"][c], 1) + learning.floor * (1 if is_forecast else v[c])
                d = pool.own_spread[c] * d + (1 - pool.own_spread[c]) * pool.spread[c]
                enough = one["c"][c] >= (learning.rows - start) // 2 or not pool.own_mean[c] + pool.own_spread[c]
                judged[c] = of.channels.sensors[c] and enough
                s[c] = one["e"][c] ** 2 / d if judged[c] else 0
            mixed = s.max() if chart.mix == "max" else s.sum() / max(judged.sum(), 1)
            if chart.residual == "event":
                mixed = (np.sqrt(mixed) + EVENT_WEIGHT * (t - newest < chart.ahead).any()) ** 2
            s_row.append(mixed)
        smooth = np.where(there, smooth + SMOOTHING * (y - smooth), smooth)
        found.append(s_row)
        waits.append(max(learning.rows + 1 - n, of.farthest + 1 - k, 0))
    return np.array(found), np.array(waits)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.4), st.sampled_from([1.0, 0.3, 0.0]))
def test_whole_histories_give_what_the_equations_give_row_by_row(seed, share_missing, own):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(120, F)) * [1, 0.01, 1] + [3, -40, 0]
    x[:, 2] = draw.random(120) < 0.1
    x[60:, 0] += 2
    x[draw.random(x.shape) < share_missing] = np.nan
    forecasts = draw.normal(size=x.shape)
    lost = draw.random(120) < 0.02
    lost[0] = True
    age = np.arange(120) - np.maximum.accumulate(np.where(lost, np.arange(120), 0))
    forecasts[age < 4] = np.nan
    of = bank(pool=Pool(np.full(F, 0.1), np.full(F, 0.5), np.full(F, own), np.full(F, own)))
    rows = chart_rows(of, x.astype(np.float32), {4: forecasts}, lost)
    s, wait = by_rows(of, x.astype(np.float32).astype(np.float64), forecasts, lost)
    np.testing.assert_allclose(rows.s, s, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(rows.wait, wait)


def noise(n_rows: int, seed: int = 0):
    return np.random.default_rng(seed).normal(size=(n_rows, F)).astype(np.float32)


LEVEL = bank(charts=(CHARTS[0], CHARTS[2]), rows=200, events=(False, False, False))


def test_while_it_learns_the_head_says_how_many_rows_are_left_and_names_no_channel():
    value, contribution = anomaly(chart_rows(LEVEL, noise(300)), (1.0, 1.0))
    assert value[:200].tolist() == list(range(-200, 0))
    assert (value[200:] >= 0).all()
    assert not contribution[:200].any()
    np.testing.assert_allclose(contribution[200:].sum(axis=1), 1, rtol=1e-6)


def test_a_step_that_stays_leads_in_the_level_chart_and_in_its_own_channel():
    x = noise(400)
    x[300:, 1] += 1.5
    rows = chart_rows(LEVEL, x)
    value, contribution = anomaly(rows, np.quantile(rows.s[200:300], 0.99, axis=0))
    assert value[-50:].min() > 3 * value[200:300].max()
    assert (contribution[-50:].argmax(axis=1) == 1).all()


def test_an_offset_of_the_device_that_was_there_while_it_learnt_is_normal_and_is_told_as_distance():
    rows, moved = chart_rows(LEVEL, noise(300)), chart_rows(LEVEL, noise(300) + np.float32(5))
    np.testing.assert_allclose(moved.s[200:], rows.s[200:], rtol=1e-3)
    assert not moved.distance[:200].any()
    assert moved.distance[-1] == pytest.approx(2 * 5, abs=0.5)  # the second channel is scaled by 2
    assert rows.distance[-1] < 1


def test_after_lost_history_the_ring_is_filled_again_and_the_own_normal_stays():
    forecasts = {4: np.zeros((300, F))}
    lost = np.zeros(300, bool)
    lost[250] = True
    rows = chart_rows(bank(rows=100), noise(300), forecasts, lost)
    assert rows.wait[248:256].tolist() == [0, 0, 4, 3, 2, 1, 0, 0]


def test_a_channel_that_was_hardly_heard_while_it_was_learnt_is_not_judged():
    x = noise(300)
    x[:150, 0] = np.nan
    assert not chart_rows(LEVEL, x).u[200:, :, 0].any()
    x[:90, 1], x[90:150, 1] = np.nan, 7
    assert chart_rows(LEVEL, x).u[200:, :, 1].any()


def test_an_event_counts_for_its_rows_and_not_after_lost_history():
    of = bank(charts=(ChartSpec("event", 5, 0.1, "max"),), rows=100)
    x = noise(300)
    x[:, 2] = 0
    quiet = chart_rows(of, x)
    x[200, 2], x[250, 2] = 1, 1
    lost = np.zeros(300, bool)
    lost[252] = True
    rows = chart_rows(of, x, None, lost)
    assert np.flatnonzero(rows.s[:252, 0] != quiet.s[:252, 0]).tolist() == [200, 201, 202, 203, 204, 250, 251]
    assert rows.u[200, 0].argmax() == 2
    assert not rows.u[252:, 0, 2].any()


def test_a_pool_takes_the_place_of_what_a_device_learnt():
    x = noise(300)
    x[:100] += 2
    own = bank(charts=CHARTS[:1], rows=100, events=(False,) * 3)
    pooled = bank(
        charts=CHARTS[:1], rows=100, events=(False,) * 3, pool=Pool(*np.array([[0.0], [0.05], [0], [0]]).repeat(F, 1))
    )
    assert chart_rows(own, x).s[-1, 0] > 30
    assert chart_rows(pooled, x).s[-1, 0] < 10


@given(st.integers(1, 200), st.floats(0, 1))
def test_recursion_is_the_loop(n_rows, least):
    draw = np.random.default_rng(n_rows)
    keeps, adds = draw.uniform(least, 1, (n_rows, 2)), draw.normal(size=(n_rows, 2))
    y, expected = np.zeros(2), []
    for a, c in zip(keeps, adds, strict=True):
        y = a * y + c
        expected.append(y)
    np.testing.assert_allclose(recursion(keeps, adds), expected, rtol=1e-9, atol=1e-9)


def test_a_forecast_chart_without_forecasts_is_refused():
    with pytest.raises(ValueError, match="4 rows ahead"):
        chart_rows(bank(), noise(60))
