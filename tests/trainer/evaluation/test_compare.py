"""The comparison: one judge, one budget, one measure for the bundle and the baselines."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from agent.judge.threshold import parse_budget
from tests.trainer.fleet import fleet, fleet_manifest
from trainer.baselines import IN_USE
from trainer.baselines.methods import BASELINES
from trainer.baselines.scorer import Baseline, Candidate, Task
from trainer.data.history import Float64, History
from trainer.evaluation.compare import RIVALS, MethodResult, baseline_result, rival_result
from trainer.evaluation.threshold_sweep import (
    early_warning,
    rules_of,
)

FAST = [*IN_USE, "cusum", "t2_q"]


class Given:
    """Scores known beforehand, by device."""

    def __init__(self, scores: dict[str, Float64]) -> None:
        self.scores = scores

    def score(self, history: History) -> Float64:
        return self.scores[history.device]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_a_threshold_keeps_to_the_budget_on_the_devices_it_was_chosen_on(name: str) -> None:
    known, played = fleet()[:10], fleet()[10:]
    for text in ("1 per 2000 cycles", "1 per 50 cycles"):
        budget = parse_budget(text, fleet_size=0)
        found = baseline_result(BASELINES[name], rules_of(fleet_manifest()), known, played, budget)
        assert found.chosen.rate_per_s <= budget.rate_per_s
        assert [one.device for one in found.fleet] == [one.device for one in played]
        assert found.early_warning == early_warning(found.fleet, rules_of(fleet_manifest()))


def test_a_parameter_is_tuned_by_the_mean_lead_at_the_budget() -> None:
    """Two candidates: one steps ten cycles ahead of each failure, one is high all along on every second device."""
    engines = fleet(6)
    step = Given({one.device: np.where(one.t_s > one.t_s[-1] - 12, 3.0, 0.5) for one in engines})
    high = Given(step.scores | {one.device: np.full(len(one.t_s), 3.0) for one in engines[::2]})
    told: list[object] = []

    def candidates(histories: Sequence[History], task: Task) -> Iterator[Candidate]:
        told.append((task.every_s, task.h_max_s, task.objective(step), task.objective(high)))
        yield "high", high
        yield "step", step

    budget = parse_budget("1 per 1000 cycles", fleet_size=0)
    given = Baseline(candidates, score="", after="", tuned="")
    found = baseline_result(given, rules_of(fleet_manifest()), engines[:4], engines[4:], budget)
    assert told == [(1.0, 20.0, 10.0, 0.0)] * 2, "with the fleet's scale, and with each device's own"
    assert (found.setting, found.n_tried) == ("step", 4)
    assert (found.early_warning.strict.detected, found.early_warning.strict.mean_lead_s) == (2, 10.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_nothing_is_learnt_of_the_played_devices(name: str) -> None:
    """The threshold is the same whatever is played."""
    budget = parse_budget("1 per 100 cycles", fleet_size=0)
    first, second = (
        baseline_result(BASELINES[name], rules_of(fleet_manifest()), fleet()[:10], played, budget)
        for played in (fleet()[10:], fleet()[:3])
    )
    assert isinstance(first, MethodResult)
    assert first.chosen == second.chosen


@pytest.mark.slow
def test_what_a_plant_has_stands_beside_each_bundle_and_needs_no_package_of_its_own() -> None:
    assert RIVALS == ("limits", "ewma", "age")
    budget = parse_budget("1 per 100 cycles", fleet_size=0)
    results = [rival_result(name, fleet_manifest(), fleet()[:10], fleet()[10:], budget) for name in RIVALS]
    assert [one.n_tried for one in results] == [10, 10, 0]
