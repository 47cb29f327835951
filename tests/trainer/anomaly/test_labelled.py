"""Labelled machines choose among a few sets of charts, and against the bank only where they are sure."""

import numpy as np
import pytest

from agent.bundle.manifest import JudgePolicy
from agent.judge.threshold import parse_budget
from trainer.anomaly.bank import default_bank, lasting, sets_of
from trainer.anomaly.labelled import MACHINES_MIN, choose_set, warned_shares
from trainer.data.history import Float64, History
from trainer.evaluation.threshold_sweep import Rules

RULES = Rules(JudgePolicy(0, 1, 1, 1.0, 30.0, 1.0), every_s=1.0, h_max_s=100.0, h_min_s=0.0, n_thresholds=20)
BUDGET = parse_budget("1 per 1000 cycles", fleet_size=0)


def history(name: str, rows: int = 1000, *, t_fail: float | None = None, faults: Float64 | None = None) -> History:
    t_s = np.arange(1.0, rows + 1)
    none = np.empty((0, 2))
    return History(name, t_s, np.zeros((rows, 1), np.float32), t_fail, faults=none if faults is None else faults)


def shares_of(scores: Float64, labelled: History) -> Float64:
    """Of one machine; normal time stays below 1, in one row 2 and so within the budget of 1 in 1,000 rows."""
    normal = np.random.default_rng(0).random(2000)
    normal[[500, 1500]] = 2.0
    return warned_shares([normal], [history("normal", 2000)], [scores], [labelled], RULES, BUDGET)


def test_a_set_is_chosen_where_it_warns_more_machines_of_more():
    bank = np.array([0.5, 0.4, 0.6, 0.5])
    chosen = choose_set({"bank": bank, "slow": bank + 0.2, "limits": bank - 0.1})
    assert (chosen.name, chosen.n_machines) == ("slow", 4)
    assert chosen.warned == pytest.approx({"bank": 0.5, "slow": 0.7, "limits": 0.4})


def test_the_bank_stays_where_labels_do_not_decide():
    bank = np.full(6, 0.5)
    apart = bank + np.array([0.5, -0.4, 0.4, -0.5, 0.5, -0.4])
    assert choose_set({"bank": bank, "limits": apart}).name == "bank", "better by a thirtieth of what machines differ"
    few = MACHINES_MIN - 1
    assert choose_set({"bank": bank[:few], "limits": bank[:few] + 0.3}).name == "bank"
    assert choose_set({"bank": bank, "limits": bank.copy()}).name == "bank"
    nothing = choose_set({"bank": np.array([np.nan]), "limits": np.array([np.nan])})
    assert (nothing.name, nothing.warned, nothing.n_machines) == ("bank", {}, 0)


def test_labels_that_are_chance_seldom_choose_against_the_bank():
    draw = np.random.default_rng(0)
    names = [choose_set({"bank": draw.random(6), "limits": draw.random(6)}).name for _ in range(200)]
    assert names.count("bank") > 120, "31 of 100 differ by half a standard error to one side"


@pytest.mark.slow
def test_a_failure_counts_by_the_lead_of_the_first_alert_within_h_max():
    scores = np.zeros(1000)
    failed = history("p1", t_fail=1000.0)
    assert shares_of(scores, failed).tolist() == [0.0]
    scores[960:] = 3.0
    assert shares_of(scores, failed) == pytest.approx([0.39])
    scores[850:] = 3.0
    assert shares_of(scores, failed).tolist() == [0.0], "raised before h_max it is a false alarm"


@pytest.mark.slow
def test_a_fault_interval_counts_by_what_is_left_of_it_and_lives_of_a_machine_together():
    scores = np.zeros(1000)
    scores[430:440] = 3.0
    labelled = history("p1", faults=np.array([(401.0, 501.0), (700.0, 800.0)]))
    assert shares_of(scores, labelled) == pytest.approx([0.7 / 2])
    assert np.isnan(shares_of(scores, history("p1", faults=np.array([(2000.0, 2100.0)])))).all(), "never observed"


def test_levels_that_remember_more_than_was_learnt_are_left_out_unless_there_is_nothing_else():
    bank = default_bank(4, has_events=False)
    assert lasting(bank, 400) == bank
    assert lasting(bank, 20) == bank[1:], "one span of 20 rows for the rate of 0.1"
    assert lasting(bank[:1], 20) == bank[:1]


def test_the_sets_to_choose_from_are_the_bank_its_parts_and_what_a_plant_has():
    bank = default_bank(4, has_events=False)
    sets = sets_of(bank)
    assert [*sets] == ["the whole bank", "its slow charts", "its fast charts", "limits", "EWMA", "smoothing"]
    assert sets["its slow charts"] + sets["its fast charts"] == bank == sets["the whole bank"]
    assert "its fast charts" not in sets_of(bank[:3])
