"""A device's own scale, and models that never saw the device that they score."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.trainer.fleet import fleet
from trainer.baselines import IN_USE
from trainer.baselines.cross_fit import FOLDS, cross_fitted
from trainer.baselines.own_scale import OwnScale, OwnScaled, own_scale
from trainer.baselines.scorer import Scorer, Task
from trainer.baselines.tune import tuned
from trainer.data.history import Float64, History

NAN = np.nan


def task(own_rows: int = 20) -> Task:
    return Task(1.0, 20.0, lambda _: 0.0, own_rows=own_rows)


def history(rows: object) -> History:
    x = np.array(rows, np.float32)
    return History("1", np.arange(1.0, len(x) + 1), x, None)


def test_rows_are_counted_in_deviations_of_the_first_ones() -> None:
    """Mean 4 and variance 4 over four rows; a prior of ten rows with a tenth of the fleet's variance, 9."""
    found = OwnScale(4, np.array([3.0])).of(history([[2.0], [6.0], [6.0], [2.0], [10.0], [NAN]]))
    spread = np.sqrt((4 * 4 + 10 * 0.9) / 14)
    np.testing.assert_allclose(found.x[:, 0], np.array([-2, 2, 2, -2, 6, NAN]) / spread, rtol=1e-6)


def test_missing_values_teach_nothing_and_a_channel_of_the_fleet_that_rests_stays_so() -> None:
    scale = OwnScale(3, np.array([3.0, 3.0, 0.0]))
    found = scale.of(history([[NAN, 2.0, 5.0], [NAN, 4.0, 5.0], [NAN, np.inf, 5.0], [7.0, 3.0, 9.0]]))
    assert found.x[3].tolist() == [pytest.approx(7 / np.sqrt(0.9)), 0.0, 0.0]


def test_nothing_is_said_while_the_scale_is_learned() -> None:
    class Height:
        def score(self, history: History) -> Float64:
            return np.abs(history.x[:, 0]).astype(np.float64)

    scores = OwnScaled(OwnScale(2, np.array([1.0])), Height()).score(history([[1.0], [3.0], [5.0]]))
    assert np.isnan(scores[:2]).all()
    assert scores[2] > 0


def test_devices_of_other_levels_are_warned_of_by_their_own_scale() -> None:
    """Each device has its own level, ten times as far apart as a fault moves a channel: only its own scale sees it."""
    apart = [replace(one, x=one.x + np.float32(200 * index)) for index, one in enumerate(fleet())]

    def late_over_early(scorer: Scorer) -> float:
        scores = [scorer.score(one) for one in apart]
        return float(min(one[-1] for one in scores) / max(np.nanmax(one[20:30]) for one in scores))

    taken = tuned(IN_USE["ewma"], apart, replace(task(), objective=late_over_early))
    assert taken.setting.endswith("own scale")
    assert late_over_early(taken.scorer) > 1


def test_a_scale_is_not_tried_where_lives_are_too_short_to_learn_it() -> None:
    assert own_scale([replace(one, t_s=one.t_s[:39], x=one.x[:39]) for one in fleet()], task()) is None
    assert own_scale(fleet(), task()) is not None


def test_no_life_is_scored_by_a_model_that_saw_its_machine() -> None:
    """Two lives each of five machines; each model remembers what it was fitted to."""

    class Model:
        def __init__(self, histories: Sequence[History]) -> None:
            self.machines = {one.owner for one in histories}

        def score(self, history: History) -> Float64:
            return np.full(len(history.t_s), float(history.owner in self.machines))

    lives = [replace(one, device=f"{one.device}~{n}", machine=one.device) for one in fleet(5) for n in (1, 2)]
    models = cross_fitted(lives, Model)
    assert not any(models.score(one).any() for one in lives)
    assert isinstance(models.whole, Model)
    assert len(models.whole.machines) == 5
    assert all(len(model.machines) >= 3 for model in models.held_out.values() if isinstance(model, Model))
    assert len({id(model) for model in models.held_out.values()}) == FOLDS
    assert not models.score(replace(fleet(1)[0], device="new")).any()
