"""The threshold sweep: played once and judged at every threshold, as if each were played by itself."""

from pathlib import Path

import numpy as np
import pytest

from agent.bundle.file import read
from agent.bundle.manifest import JudgePolicy
from agent.judge.evidence import Evidence, JudgeRules, judge
from agent.judge.threshold import Budget, choose, parse_budget
from agent.score.early_warning import Spell
from agent.words import Quality
from tests.bundles import write_small_bundle
from tests.recorded import worn
from tests.trainer.fleet import fleet, fleet_manifest
from trainer.data.history import History
from trainer.evaluation.compare import bundle_result
from trainer.evaluation.playback import fleet_of, play
from trainer.evaluation.threshold_sweep import (
    alerts_at,
    early_warning,
    judged_scores,
    rules_of,
    table_at,
    table_over,
    threshold_table,
    thresholds_of_scores,
)


@pytest.mark.slow
def test_scores_of_a_bundle_raise_and_clear_where_the_core_raised_and_cleared(tmp_path: Path) -> None:
    """The same risks, judged here and in the core: the very same alerts. Wear comes and goes, a device stays new."""
    bundle = read(write_small_bundle(tmp_path / "small.fwb"))
    histories = []
    for number in range(6):
        one = worn(f"p{number}", 90 + 5 * number, seed=number, missing=(30, 31))
        one.x[60:75, 2] = -2.0
        histories.append(History(one.device, one.t_s, one.x, float(one.t_s[-1])))
    played = play(bundle, bundle.model, histories, 0.5)
    core = bundle_result(
        bundle.manifest, choose(bundle.manifest.judging["risk"].thresholds, Budget("", 1.0, "cycle")), played, histories
    )
    scores = [judged_scores(one, "risk", bundle.manifest.judging["risk"].policy) for one in played]
    (fleet,) = alerts_at([0.5], scores, histories, rules_of(bundle.manifest))
    assert fleet == core.fleet
    assert sum(len(one.spells) for one in fleet) >= 12
    rules, table = rules_of(bundle.manifest), threshold_table(bundle, histories, 9)
    for row in table.rows:
        again = fleet_of(bundle.manifest, play(bundle, bundle.model, histories, row.threshold), histories)
        assert alerts_at([row.threshold], scores, histories, rules) == [again], "played once or at each threshold"
        assert row.false_alarm_s == early_warning(again, rules).false_alarm_s
    assert sum(np.isfinite(spell.cleared_s) for one in fleet for spell in one.spells) >= 6


@pytest.mark.slow
def test_each_threshold_is_judged_as_if_it_were_alone() -> None:
    """Against one call of the judge a row and threshold, on scores that sit on thresholds, are missing, or are wild."""
    manifest, rng = fleet_manifest(), np.random.default_rng(0)
    tried = [0.001, 0.3, 1.0, 1.7, 40.0, 1e20]
    histories, scores = [], []
    for number, n in enumerate((1, 90, 70, 90)):
        histories.append(History(f"p{number}", np.cumsum(rng.uniform(0.5, 1.5, n)), np.zeros((n, 1), np.float32), None))
        wild = rng.choice([0.0, np.nan, np.inf, *tried, *np.nextafter(np.float32(tried), np.float32(0))], n)
        scores.append(np.where(rng.random(n) < 0.5, wild, rng.gamma(1.0, 2.0, n)))
    found = alerts_at(tried, scores, histories, rules_of(manifest))
    raised = 0
    for threshold, told in zip(tried, found, strict=True):
        for history, score, one in zip(histories, scores, told, strict=True):
            assert one.spells == alone(history, score.astype(np.float32), threshold, manifest.judging["risk"].policy)
            raised += len(one.spells)
    assert raised > 20


def alone(history: History, score: np.ndarray, threshold: float, policy: JudgePolicy) -> tuple[Spell, ...]:
    evidence, slot, spells = Evidence.empty(1), np.zeros(1, np.int64), []
    for t_s, one in zip(history.t_s, score, strict=True):
        quality = np.array([Quality.OUT_OF_DOMAIN if np.isnan(one) else Quality.OK], np.uint8)
        t_ns = np.round([t_s * 1e9]).astype(np.int64)
        value, level = np.array([one], np.float32), np.zeros(1, np.uint8)
        verdict = judge(evidence, slot, t_ns, quality, value, level, threshold, JudgeRules(policy))
        if verdict.raised[0]:
            spells.append(Spell(t_ns[0] / 1e9))
        if verdict.cleared[0]:
            spells[-1] = Spell(spells[-1].raised_s, t_ns[0] / 1e9)
    return tuple(spells)


def test_two_of_three_rows_over_the_threshold_raise_and_a_missing_one_does_neither() -> None:
    scores = np.array([0.0, 2, 0, 0, 2, np.nan, np.nan, 2, 2])
    history = History("p", np.arange(1.0, 10.0), np.zeros((9, 1), np.float32), None)
    ((one,),) = alerts_at([1.5], [scores], [history], rules_of(fleet_manifest()))
    assert one.spells == (Spell(8.0),)


def test_thresholds_rise_from_the_median_to_the_highest_score() -> None:
    scores = [np.arange(1.0, 601.0), np.append(np.arange(601.0, 1001.0), [np.nan, np.inf])]
    found = thresholds_of_scores(scores, 30)
    assert found == sorted(set(found))
    assert len(found) == 30
    assert found[0] == 500.5
    assert found[-1] == pytest.approx(999, abs=0.1)
    assert sum(threshold > 900 for threshold in found) > 15, "dense where alarms are rare"


def test_a_method_that_never_leaves_zero_still_has_a_threshold() -> None:
    assert thresholds_of_scores([np.zeros(9)], 5) == [1.0]
    assert thresholds_of_scores([np.full(3, np.nan)], 5) == [1.0]
    assert thresholds_of_scores([np.array([0.0] * 99 + [3.0])], 5)[-1] > 0


def test_a_step_before_each_failure_is_warned_of_by_its_length() -> None:
    """Six engines that step twelve cycles before their failure; one also steps lower, early, for no reason."""
    engines = fleet(6)
    scores = {one.device: np.where(one.t_s > one.t_s[-1] - 12, 3.0, 0.5) for one in engines}
    scores[engines[5].device][3:6] = 2.0
    table = table_over([scores[one.device] for one in engines], engines, rules_of(fleet_manifest()))
    chosen = choose(table, parse_budget("1 per 1000 cycles", fleet_size=0))
    assert chosen.threshold == 3.0
    assert chosen.rate_per_s == 0.0
    told = alerts_at(
        [1.5, chosen.threshold], [scores[one.device] for one in engines], engines, rules_of(fleet_manifest())
    )
    found = [early_warning(one, rules_of(fleet_manifest())) for one in told]
    assert [one.false_alarms for one in found] == [1, 0]
    assert (found[1].strict.detected, found[1].strict.mean_lead_s) == (6, 10.0)
    assert [row.false_alarms for row in table.rows if row.threshold < 1] == [5 * 2 + 3], "28 to 43 cycles, 20 each"
    assert table.exposure_s == sum(len(one.t_s) for one in engines)


def test_a_table_holds_what_was_found_at_each_threshold() -> None:
    engines = fleet(4)
    scores = [np.where(one.t_s > one.t_s[-1] - 12, 3.0, 0.5) for one in engines]
    found = [
        early_warning(told, rules_of(fleet_manifest()))
        for told in alerts_at([0.4, 2.0], scores, engines, rules_of(fleet_manifest()))
    ]
    table = table_at([0.4, 2.0], scores, engines, rules_of(fleet_manifest()))
    assert (table.h_max_s, table.h_min_s, table.n_devices) == (20.0, 2.0, 4)
    assert [(row.threshold, row.false_alarms, row.detected, row.mean_lead_s) for row in table.rows] == [
        (0.4, 8, 0, 0.0),
        (2.0, 0, 4, 10.0),
    ]
    assert table.failures == 4
    assert [row.false_alarm_s for row in table.rows] == [one.false_alarm_s for one in found]
    assert [row.rate_upper95_per_s for row in table.rows] == [one.false_alarms_per_s_upper95 for one in found]
