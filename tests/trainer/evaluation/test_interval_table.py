"""Thresholds from labelled fault intervals."""

from dataclasses import replace

import numpy as np
import pytest

from agent.bundle.manifest import JudgePolicy
from agent.errors import DataRefused
from agent.judge.threshold import choose, parse_budget, verdict
from trainer.data.history import History
from trainer.evaluation.interval_table import interval_table
from trainer.evaluation.threshold_sweep import Rules

RULES = Rules(JudgePolicy(0, 1, 1, 1.0, 2.0, 0.5), 1.0, h_max_s=5.0, h_min_s=0.0, n_thresholds=30)


def machine(name: str, faults: list[tuple[float, float]]) -> History:
    n = 200
    t_s = np.arange(1.0, n + 1)
    return History(name, t_s, np.zeros((n, 1), np.float32), None, faults=np.array(faults, np.float64).reshape(-1, 2))


def step(history: History, height: float, late_s: float = 0.0) -> np.ndarray:
    """A score that is high in the faults, `late_s` after they begin."""
    score = np.full(len(history.t_s), 0.5)
    for start, end in history.faults:
        score[(history.t_s >= start + late_s) & (history.t_s < end)] = height
    return score


def test_a_threshold_that_tells_of_the_faults_at_the_price_of_the_budget_is_chosen() -> None:
    """Three faults reach 2.0, one of them with a delay of 4; the fourth stays low; a false alarm comes at 1.5.
    Multiples of that, the highest score of normal time, are tried too.
    """
    machines = [machine("a", [(50, 70), (120, 140)]), machine("b", [(60, 80)]), machine("c", [(190, np.inf)])]
    scores = [step(machines[0], 2.0), step(machines[1], 2.0, late_s=4.0), step(machines[2], 0.5)]
    scores[2][100:103] = 1.5
    table = interval_table(scores, machines, RULES)
    assert (table.basis, table.failures, table.exposure_s) == ("intervals", 4, 600 - 60 - 10)
    chosen = choose(table, parse_budget("1 per 1000 cycles", fleet_size=0))
    assert (chosen.threshold, chosen.warned_of, chosen.rate_per_s) == (2.0, 3, 0.0)
    assert next(row.mean_lead_s for row in table.rows if row.threshold == chosen.threshold) == (20 + 20 + 16) / 4
    assert [row.threshold for row in table.rows][-3:] == [2.25, 3.0, 6.0]
    assert [row.detected for row in table.rows][-3:] == [0, 0, 0]
    assert "3 of the 4 labelled fault intervals were warned of" in verdict(chosen)


def test_what_is_learnt_from_is_not_observed() -> None:
    """A fault in it is none that could have been told of, and its time vouches for no budget."""
    one = machine("a", [(20, 40), (150, 160)])
    score = step(one, 2.0)
    score[:100] = np.nan
    table = interval_table([score], [one], RULES)
    assert (table.failures, table.exposure_s) == (1, 90.0)


def test_labels_that_leave_nothing_to_tell_are_refused() -> None:
    one = machine("a", [(20, 40)])
    score = np.where(one.t_s < 100, np.nan, 0.5)
    with pytest.raises(DataRefused, match="no labelled fault begins in what was judged"):
        interval_table([score], [one], RULES)
    with pytest.raises(DataRefused, match="no normal time is in what was judged"):
        interval_table([np.ones(200)], [replace(one, faults=np.array([[0.0, 300.0]]))], RULES)
