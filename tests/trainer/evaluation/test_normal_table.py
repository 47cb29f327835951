"""Thresholds from normal time: every alert counts, and time counts only where rows were judged."""

import numpy as np
import pytest

from agent.bundle.manifest import JudgePolicy
from agent.errors import DataRefused
from agent.judge.threshold import choose, parse_budget
from trainer.data.history import History
from trainer.evaluation.normal_table import normal_table
from trainer.evaluation.threshold_sweep import Rules

RULES = Rules(JudgePolicy(0, 1, 1, 1.0, 2.0, 0.5), 1.0, h_max_s=20.0, h_min_s=0.0, n_thresholds=30)
NAN = np.nan


def machine(name: str, n: int, t_fail: float | None = None) -> History:
    return History(name, np.arange(1.0, n + 1), np.zeros((n, 1), np.float32), t_fail)


def test_every_alert_is_a_false_one_however_the_machine_ended() -> None:
    scores = [np.full(100, 0.5), np.full(50, 0.5)]
    scores[0][40:45], scores[1][45:50] = 3.0, 2.0
    table = normal_table(scores, [machine("a", 100), machine("b", 50, t_fail=50.0)], RULES)
    assert (table.basis, table.failures, table.exposure_s, table.n_devices) == ("normal", 0, 150.0, 2)
    found = {row.threshold: (row.false_alarms, row.detected, row.mean_lead_s) for row in table.rows}
    assert found[2.0] == (2, 0, 0.0)
    assert found[3.0] == (1, 0, 0.0)
    chosen = choose(table, parse_budget("1 per 100 cycles", fleet_size=0))
    assert chosen.threshold == min(threshold for threshold, (alarms, *_) in found.items() if alarms == 1)


def test_time_counts_where_rows_were_judged() -> None:
    """40 rows of learning, a fault of 20 during which the alert stood on, and a gap of 500 s: 60 s + 2 s for the gap.

    The alert is raised at the 49th row and cleared at the 84th, of which the 51st to the 70th are not normal.
    """
    score = np.full(120, 0.5)
    score[48:81] = 9.0
    score[:40] = score[50:70] = NAN
    one = machine("a", 120)
    t_s = np.concatenate([one.t_s[:100], one.t_s[100:] + 500])
    table = normal_table([score], [History("a", t_s, one.x, None)], RULES)
    assert table.exposure_s == 61.0
    row = next(row for row in table.rows if row.threshold == 9.0)
    assert (row.false_alarms, row.false_alarm_s) == (1, 15.0)


def test_one_alarm_that_never_ends_counts_again_and_is_beyond_the_bound_on_time() -> None:
    score = np.full(200, 0.5)
    score[100:] = 2.0
    score[50] = 4.0
    table = normal_table([score], [machine("a", 200)], RULES)
    at_two = next(row for row in table.rows if row.threshold == 2.0)
    assert (at_two.false_alarms, at_two.false_alarm_s) == (1 + 5, 3.0 + 99.0)
    assert choose(table, parse_budget("50 per 100 cycles", fleet_size=0)).threshold > 2.0


def test_no_normal_time_is_refused() -> None:
    with pytest.raises(DataRefused, match=r"no row of the calibration machines is normal and judged"):
        normal_table([np.full(9, NAN)], [machine("a", 9)], RULES)
