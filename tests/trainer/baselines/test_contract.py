"""What holds for every method of the list, each fitted once with its first setting; a new line there is tested here."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from agent.errors import DataRefused
from tests.trainer.fleet import fleet
from trainer.baselines import lstm_autoencoder
from trainer.baselines.methods import BASELINES
from trainer.baselines.scorer import Scorer, Task
from trainer.data.history import Float64, History

NAN = np.nan
EVERY_METHOD = pytest.mark.parametrize("name", BASELINES)


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds of a network holds of one that has hardly learnt."""
    monkeypatch.setattr(lstm_autoencoder, "STEPS", 20)


def task(objective: Callable[[Scorer], float] = lambda _: 0.0, seed: int = 0) -> Task:
    return Task(every_s=1.0, h_max_s=20.0, objective=objective, seed=seed)


@cache
def scorer_of(name: str, seed: int = 0) -> Scorer:
    return fitted_to(name, fleet(), seed)


def fitted_to(name: str, histories: list[History], seed: int = 0) -> Scorer:
    return next(BASELINES[name].candidates(histories, task(seed=seed)))[1]


def hostile() -> History:
    """Sixty rows with values missing, rows missing as a whole, a gap in time, and wild values."""
    one = fleet(4)[3]
    x, t_s = one.x[:58].copy(), one.t_s[:58].copy()
    x[np.random.default_rng(0).random(x.shape) < 0.2] = NAN
    x[[0, 7, 30]] = NAN
    x[20, 0], x[21, 1], x[40, 2] = 1e30, -1e30, np.inf
    t_s[25:] += 13.5
    return replace(one, t_s=t_s, x=x, t_fail=float(t_s[-1]))


def cut(history: History, n: int) -> History:
    return replace(history, t_s=history.t_s[:n], x=history.x[:n], t_fail=None)


@pytest.mark.slow
@EVERY_METHOD
def test_the_score_of_a_row_does_not_change_with_later_rows(name: str) -> None:
    """Bit for bit, whatever the later rows hold; the library's sums may be of another shape for another length."""
    whole = hostile()
    scores = scorer_of(name).score(whole)
    assert (scores.dtype, scores.shape) == (np.float64, (58,))
    for n in (1, 2, 8, 24, 31, 57):
        x = whole.x.copy()
        x[n:] = np.random.default_rng(n).normal(600, 300, x[n:].shape)
        assert scorer_of(name).score(replace(whole, x=x))[:n].tobytes() == scores[:n].tobytes()
        np.testing.assert_allclose(scorer_of(name).score(cut(whole, n)), scores[:n], rtol=1e-5, atol=1e-6)


@EVERY_METHOD
def test_a_score_is_at_least_zero_or_says_nothing(name: str) -> None:
    scores = scorer_of(name).score(hostile())
    assert np.isnan(scores[0]), "no channel has been heard yet"
    assert np.isfinite(scores).sum() > 40
    assert not (scores < 0).any()


@EVERY_METHOD
def test_a_device_beyond_all_wear_scores_higher_than_a_new_one(name: str) -> None:
    one = fleet()[9]
    x = one.x.copy()
    x[40:] += 3 * np.array([4, -20, 1], np.float32)
    scores = scorer_of(name).score(replace(one, x=x))
    assert scores[40:].max() > scores[:40].max()


@EVERY_METHOD
@pytest.mark.slow
def test_a_method_fitted_again_with_the_same_seed_gives_the_same_scores(name: str) -> None:
    again = fitted_to(name, fleet()).score(fleet()[9])
    assert again.tobytes() == scorer_of(name).score(fleet()[9]).tobytes()
    other = scorer_of(name, seed=1).score(fleet()[9])
    assert (other.tobytes() != again.tobytes()) == BASELINES[name].is_seeded


@EVERY_METHOD
@pytest.mark.parametrize("value", [0.0, 641.82])
@pytest.mark.slow
def test_a_constant_channel_is_left_out(name: str, value: float) -> None:
    def with_constant(one: History, constant: float) -> History:
        return replace(one, x=np.hstack([one.x, np.full((len(one.x), 1), constant, np.float32)]))

    plain = scorer_of(name).score(fleet()[0])
    scorer = fitted_to(name, [with_constant(one, value) for one in fleet()])
    assert scorer.score(with_constant(fleet()[0], value)).tobytes() == plain.tobytes()
    assert scorer.score(with_constant(fleet()[0], 7.0)).tobytes() == plain.tobytes()


@EVERY_METHOD
def test_histories_that_show_no_normal_running_are_refused(name: str) -> None:
    constant = [replace(one, x=np.ones_like(one.x)) for one in fleet()]
    short = [replace(one, t_s=one.t_s[-40:], x=one.x[-40:]) for one in fleet()]
    for histories in (constant, short):
        with pytest.raises(DataRefused, match=r"no channel varies until 2 x judge\.h_max"):
            fitted_to(name, histories)


@EVERY_METHOD
def test_lives_of_eight_rows_are_fitted_and_scored_or_refused_with_the_reason(name: str) -> None:
    """Fault labels and no failure, so that all but one row of each is normal."""
    short = [
        replace(cut(one, 8), x=np.where(np.arange(8)[:, None] == 2, NAN, one.x[:8]), faults=np.array([[5.0, 6.0]]))
        for one in fleet(3)
    ]
    if name == "boosting":
        with pytest.raises(DataRefused, match="learns from failures"):
            fitted_to(name, short)
        return
    scores: Float64 = fitted_to(name, short).score(short[0])
    assert scores.shape == (8,)
    assert np.isfinite(scores[[0, 1, 3, 7]]).all()


@EVERY_METHOD
@pytest.mark.slow
def test_every_method_is_tried_with_as_many_settings(name: str) -> None:
    settings = [setting for setting, _ in BASELINES[name].candidates(fleet(4), task())]
    assert len(set(settings)) == 5
