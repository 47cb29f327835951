"""What alarms at random times tell of: held against counting, and against alarms that were drawn."""

import numpy as np
import pytest

from agent.judge.chance import by_chance, in_words
from agent.judge.threshold import choose, parse_budget, verdict
from agent.score.early_warning import ObservedDevice, Spell, measure
from agent.score.fault_intervals import LabelledDevice
from agent.score.fault_intervals import measure as measure_faults
from tests.small_bundle import small_manifest
from trainer.data.history import History
from trainer.evaluation.interval_table import interval_table
from trainer.evaluation.threshold_sweep import Rules


def test_alarms_at_random_times_tell_of_what_is_expected():
    """2,000 draws of 12 alarms over 1,000 s of a device that fails at their end, with a window of 50 s."""
    rng = np.random.default_rng(0)
    told = [(rng.uniform(0, 1000, 12) > 950).any() for _ in range(2000)]
    assert by_chance(12, 1000.0, [50.0]) == pytest.approx(np.mean(told), abs=0.03)
    assert by_chance(0, 1000.0, [50.0]) == 0
    assert by_chance(10_000, 1000.0, [50.0, 50.0]) == pytest.approx(2)
    assert by_chance(5, 0.0, []) == 0, "no event, nothing watched"


def test_a_replay_says_what_as_many_alarms_would_have_told_of():
    spells = tuple(map(Spell, (100.0, 300.0, 960.0), (110.0, 310.0, 990.0)))
    found = measure([ObservedDevice("p1", 0.0, 1000.0, 1000.0, spells)], h_max_s=50.0, h_min_s=5.0)
    assert (found.strict.detected, found.false_alarms) == (1, 2)
    assert found.by_chance == by_chance(3, 1000.0, [45.0])
    faults = np.array([[400.0, 500.0], [700.0, 720.0]])
    device = LabelledDevice("p1", 0.0, 1000.0, faults, (Spell(100.0, 110.0), Spell(405.0, 480.0)))
    of_faults = measure_faults([device], h_max_s=50.0, early_s=50.0)
    assert (of_faults.strict.detected, of_faults.false_alarms) == (1, 1)
    assert of_faults.by_chance == pytest.approx(by_chance(2, 1000.0, [150.0, 70.0]))


def test_thresholds_of_labelled_faults_know_how_long_those_were():
    t_s = np.arange(1000.0)
    faults = np.array([[400.0, 500.0], [700.0, 720.0]])
    history = History("p1", t_s, np.zeros((1000, 1), np.float32), None, faults=faults)
    score = np.where((t_s > 405) & (t_s < 420), 5.0, 0.1) + np.where((t_s > 100) & (t_s < 103), 9.0, 0.0)
    policy = small_manifest().judging["risk"][0]
    table = interval_table([score], [history], Rules(policy, 1.0, 50.0, 0.0, 30))
    assert table.window_s == 50 + 60
    chosen = choose(table, parse_budget("1 per 100 cycles", fleet_size=0))
    assert chosen.warned_of == 1
    alarms = round(chosen.rate_per_s * table.exposure_s) + 1
    assert chosen.by_chance == by_chance(alarms, table.exposure_s + 120, [110.0, 110.0])
    assert f"1 of the 2 labelled fault intervals was warned of ({in_words(chosen.by_chance)})" in verdict(chosen)


def test_words():
    assert in_words(0.034) == "as many alarms at random times would warn of 0.034"
    assert in_words(3.14).endswith("of 3.1")
    assert in_words(123.4).endswith("of 123")
