"""A chart follows the pool where the halves of a device's learning do not agree."""

import numpy as np
import pytest

from trainer.anomaly.charts import ChartSpec
from trainer.anomaly.moments import Learning, moments_of
from trainer.anomaly.pool import FitRows, pool_of

LEARNING = Learning(100)
LEVEL = ChartSpec("level", 0, 0.2, "max")
F = 4


def fleet(offset: float, spread: float, n: int = 12) -> list[FitRows]:
    """Devices of white noise; their means and the logarithms of their spreads differ by so much."""
    draw = np.random.default_rng(0)
    devices = []
    for _ in range(n):
        own = draw.normal(size=F) * offset + draw.normal(size=(150, F)) * np.exp(draw.normal(size=F) * spread)
        moments = moments_of(own, np.ones(F), np.zeros(F), LEARNING)
        devices.append(FitRows(moments, np.arange(150) == 0, np.ones(150, bool), {8: np.zeros((150, F))}))
    return devices


@pytest.mark.parametrize(
    ("offset", "spread", "own"), [(0, 0, (0, 0)), (3, 0, (1, 1)), (0, 1.5, (1, 1)), (3, 1.5, (1, 1))]
)
def test_own_figures_where_devices_differ_and_the_pool_where_they_do_not(offset, spread, own):
    pool = pool_of(LEVEL, LEARNING, np.ones(F, bool), fleet(offset, spread, n=60))
    assert (pool.own_mean[0], pool.own_spread[0]) == own


def test_the_pool_of_white_noise_is_what_theory_says():
    pool = pool_of(LEVEL, LEARNING, np.ones(F, bool), fleet(0, 0, n=40))
    np.testing.assert_allclose(pool.mean, 0, atol=0.1)
    np.testing.assert_allclose(pool.spread, 0.2 / 1.8, rtol=0.15)


def test_a_spread_of_too_few_rows_is_the_pools_though_the_mean_is_the_devices():
    slow = ChartSpec("level", 0, 0.05, "max")
    pool = pool_of(slow, LEARNING, np.ones(F, bool), fleet(3, 0, n=60))
    assert (pool.own_mean[0], pool.own_spread[0]) == (1, 0)


def test_a_forecast_that_looks_beyond_the_learning_has_nothing_of_its_own():
    devices = fleet(0, 1.5)
    far = [FitRows(one.moments, one.fresh, one.normal, {90: np.zeros((150, F))}) for one in devices]
    pool = pool_of(ChartSpec("forecast", 90, 0.2, "max"), LEARNING, np.ones(F, bool), far)
    assert not pool.own_mean.any()
    assert not pool.own_spread.any()


def test_too_few_devices_tell_nothing_and_the_own_is_used():
    pool = pool_of(LEVEL, LEARNING, np.ones(F, bool), fleet(0, 0, n=3))
    assert pool.own_mean.all()
    assert pool.own_spread.all()
