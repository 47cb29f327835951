"""Limits and EWMA charts against answers known beforehand; test_contract.py has what holds for every method."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.trainer.fleet import fleet
from trainer.baselines import IN_USE
from trainer.baselines.ewma import Ewma, chart
from trainer.baselines.healthy import healthy
from trainer.baselines.limits import Limits
from trainer.baselines.scorer import Scorer, Task
from trainer.baselines.tune import tuned
from trainer.data.history import History

NAN = np.nan


def task(mean_lead: Callable[[Scorer], float] = lambda _: 0.0, *, own_rows: int = 20) -> Task:
    return Task(every_s=1.0, h_max_s=20.0, objective=mean_lead, own_rows=own_rows)


def history(rows: object, t_s: list[float] | None = None) -> History:
    """One device; `rows` [T, F], cycles from 1 on unless told."""
    x = np.array(rows, np.float32)
    times = np.arange(1.0, len(x) + 1) if t_s is None else np.array(t_s)
    return History("1", times, x, float(times[-1]))


@pytest.mark.parametrize("name", ["limits", "ewma"])
def test_the_parameter_with_the_longest_mean_lead_is_taken(name: str) -> None:
    tried: list[Scorer] = []

    def mean_lead(scorer: Scorer) -> float:
        tried.append(scorer)
        return -abs(len(tried) - 3.0)

    taken = tuned(IN_USE[name], fleet(), task(mean_lead))
    assert taken.scorer is tried[2]
    assert (taken.n_tried, len(tried)) == (10, 10)


def test_rows_are_healthy_until_two_windows_before_the_failure() -> None:
    assert healthy(history(np.zeros((50, 1))), task()).sum() == 9  # failure at 50: rows 1 to 9 have more than 40 left


def test_a_device_that_runs_on_is_healthy_outside_of_its_labelled_faults() -> None:
    runs_on = replace(history(np.zeros((50, 1))), t_fail=None)
    assert healthy(runs_on, task()).all()
    assert healthy(replace(runs_on, faults=np.array([[10.0, 15.0]])), task()).sum() == 45


def test_a_step_in_one_channel_is_counted_in_widths_of_its_band() -> None:
    limits = Limits(low=np.array([10.0, -1.0]), high=np.array([14.0, 1.0]))
    rows = [[12, 0], [14, 1], [16, 0], [12, -5], [16, -5], [NAN, -2], [NAN, NAN]]
    np.testing.assert_array_equal(limits.score(history(rows)), [0, 0, 0.5, 2, 2, 0.5, NAN])


def test_bands_are_quantiles_of_healthy_rows() -> None:
    """Rows 1 to 100 are healthy and hold 1 to 100; what comes after would widen any band."""
    x = np.concatenate([np.arange(1.0, 101), np.full(41, 1e6)])[:, None]
    tried: list[Limits] = []

    def mean_lead(scorer: Scorer) -> float:
        assert isinstance(scorer, Limits)
        tried.append(scorer)
        return 0.0

    tuned(IN_USE["limits"], [history(x)], task(mean_lead, own_rows=1000))
    assert (tried[0].low[0], tried[0].high[0]) == (1.0, 100.0)
    assert (tried[-1].low[0], tried[-1].high[0]) == (25.75, 75.25)


def test_a_chart_follows_a_step_as_roberts_says() -> None:
    stepped = history(np.full((6, 1), 5.0))
    n = np.arange(1, 7)
    expected = 3 + 2 * (1 - 0.8**n)
    np.testing.assert_allclose(chart(stepped, 0.2, 1.0, np.array([3.0]))[:, 0], expected)
    scored = Ewma(0.2, 1.0, np.array([3.0]), np.array([0.5])).score(stepped)
    np.testing.assert_allclose(scored, (expected - 3) / 0.5)
    below = Ewma(0.2, 1.0, np.array([7.0]), np.array([0.5])).score(stepped)
    np.testing.assert_allclose(below, scored)


def test_a_gap_weighs_as_the_rows_that_are_missing_would_have() -> None:
    """Cadence 2 s: a row after 6 s counts for three; so does one after two rows without a value."""
    level = np.array([0.0])
    together = chart(history([[1.0], [4.0], [4.0], [4.0]], [2, 4, 6, 8]), 0.3, 2.0, level)
    apart = chart(history([[1.0], [4.0]], [2, 8]), 0.3, 2.0, level)
    missing = chart(history([[1.0], [NAN], [np.inf], [4.0]], [2, 4, 6, 8]), 0.3, 2.0, level)
    assert (apart[0, 0], apart[-1]) == (pytest.approx(0.3), pytest.approx(together[-1]))
    assert missing[-1] == pytest.approx(together[-1])
    assert (missing[1], missing[2]) == (missing[0], missing[0])


def test_a_chart_says_nothing_until_its_channel_is_heard() -> None:
    rows = [[NAN, NAN], [NAN, 1.0], [2.0, NAN]]
    found = Ewma(0.5, 1.0, np.zeros(2), np.ones(2)).score(history(rows))
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], [0.75, 2.0 * (1 - 0.5**3)])  # the weight of rows 1 to 3 since the start


def test_the_deviation_of_a_chart_is_that_of_healthy_rows() -> None:
    found = tuned(IN_USE["ewma"], fleet(), task(own_rows=1000)).scorer
    assert isinstance(found, Ewma)
    off = [chart(one, found.rate, 1.0, found.level)[healthy(one, task())] - found.level for one in fleet()]
    np.testing.assert_allclose((np.concatenate(off) ** 2).mean(axis=0), found.spread**2)
    healthy_rows = np.concatenate([one.x[healthy(one, task())] for one in fleet()])
    np.testing.assert_allclose(found.level, healthy_rows.astype(np.float64).mean(axis=0))
