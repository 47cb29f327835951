"""Outcomes of one method, and its figures over seeds and devices, against answers known beforehand."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from agent.bundle.manifest import JudgePolicy
from agent.judge.threshold import Chosen, choose, parse_budget
from agent.replay.inline import PlayedDevice
from agent.score.early_warning import ObservedDevice, Spell
from agent.words import Quality
from tests.trainer.fleet import fleet
from trainer.comparison.figures import figures_of
from trainer.comparison.trial import (
    Outcome,
    Trial,
    basis_of,
    n_detected_at_equal,
    table_of_scores,
    trial_of,
)
from trainer.data.history import Float64, History
from trainer.evaluation.threshold_sweep import Rules, judged_scores, mean_lead_at

POLICY = JudgePolicy(horizon=0, m=1, n=1, clear_ratio=0.8, clear_after_s=3.0, severity_risk=0.5)
RULES = Rules(POLICY, every_s=1.0, h_max_s=20.0, h_min_s=2.0, n_thresholds=30)
BUDGET = parse_budget("1 per 100 cycles", fleet_size=0)


def faulty(number: int) -> History:
    """A hundred rows, normal but for rows 60 to 79."""
    t_s = np.arange(1.0, 101)
    x = np.random.default_rng(number).normal(size=(100, 2)).astype(np.float32)
    return History(f"d{number}", t_s, x, None, faults=np.array([[60.0, 80.0]]))


def scores_of(histories: Sequence[History]) -> list[Float64]:
    """High from four rows after the fault's start to its end."""
    return [np.where((one.t_s >= 64) & (one.t_s < 80), 3.0, 0.5) for one in histories]


def chosen_for(scores: Sequence[Float64], histories: Sequence[History]) -> Chosen:
    return choose(table_of_scores(scores, histories, RULES), BUDGET)


def test_what_counts_is_failures_else_labelled_faults_else_false_alarms_alone() -> None:
    healthy = replace(faulty(1), faults=np.empty((0, 2)))
    assert basis_of([*fleet(2), faulty(1)]) == "failures"
    assert basis_of([healthy, faulty(1)]) == "intervals"
    assert basis_of([healthy]) == "normal"


def test_an_alert_in_a_fault_interval_is_one_detection_with_the_time_to_its_end_as_lead() -> None:
    """One alert each, 16 rows before the end of a fault of 20 rows; not one detection a row."""
    devices = [faulty(number) for number in range(3)]
    table = table_of_scores(scores_of(devices), devices, RULES)
    assert table.basis == "intervals"
    assert mean_lead_at(table, BUDGET) == 16.0
    spells = (Spell(64.0, 83.0),)
    observed = [ObservedDevice(one.device, 0.0, 100.0, math.inf, spells) for one in devices]
    found = trial_of(chosen_for(scores_of(devices), devices), observed, devices, RULES, np.zeros(3))
    assert found.outcomes == tuple(Outcome(one.device, True, 16.0) for one in devices)
    assert (found.false_alarms, found.exposure_s) == (0, 240.0)


def test_a_fault_before_a_device_is_judged_does_not_count() -> None:
    device = faulty(1)
    observed = [ObservedDevice(device.device, 0.0, 100.0, math.inf, ())]
    chosen = chosen_for(scores_of([device]), [device])
    assert trial_of(chosen, observed, [device], RULES, np.array([70.0])).outcomes == ()
    assert trial_of(chosen, observed, [device], RULES, np.array([50.0])).outcomes == (Outcome("d1", False, 0.0),)


def test_nothing_is_told_of_a_method_that_keeps_to_no_budget() -> None:
    """High all along on every second device: an alarm that never ends."""
    devices = [faulty(number) for number in range(4)]
    high = [np.full(100, 3.0) if number % 2 else one for number, one in enumerate(scores_of(devices))]
    assert mean_lead_at(table_of_scores(high, devices, RULES), BUDGET) == 0.0


def test_rows_that_a_head_does_not_judge_say_nothing() -> None:
    """`anomaly` is negative while it learns; whatever is not `ok` counts for no head."""
    t_ns, quality = np.arange(4), np.array([Quality.OK, Quality.OK, Quality.GAP, Quality.OK], np.uint8)
    outputs = {"risk": np.float32([[0.1], [0.2], [0.3], [0.4]]), "anomaly": np.float32([[-2], [0.5], [3], [2]])}
    played = PlayedDevice("d1", t_ns, quality, outputs, ())
    np.testing.assert_array_equal(judged_scores(played, "anomaly", POLICY), [np.nan, 0.5, np.nan, 2])
    np.testing.assert_array_equal(judged_scores(played, "risk", POLICY), np.float32([0.1, 0.2, np.nan, 0.4]))


def test_at_an_equal_real_rate_the_best_threshold_counts_whatever_was_chosen_before() -> None:
    devices = [faulty(number) for number in range(4)]
    scores = scores_of(devices)
    assert n_detected_at_equal(scores, devices, RULES, BUDGET) == 4
    noisy = [np.where(np.arange(100) % 10 == 0, 5.0, one) for one in scores[:3]] + scores[3:]
    assert n_detected_at_equal(noisy, devices, RULES, BUDGET) == 0
    plenty = parse_budget("1 per 5 cycles", fleet_size=0)
    assert n_detected_at_equal(noisy, devices, RULES, plenty) == 4
    healthy = [replace(one, faults=np.empty((0, 2))) for one in devices]
    assert n_detected_at_equal(scores, healthy, RULES, BUDGET) == 0


def trial(*leads_s: float, false_alarms: int = 0) -> Trial:
    """A failure a device; lead 0 is a miss."""
    known = [faulty(1)]
    outcomes = tuple(Outcome(str(number), lead_s > 0, lead_s) for number, lead_s in enumerate(leads_s))
    return Trial(chosen_for(scores_of(known), known), outcomes, false_alarms, 0.0, 1000.0, 2, "setting", 10)


def test_figures_are_means_over_the_seeds() -> None:
    found = figures_of("forest", [trial(10, 0, false_alarms=1), trial(20, 6, false_alarms=3)], [trial(30, 6)])
    assert (found.seeds, found.events, found.detected, found.detection_rate) == (2, 2, 1.5, 0.75)
    assert (found.mean_lead_s, found.median_lead_s, found.over) == (9.0, 9.0, 2.0)
    assert (found.false_alarms, found.false_alarms_per_s) == (2.0, 0.002)


def test_the_ratio_is_drawn_with_the_same_devices_for_both() -> None:
    """Device by device twice as far ahead, whatever devices are drawn: no doubt is left."""
    leads = [float(lead_s) for lead_s in range(1, 20)]
    found = figures_of("half", [trial(*leads)], [trial(*(2 * lead_s for lead_s in leads))])
    assert (found.over, found.over_95.low, found.over_95.high) == (2.0, 2.0, 2.0)
    assert found.mean_lead_s_95.low < found.mean_lead_s < found.mean_lead_s_95.high


def test_where_nothing_failed_there_is_no_lead_and_no_ratio() -> None:
    found = figures_of("quiet", [trial()], [trial()])
    assert math.isnan(found.mean_lead_s)
    assert math.isnan(found.over)
    assert math.isnan(found.over_95.low)
    assert found.events == 0


def test_a_method_that_detects_nothing_has_no_ratio() -> None:
    assert figures_of("blind", [trial(0, 0)], [trial(4, 0)]).over == pytest.approx(math.nan, nan_ok=True)
