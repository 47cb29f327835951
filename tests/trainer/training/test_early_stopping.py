"""Early stopping: an epoch is worth what its warnings are, by the agent's own judge, and the best one is kept."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.bundle.manifest import JudgePolicy
from agent.words import Float32
from tests.trainer.fleet import fleet, small_config
from trainer.bundle.assemble import report_json
from trainer.config import Train
from trainer.data.history import History
from trainer.data.split import split
from trainer.evaluation.judge_rules import rules_of_config
from trainer.evaluation.plot import plot_curves
from trainer.evaluation.threshold_sweep import Rules, rules_of
from trainer.fit import course_of, mean_lead_over, train_bundle
from trainer.model.features import features_of, fit_scaling
from trainer.model.network import Network
from trainer.training.checkpoint import Curves
from trainer.training.loop import is_over, train
from trainer.training.validation import best_epoch, predict

CONFIG = small_config(train=Train(epochs=12, batch=4, average=0.5, patience=3))
ENGINES = fleet(6)


def stepping(history: History, cycles: int) -> Float32:
    """Risk at three horizons: only the judged one, the last, steps up before the failure."""
    risk = np.zeros((len(history.t_s), 3), np.float32)
    risk[:, 2] = np.where(history.t_s > history.t_s[-1] - cycles, 0.9, 0.1)
    return risk


def test_warnings_are_worth_their_mean_lead_within_the_default_budget() -> None:
    """A step twelve cycles before each failure raises at its second row; h_max is 20 cycles, h_min 2."""
    worth = mean_lead_over(ENGINES, CONFIG)
    assert worth([stepping(one, 12) for one in ENGINES]) == 10.0
    assert worth([stepping(one, 12 if number else 1) for number, one in enumerate(ENGINES)]) == pytest.approx(50 / 6)
    assert worth([np.full((len(one.t_s), 3), 0.9, np.float32) for one in ENGINES]) == 0.0, "six false alarms"
    early = [stepping(one, 30) for one in ENGINES]
    assert worth(early) == 0.0


def test_a_device_that_did_not_fail_can_only_cost() -> None:
    sound = [replace(one, t_fail=None) for one in ENGINES[:3]]
    watched = [*sound, *ENGINES[3:]]
    worth = mean_lead_over(watched, CONFIG)
    quiet = [np.full((len(one.t_s), 3), 0.1, np.float32) for one in sound]
    loud = [stepping(one, 12) for one in ENGINES[3:]]
    assert worth([*quiet, *loud]) == 10.0
    assert worth([*(stepping(one, 12) for one in sound), *loud]) == 0.0


@pytest.mark.slow
def test_rules_of_a_config_are_those_of_its_bundle() -> None:
    parts = split(fleet(), CONFIG.split)
    bundle, _, _ = train_bundle(CONFIG.model_copy(update={"train": Train(epochs=1)}), parts, "0" * 64)
    assert rules_of_config(CONFIG) == rules_of(bundle.manifest)
    policy = JudgePolicy(horizon=2, m=2, n=3, clear_ratio=0.8, clear_after_s=3.0, severity_risk=0.5)
    assert rules_of_config(CONFIG) == Rules(policy, every_s=1.0, h_max_s=20.0, h_min_s=2.0, n_thresholds=9)


def test_training_stops_after_its_patience_and_keeps_the_best_epoch() -> None:
    scaling = fit_scaling(ENGINES, CONFIG)
    lives = [features_of(one, scaling, CONFIG.model) for one in ENGINES]
    told: list[bytes] = []

    def mean_lead(risks: Sequence[Float32]) -> float:
        told.append(risks[0].tobytes())
        return [0.0, 1.0, 4.0, 3.0, 2.0, 1.0, 9.0][len(told) - 1]

    network, curves = train(Network, lives, lives, CONFIG, early_stopping=mean_lead)
    assert curves.mean_lead == [0.0, 1.0, 4.0, 3.0, 2.0, 1.0]
    assert predict(network, lives, CONFIG)[0][1].tobytes() == told[2]
    assert len(set(told)) == 6
    config = CONFIG.model_copy(update={"train": Train(epochs=2)})
    _, without = train(Network, lives, lives, config, early_stopping=mean_lead)
    assert without.mean_lead == [], "nobody is patient"


@pytest.mark.slow
def test_a_bundle_is_stopped_by_its_calibration_devices() -> None:
    parts = split(fleet(), CONFIG.split)
    bundle, curves, _ = train_bundle(CONFIG, parts, "0" * 64)
    assert len(curves.mean_lead) == len(curves.loss) > 0
    assert max(curves.mean_lead) <= bundle.manifest.judging["risk"].thresholds.h_max_s


@pytest.mark.parametrize(
    ("worth", "best", "over"),
    [
        ([], 0, False),
        ([0.0, 0.0, 0.0, 0.0, 0.0], 5, False),  # no warning yet: nothing to lose patience with
        ([0.0, 2.0, 1.0, 1.0], 1, False),
        ([0.0, 2.0, 1.0, 1.0, 2.0], 1, True),  # as good is not better
        ([3.0, 2.0, 1.0], 0, False),
        ([3.0, 2.0, 1.0, 4.0], 3, False),
    ],
)
def test_patience_counts_from_the_first_of_the_best_epochs(worth: list[float], best: int, over: bool) -> None:
    curves = Curves([1.0] * len(worth), [1.0] * len(worth), worth)
    assert best_epoch(curves) == best
    assert is_over(curves, CONFIG.train) == over
    assert not is_over(curves, Train(epochs=12))


@pytest.mark.slow
def test_report_and_curves_show_the_validation_figures(tmp_path: Path) -> None:
    parts = split(fleet(), CONFIG.split)
    bundle, _, _ = train_bundle(CONFIG.model_copy(update={"train": Train(epochs=1)}), parts, "0" * 64)
    for worth in ([], [0.0, 3.0]):
        curves = Curves([2.0, 1.0], [9.0, 8.0], worth)
        course = msgspec.json.decode(report_json(bundle.manifest, course_of(curves), None, None))["curves"]
        assert course == {"loss": [2.0, 1.0], "watched_rmse": [9.0, 8.0]} | (
            {"watched_mean_lead_s": worth} if worth else {}
        )
        plot_curves(curves.loss, curves.rmse, curves.mean_lead, tmp_path / f"{len(worth)}.png")
    assert (tmp_path / "0.png").read_bytes() != (tmp_path / "2.png").read_bytes()
