"""Each baseline against answers known beforehand; what holds for all of them is tested over the list."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from agent.errors import DataRefused
from tests.trainer.fleet import fleet
from trainer.baselines import BASELINES
from trainer.baselines.ewma import Ewma, chart
from trainer.baselines.limits import Limits
from trainer.baselines.scorer import Scorer, Task, healthy
from trainer.data.history import History

NAN = np.nan


def task(mean_lead: Callable[[Scorer], float] = lambda _: 0.0, *, every_s: float = 1.0) -> Task:
    return Task(every_s=every_s, h_max_s=20.0, mean_lead_at_budget=mean_lead)


def history(rows: object, t_s: list[float] | None = None) -> History:
    """One device; `rows` [T, F], cycles from 1 on unless told."""
    x = np.array(rows, np.float32)
    times = np.arange(1.0, len(x) + 1) if t_s is None else np.array(t_s)
    return History("1", times, x, float(times[-1]))


def hostile() -> History:
    """Sixty rows with values missing, rows missing as a whole, a gap in time, and wild values."""
    one = fleet(4)[3]
    x, t_s = one.x[:58].copy(), one.t_s[:58].copy()
    x[np.random.default_rng(0).random(x.shape) < 0.2] = NAN
    x[[0, 7, 30]] = NAN
    x[20, 0], x[21, 1], x[40, 2] = 1e30, -1e30, np.inf
    t_s[25:] += 13.5
    return replace(one, t_s=t_s, x=x, t_fail=float(t_s[-1]))


@pytest.mark.parametrize("name", BASELINES)
def test_a_row_is_scored_by_what_came_before_it(name: str) -> None:
    """Bit for bit: the score of each row is the last one of the history cut off there."""
    scorer, whole = BASELINES[name](fleet(), task()), hostile()
    scores = scorer.score(whole)
    assert (scores.dtype, scores.shape) == (np.float64, (58,))
    for n in range(1, 59):
        cut = replace(whole, t_s=whole.t_s[:n], x=whole.x[:n], t_fail=None)
        assert scorer.score(cut).tobytes() == scores[:n].tobytes()


@pytest.mark.parametrize("name", BASELINES)
def test_a_score_is_at_least_zero_or_says_nothing(name: str) -> None:
    scores = BASELINES[name](fleet(), task()).score(hostile())
    assert np.isfinite(scores).sum() > 40
    assert not (scores < 0).any()


@pytest.mark.parametrize("name", BASELINES)
def test_a_worn_device_scores_higher_than_a_new_one(name: str) -> None:
    one = fleet()[9]
    scores = BASELINES[name](fleet(), task()).score(one)
    assert scores[-5:].min() > scores[:20].max()


@pytest.mark.parametrize("name", ["limits", "ewma"])
def test_the_parameter_with_the_longest_mean_lead_is_taken(name: str) -> None:
    tried: list[Scorer] = []

    def mean_lead(scorer: Scorer) -> float:
        tried.append(scorer)
        return -abs(len(tried) - 3.0)

    assert BASELINES[name](fleet(), task(mean_lead)) is tried[2]
    assert len(tried) == 5


@pytest.mark.parametrize("value", [0.0, 0.1, 641.82])
@pytest.mark.parametrize("name", ["limits", "ewma"])
def test_a_constant_channel_is_left_out(name: str, value: float) -> None:
    def with_constant(one: History, constant: float) -> History:
        return replace(one, x=np.hstack([one.x, np.full((len(one.x), 1), constant, np.float32)]))

    plain = BASELINES[name](fleet(), task()).score(fleet()[0])
    scorer = BASELINES[name]([with_constant(one, value) for one in fleet()], task())
    assert scorer.score(with_constant(fleet()[0], value)).tobytes() == plain.tobytes()
    assert scorer.score(with_constant(fleet()[0], 7.0)).tobytes() == plain.tobytes()


@pytest.mark.parametrize("name", ["limits", "ewma"])
def test_histories_that_show_no_normal_running_are_refused(name: str) -> None:
    constant = [replace(one, x=np.ones_like(one.x)) for one in fleet()]
    short = [replace(one, t_s=one.t_s[-40:], x=one.x[-40:]) for one in fleet()]
    for histories in (constant, short):
        with pytest.raises(DataRefused, match=r"no channel varies until 2 x judge\.h_max"):
            BASELINES[name](histories, task())


def test_rows_are_healthy_until_two_windows_before_the_failure() -> None:
    assert healthy(history(np.zeros((50, 1))), task()).sum() == 9  # failure at 50: rows 1 to 9 have more than 40 left


def test_rows_of_a_device_that_runs_on_are_healthy_until_two_windows_before_their_end() -> None:
    assert healthy(replace(history(np.zeros((50, 1))), t_fail=None), task()).sum() == 9


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

    BASELINES["limits"]([history(x)], task(mean_lead))
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
    found = BASELINES["ewma"](fleet(), task())
    assert isinstance(found, Ewma)
    off = [chart(one, found.rate, 1.0, found.level)[healthy(one, task())] - found.level for one in fleet()]
    np.testing.assert_allclose((np.concatenate(off) ** 2).mean(axis=0), found.spread**2)
    healthy_rows = np.concatenate([one.x[healthy(one, task())] for one in fleet()])
    np.testing.assert_allclose(found.level, healthy_rows.astype(np.float64).mean(axis=0))
