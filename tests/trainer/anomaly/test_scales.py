"""Scales that charts exceed in equally many stretches of normal time."""

import numpy as np

from trainer.anomaly.charts import recursion
from trainer.anomaly.scales import STRETCH_ROWS, STRETCH_SHARE, scales_of


def test_each_chart_is_over_its_scale_in_as_many_stretches():
    draw, rows = np.random.default_rng(0), 400 * STRETCH_ROWS
    fast = draw.normal(size=(rows, 1))
    slow = recursion(np.full((rows, 1), 0.95), 0.05 * fast)
    s = np.hstack((slow, fast)) ** 2
    over = (s / scales_of([s]) >= 1).reshape(400, STRETCH_ROWS, 2)
    assert over.any(axis=1).sum(axis=0).tolist() == [STRETCH_SHARE * 400] * 2
    assert over[:, :, 0].sum() > 2 * over[:, :, 1].sum(), "a share of the rows would be another"


def test_a_short_recording_has_the_highest_of_few_stretches():
    rising = np.arange(3.0 * STRETCH_ROWS)[:, None]
    assert scales_of([rising]) == (3 * STRETCH_ROWS - 1,)
    many = np.arange(60.0 * STRETCH_ROWS)[:, None]
    assert scales_of([many, np.zeros((0, 1))]) == (58 * STRETCH_ROWS - 1,)


def test_a_chart_that_never_rises_has_a_scale():
    assert scales_of([np.zeros((10, 2))])[0] > 0
