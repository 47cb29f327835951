"""Labels of other machines choose among three families of charts."""

import numpy as np
import pytest

from trainer.anomaly.charts import ChartSpec
from trainer.anomaly.family import average_precision, choose_family, family

CHARTS = (ChartSpec("level", 0, 0.05, "max"), ChartSpec("smoothing", 0, 1.0, "mean"))


def test_the_family_whose_charts_rise_in_faults_is_chosen():
    draw = np.random.default_rng(0)
    faulty = np.arange(400) >= 300
    noise = draw.random((400, 2))
    slow, fast = noise + faulty[:, None] * [1, 0] * 0.8, noise + faulty[:, None] * [0, 1] * 0.8
    assert choose_family(CHARTS, [slow], [faulty])[0] == "slow"
    assert choose_family(CHARTS, [fast, fast], [faulty, faulty])[0] == "fast"
    assert choose_family(CHARTS, [noise + faulty[:, None] * 0.8], [faulty])[0] == "all"


def test_without_a_label_all_charts_stay():
    assert choose_family(CHARTS, [np.zeros((9, 2))], [np.zeros(9, bool)]) == ("all", {})


def test_a_family_without_charts_is_not_chosen():
    assert set(choose_family(CHARTS[:1], [np.zeros((9, 1))], [np.arange(9) > 4])[1]) == {"all", "slow"}
    assert family("fast", CHARTS) == [1]


@pytest.mark.parametrize(
    ("score", "expected"),
    [([3, 2, 1, 0], (1 + 2 / 3) / 2), ([3, 1, 2, 0], 1), ([1, 1, 1, 1], 0.5)],
)
def test_average_precision_by_hand(score, expected):
    positive = np.array([True, False, True, False])
    assert average_precision(np.array(score, float), positive) == pytest.approx(expected)
