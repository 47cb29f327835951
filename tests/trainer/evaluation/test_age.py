"""One rival that knows only age, and one choice of its age, wherever it stands beside a model (T4)."""

import numpy as np
import pytest
from msgspec.structs import replace as replace_struct

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.judge.threshold import Budget, parse_budget
from agent.replay.options import Budgets
from agent.replay.recorded import Recorded
from tests.bundles import write_small_bundle
from tests.replays import replay_of
from tests.small_anomaly import anomaly_manifest
from tests.small_bundle import small_manifest
from trainer.comparison.compare import Devices, age_trial
from trainer.data.history import History
from trainer.evaluation.compare import rival_result
from trainer.evaluation.threshold_sweep import rules_of

LIVES = (1080.0, 1100.0, 1110.0, 1094.0, 1122.0)
BUDGET = "1 per 720 cycles"
"""Less than a life: an alert at birth keeps to it, and warns of nothing."""


@pytest.fixture(scope="module", params=["risk", "anomaly"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Of one head, which warns up to 240 cycles before a failure."""
    windows = {"h_max_s": 240.0, "h_min_s": 4.0}
    manifest = small_manifest() if request.param == "risk" else anomaly_manifest()
    table = replace_struct(manifest.judging[request.param].thresholds, **windows)
    if manifest.anomaly is None:
        manifest = replace_struct(manifest, thresholds=table)
    else:
        manifest = replace_struct(manifest, anomaly=replace_struct(manifest.anomaly, thresholds=table))
    manifest = replace_struct(manifest, lives_s=LIVES)
    return file.read(write_small_bundle(tmp_path_factory.mktemp("bundle") / "one.fwb", manifest))


def lives() -> list[History]:
    """Three machines that fail at cycles 1100, 1090 and 1115."""
    return [
        History(f"p{index}", np.arange(1.0, n + 1), np.zeros((n, 3), np.float32), float(n))
        for index, n in enumerate((1100, 1090, 1115))
    ]


@pytest.mark.slow
def test_replay_evaluation_and_comparison_choose_one_age_and_score_it_alike(bundle: Bundle) -> None:
    """Also where a model says nothing of a device's first rows: a calendar learns nothing, and counts from birth."""
    (head,) = bundle.manifest.judging
    allowed: Budget = parse_budget(BUDGET, fleet_size=0)
    histories = lives()
    recorded = [Recorded(one.device, one.t_ns, one.x) for one in histories]
    truth = {one.device: one.t_fail for one in histories}
    replayed = replay_of(bundle, recorded, truth, Budgets(BUDGET)).age_only
    evaluated = rival_result("age", bundle.manifest, histories, histories, allowed, head)
    compared = age_trial(
        Devices(bundle.manifest, rules_of(bundle.manifest, head), (), tuple(histories), allowed, "unknown")
    )
    assert replayed.age_s == evaluated.chosen.threshold == compared.chosen.threshold == 882.0
    leads = [218.0, 208.0, 233.0]
    assert [one.lead_s for one in replayed.early_warning.devices] == leads
    assert [one.lead_s for one in evaluated.early_warning.devices] == leads
    assert [one.lead_s for one in compared.outcomes] == leads
    for score in (replayed.early_warning, evaluated.early_warning):
        assert (score.strict.detected, score.failures, score.false_alarms) == (3, 3, 0)
    assert compared.false_alarms == 0
