"""The head in numpy, as benches without labels run it: alerts, blind threshold, and all of it on a small fleet."""

import numpy as np
import pytest

from agent.score.early_warning import Spell
from bench.blind import Detector, Labelled, Rules, blind_threshold, bounds, spells
from bench.plants import plant
from bench.public_sets import recording, skab_halves
from trainer.anomaly.charts import ChartSpec

RULES = Rules(rows=50, hold=3, every_s=1.0, h_max_s=20.0, budget_per_s=1 / 100)
LEVEL = (ChartSpec("level", 0, 0.1, "max"), ChartSpec("smoothing", 0, 1.0, "mean"))


def test_an_alert_clears_after_hold_rows_below_the_threshold():
    score = np.array([0, 2, 0, 0, 2, 0, 0, 0, 0, 2.0])
    assert spells(score, 1.0, RULES, np.arange(10.0)) == (Spell(1.0, 7.0), Spell(9.0, np.inf))
    assert spells(score, 3.0, RULES, np.arange(10.0)) == ()


def test_a_blind_threshold_is_the_lowest_that_keeps_to_the_budget():
    score = np.zeros(1000)
    score[::100] = np.arange(10) + 1.0  # alarms of 1 row; 10 are allowed, and their time is no tenth
    assert blind_threshold([score], RULES) <= 1.0
    assert blind_threshold([score], Rules(50, 3, 1.0, 20.0, 1 / 500)) > 8.0


def test_an_alarm_that_does_not_end_is_above_any_budget():
    score = np.ones(1000) + np.linspace(0, 1e-3, 1000)
    assert blind_threshold([score], Rules(50, 3, 1.0, 2000.0, 1 / 100)) >= np.quantile(score, 0.89)


def test_a_step_is_told_of_in_a_machine_that_nobody_saw():
    draw = np.random.default_rng(0)
    fleet = [recording(str(n), np.arange(300.0), draw.normal(size=(300, 2))) for n in range(6)]
    detector = Detector.fit(LEVEL, RULES, fleet, events=np.zeros(2, bool), seed=0)
    normal = [detector.s(one) for one in fleet]
    detector = detector.with_scales(normal)
    threshold = blind_threshold([detector.of(one / detector.scales) for one in normal], RULES)
    x = draw.normal(size=(300, 2))
    x[200:, 1] += 3
    score = detector.of(detector.s(recording("new", np.arange(300.0), x)))
    told = spells(score, threshold, RULES, np.arange(50.0, 300.0))
    assert any(200 <= one.raised_s < 210 for one in told)


def test_files_that_overlap_are_in_one_half():
    names = [f"other/{n}" for n in range(1, 15)]
    for seed in range(5):
        one, other = skab_halves(names, seed)
        assert sorted(one + other) == sorted(names)
        assert ("other/12" in one) == ("other/13" in one)
        assert len({"other/2", "other/3", "other/4"} & set(one)) in (0, 3)


def test_intervals_by_hand():
    assert bounds(np.array([1, 0, 1, 1], bool), np.arange(4.0)).tolist() == [[0, 1], [2, 4]]


def test_what_is_left_of_a_window_at_the_first_alert_in_it_is_what_was_warned_of():
    machine = Labelled(np.empty((0, 1)), np.empty(0), np.array([(10.0, 20.0), (30.0, 40.0)]))
    assert machine.warned([Spell(5.0, 12.0), Spell(14.0, 15.0), Spell(18.0)]) == 0.3
    assert np.isnan(Labelled(machine.s, machine.t_s, np.empty((0, 2))).warned([Spell(5.0)]))


@pytest.mark.slow
def test_a_plant_is_the_same_for_a_seed_and_its_faults_are_labelled():
    for kind in ("jumps", "drifts", "bursts", "cycles", "regimes"):
        first, again = plant(kind, 3), plant(kind, 3)
        assert all((a.x == b.x).all() for a, b in zip(first, again, strict=True))
        assert any(one.faulty.any() for one in first)
        assert not all(one.faulty.any() for one in first)
