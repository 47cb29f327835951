"""What became of the risks and intervals that were told, against numbers that can be worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from agent.score.time_unit import Unit
from trainer.evaluation.device_bootstrap import shares95
from trainer.evaluation.interval_coverage import IntervalCoverage, coverage_of
from trainer.evaluation.metrics import Figures, HorizonFigures
from trainer.evaluation.plot import plot_reliability
from trainer.evaluation.reliability import Bin, calibration_error, reliability


def bins_of(risk: list[float], faulty: list[bool], of_device: list[int]) -> tuple[Bin, ...]:
    return reliability(np.array(risk, np.float32), np.array(faulty), np.array(of_device), 3)


def coverage(rul: list[list[float]], left: list[float], of_device: list[int]) -> IntervalCoverage:
    return coverage_of(np.array(rul, np.float32), np.array(left), np.array(of_device), 3, 100.0)


def test_a_bin_tells_what_was_said_what_came_true_and_on_how_many_devices() -> None:
    found = bins_of([0.25, 0.0, 0.05, 0.29, 0.21, 1.0], [True, False, False, False, True, True], [0, 0, 1, 2, 2, 1])
    assert [(one.low, one.high) for one in found] == [(0.0, 0.1), (0.2, 0.3), (0.9, 1.0)], "an empty bin is left out"
    assert [(one.n_rows, one.n_devices) for one in found] == [(2, 2), (3, 2), (1, 1)]
    assert [one.risk for one in found] == pytest.approx([0.025, 0.25, 1.0])
    assert [one.observed for one in found] == [0.0, 2 / 3, 1.0]


def test_said_and_observed_differ_by_the_mean_over_rows() -> None:
    found = bins_of([0.25, 0.25, 0.25, 0.95], [True, False, False, False], [0, 0, 1, 1])
    assert calibration_error(found) == pytest.approx((3 * (1 / 3 - 0.25) + 0.95) / 4)
    assert calibration_error(bins_of([0.25] * 4, [True, False, False, False], [0, 0, 1, 2])) == 0


def test_rows_that_are_alike_do_not_narrow_the_interval() -> None:
    """Two devices of which one always failed: the more rows each has, the same is known."""
    few, many = (shares95(np.array([[n], [0]]), np.array([[n], [n]]))[0] for n in (1, 1000))
    assert (few.low, few.high) == (many.low, many.high) == (0.0, 1.0)
    mixed = shares95(np.array([[5], [5], [6], [4]]), np.full((4, 1), 10))[0]
    assert 0.4 < mixed.low < 0.5 < mixed.high < 0.6


def test_one_device_has_no_interval() -> None:
    hits, rows = np.array([[3, 1], [0, 0]]), np.array([[4, 4], [0, 4]])
    alone, two = shares95(hits, rows)
    assert np.isnan([alone.low, alone.high]).all()
    assert (two.low, two.high) == (0.0, 0.25)


def test_coverage_is_counted_whole_by_what_is_left_and_by_device() -> None:
    rul: list[list[float]] = [[0, 10, 20], [30, 40, 50], [80, 90, 100], [60, 70, 80], [10, 20, 30]]
    found = coverage(rul, [20.0, 25.0, 100.0, 90.0, 0.0], [0, 0, 1, 1, 2])
    whole = found.whole
    assert (whole.n_rows, whole.n_devices, whole.share, whole.sooner) == (5, 3, 2 / 5, 2 / 5)
    assert whole.width_s == 20.0
    parts = [(one.left_min_s, one.left_max_s, one.n_rows, one.share, one.sooner) for one in found.by_left]
    assert parts == [(0, 25, 2, 0.5, 0.5), (25, 50, 1, 0.0, 1.0), (75, 100, 2, 0.5, 0.0)]
    assert found.of_devices.median == 0.5
    assert found.of_devices.low == pytest.approx(0.1), "the device without a hold, a fifth of the way to the next"


def test_devices_without_a_row_within_the_cap_do_not_count_as_missed() -> None:
    found = coverage([[0, 10, 20], [0, 10, 20]], [10.0, 15.0], [0, 0])
    assert (found.whole.n_devices, found.of_devices.low, found.of_devices.high) == (1, 1.0, 1.0)


@pytest.mark.slow
def test_reliability_is_drawn_for_every_horizon(tmp_path: Path) -> None:
    bins = bins_of([0.25, 0.0, 0.05, 0.29, 0.21, 1.0], [True, False, False, False, True, True], [0, 0, 1, 2, 2, 1])
    interval = coverage([[0, 10, 20], [0, 10, 20]], [10.0, 15.0], [0, 1])
    widths = []
    for n in (1, 3):
        horizons = tuple(HorizonFigures(10.0 * k, 0.5, 0.1, 0.25, calibration_error(bins), bins) for k in range(n))
        path = tmp_path / f"{n}.png"
        plot_reliability(Figures(3, 6, 1.0, 2.0, interval, horizons), Unit("cycle", 1.0, "1000 cycles", 1000.0), path)
        widths.append(imread(path).shape[1])
    assert widths[1] > 2 * widths[0]
