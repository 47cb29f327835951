"""Calibration and figures, each against numbers that can be worked out by hand."""

import msgspec
import numpy as np
import pytest
import torch

from agent.bundle.manifest import RiskHead, RulHead
from agent.replay.inline import PlayedDevice
from tests.small_bundle import small_manifest
from tests.trainer.fleet import fleet, small_config
from trainer.data.history import History
from trainer.evaluation.evaluate import last_rows
from trainer.evaluation.metrics import figures
from trainer.evaluation.warmup import LateStart, brier_after, warmup_rows
from trainer.export.calibrate import TRAINED_DEVICES, calibrated, platt, streams_of, stretch
from trainer.export.streaming import streaming_of
from trainer.model.features import batch_of, features_of, fit_scaling
from trainer.model.network import Network, fix_seed
from trainer.training.loss import hazard_targets

CONFIG = small_config()
JOINS = CONFIG.model_copy(update={"augment": CONFIG.augment.model_copy(update={"join_share": 0.5})})


PARTS = ("difference", "error", "whole_error")


def late_start(difference: list[float]) -> LateStart:
    """A late start beside a whole stream whose squared error is 1 at every row."""
    n = len(difference)
    return LateStart(np.array([difference]).T, np.full((n, 1), 7.0), np.ones((n, 1)))


def test_what_a_late_start_loses_is_counted_from_the_end_of_its_warm_up() -> None:
    own, whole = np.array([9.0, 9.0, 2.0, 4.0]), np.array([8.0, 8.0, 1.0, 3.0])
    start = LateStart(np.zeros((4, 2)), np.stack([own, np.zeros(4)], axis=1), np.stack([whole, np.zeros(4)], axis=1))
    assert brier_after([start], 3) == (3.0, 2.0)


def test_warm_up_ends_when_the_difference_now_and_later_is_within_the_error() -> None:
    assert warmup_rows([late_start([1.0] * 40)]) == 1
    assert warmup_rows([late_start([5.0] * 20 + [0.0] * 40)]) == 19, "two rows of 5 among the ten ahead average 1"
    assert warmup_rows([late_start([5.0] * 30 + [0.0] * 400)]) == 29, (
        "a long calm end does not outweigh what comes next"
    )
    assert warmup_rows([late_start([0.0] * 10 + [5.0] * 30 + [0.0] * 10)]) == 39, "nor does a quiet moment"
    assert warmup_rows([late_start([5.0] * 25)]) == 25
    calm = late_start([0.0] * 60)
    both = [np.hstack([getattr(calm, name), getattr(late_start([5.0] * 20 + [0.0] * 40), name)]) for name in PARTS]
    assert warmup_rows([LateStart(*both)]) == 19, "a calm horizon does not vouch for the others"


def test_platt_finds_the_scale_and_offset_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(scale=3, size=(20_000, 1)).astype(np.float32))
    truth = torch.sigmoid(0.5 * logits - 1)
    faulty = (torch.from_numpy(rng.random((20_000, 1))) < truth).float()
    exposed = torch.ones_like(faulty, dtype=torch.bool)
    faulty[:10_000], exposed[:10_000] = 1 - faulty[:10_000], False
    scale, offset = platt(logits, faulty, exposed)
    assert scale[0] == pytest.approx(0.5, abs=0.03)
    assert offset[0] == pytest.approx(-1.0, abs=0.06)


def test_calibration_is_folded_into_the_heads() -> None:
    """Logits of the changed head are Platt's; the factors are quantiles over the rows within the cap."""
    fix_seed(0)
    network = Network(CONFIG).eval()
    network.heads.hazard.bias.data = torch.tensor([0.5, -1.0, 2.0])
    scaling = fit_scaling(fleet(4), CONFIG)
    lives = [features_of(history, scaling, CONFIG.model) for history in fleet(4)]
    before = streaming_of(network, scaling, CONFIG)
    after = calibrated(before, network, lives, CONFIG)
    batch = batch_of(lives, CONFIG.model)
    real, left = torch.from_numpy(batch.real), torch.from_numpy(batch.left)
    with torch.no_grad():
        answers, _ = network(torch.from_numpy(batch.inputs))
    targets = hazard_targets(left[real], torch.tensor(True), CONFIG.risk.horizons)
    scale, offset = platt(answers.hazard[real], *targets)
    np.testing.assert_array_equal(after.hazard.weight, before.hazard.weight * scale)
    np.testing.assert_array_equal(after.hazard.bias, before.hazard.bias * scale + offset)
    within = real & (left <= 40)
    beyond = (answers.estimate - left / 40)[within] / answers.spread[within].T * torch.tensor([[1.0], [-1.0]])
    wanted = [stretch(beyond[0], 0.95, 4), stretch(beyond[1], 0.95, 4)]
    assert after.stretch.tolist() == pytest.approx(wanted, rel=1e-5)


def test_many_devices_make_the_interval_hold_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the trained interval weighed nothing: a twentieth of the rows lies beyond each side."""
    monkeypatch.setattr("trainer.export.calibrate.TRAINED_DEVICES", 0.0)
    fix_seed(0)
    network, scaling = Network(CONFIG).eval(), fit_scaling(fleet(4), CONFIG)
    network.heads.estimate.bias.data = torch.tensor([0.5])
    lives = [features_of(history, scaling, CONFIG.model) for history in fleet(4)]
    model = calibrated(streaming_of(network, scaling, CONFIG), network, lives, CONFIG)
    batch = batch_of(lives, CONFIG.model)
    within = torch.from_numpy(batch.real & (batch.left <= 40))
    with torch.no_grad():
        answers, _ = network(torch.from_numpy(batch.inputs))
    distance = answers.spread[within] * torch.from_numpy(model.stretch)
    error = torch.from_numpy(batch.left)[within] / 40 - answers.estimate[within]
    assert (error < -distance[:, 0]).float().mean().item() == pytest.approx(0.05, abs=0.01)
    assert (error > distance[:, 1]).float().mean().item() == pytest.approx(0.05, abs=0.01)


def test_stretch_covers_its_share_and_never_turns_the_interval_over() -> None:
    score = torch.linspace(0, 2, 201)
    assert stretch(score, 0.95, 10**9) == pytest.approx(1.9)
    assert stretch(-score, 0.5, 10**9) == pytest.approx(0.01)


def test_few_devices_leave_the_interval_near_what_was_trained() -> None:
    score = torch.linspace(0, 4, 101)
    assert stretch(score, 1.0, 2) == pytest.approx(2.0), "two devices against the weight of two"
    assert stretch(score, 1.0, 1) < stretch(score, 1.0, 10) < 4.0
    assert stretch(score / 16, 1.0, 2) == pytest.approx(0.5), "and the same way when it shrinks"


def test_devices_calibrate_as_the_streams_of_a_fleet_bring_them() -> None:
    """As new, of unknown age, and joined in mid-life; as new alone if the network knows nothing else."""
    life = features_of(fleet(1)[0], fit_scaling(fleet(4), CONFIG), CONFIG.model)  # 50 rows
    whole, joined = streams_of([life], JOINS)
    assert [(way.new, len(way.z)) for way in whole] == [(True, 50), (False, 50)]
    assert [(way.new, len(way.z)) for way in joined] == [(False, 38), (False, 25)]
    assert [way.age[0] for way in joined] == [1.0, 1.0], "a stream counts from where it begins"
    assert [way.left[-1] for way in joined] == [life.left[-1]] * 2
    assert streams_of([life], CONFIG) == ([life], [])


def test_hazards_answer_for_every_stream_and_the_interval_for_whole_ones() -> None:
    network, scaling = Network(JOINS).eval(), fit_scaling(fleet(4), JOINS)
    lives = [features_of(history, scaling, JOINS.model) for history in fleet(4)]
    whole, joined = streams_of(lives, JOINS)
    before = streaming_of(network, scaling, JOINS)
    found = calibrated(before, network, lives, JOINS)
    of_whole, of_all = (calibrated(before, network, ways, CONFIG) for ways in (whole, [*whole, *joined]))
    assert found.hazard.bias.tolist() == of_all.hazard.bias.tolist() != of_whole.hazard.bias.tolist()
    n, twice = 4, 8  # devices, and streams that `CONFIG` takes for devices
    again = of_whole.stretch ** ((twice + TRAINED_DEVICES) / twice * n / (n + TRAINED_DEVICES))
    assert found.stretch.tolist() == pytest.approx(again.tolist(), rel=1e-4), "two streams of a device are one device"


def told(risk: np.ndarray, rul: np.ndarray) -> PlayedDevice:
    n = len(risk)
    return PlayedDevice("1", np.arange(n), np.zeros(n, np.uint8), {"risk": risk, "rul": rul}, ())


def test_figures_count_rows_as_defined() -> None:
    history = History("1", np.arange(1.0, 5.0), np.zeros((4, 1), np.float32), 5.0)  # 4, 3, 2, 1 left
    risk = np.array([[0, 0.5], [0, 0.5], [0.5, 1], [1, 1]], np.float32)
    rul = np.array([[1, 2, 3], [1, 3, 4], [3, 4, 5], [0, 1, 2]], np.float32)
    manifest = msgspec.structs.replace(
        small_manifest(), risk=RiskHead(horizons_s=(2.0, 3.0)), rul=RulHead(quantiles=(0.05, 0.5, 0.95), cap_s=3.0)
    )
    found = figures([told(risk, rul)], [history], manifest)
    assert found.rmse_s == pytest.approx(np.sqrt((1 + 0 + 4 + 0) / 4))
    assert found.interval.whole.share == 2 / 3
    assert found.interval.whole.width_s == pytest.approx(7 / 3)
    assert [one.base_rate for one in found.horizons] == [0.5, 0.75]
    assert [one.brier for one in found.horizons] == pytest.approx([0.25 / 4, (0.25 + 0.25) / 4])
    assert found.horizons[0].brier_of_base_rate == 0.25


def test_a_device_that_did_not_fail_counts_where_its_recording_knows() -> None:
    """Its rows saw 3, 2, 1 and 0 on: three answer for the horizon of 1, one for that of 3 and for the cap of 3."""
    failed = History("1", np.arange(1.0, 5.0), np.zeros((4, 1), np.float32), 5.0)
    alive = History("2", np.arange(1.0, 5.0), np.zeros((4, 1), np.float32), None)
    risk = np.array([[0, 0.5], [0, 0.5], [0.5, 1], [1, 1]], np.float32)
    rul = np.array([[1, 2, 3], [1, 3, 4], [3, 4, 5], [0, 1, 2]], np.float32)
    manifest = msgspec.structs.replace(
        small_manifest(), risk=RiskHead(horizons_s=(1.0, 3.0)), rul=RulHead(quantiles=(0.05, 0.5, 0.95), cap_s=3.0)
    )
    alone = figures([told(risk, rul)], [failed], manifest)
    found = figures([told(risk, rul)] * 2, [failed, alive], manifest)
    assert (found.n_devices, found.n_rows) == (2, 8)
    assert found.rmse_s == pytest.approx(np.sqrt((1 + 0 + 4 + 0 + 1) / 5))
    assert found.interval.whole == alone.interval.whole
    assert [one.base_rate for one in found.horizons] == [1 / 7, 3 / 5]
    assert found.horizons[0].brier == pytest.approx((0.25 + 0.25) / 7)
    assert found.horizons[1].brier == pytest.approx((0.25 + 0.25 + 0.25) / 5)


def test_last_rows_are_scored_as_the_data_set_defines() -> None:
    """NASA score of answers 13 too early and 10 too late: twice e - 1. The truth counts as at most the cap."""
    histories = [
        History(str(left), np.array([1.0, 2.0]), np.zeros((2, 1), np.float32), 2.0 + left) for left in (50, 60, 150)
    ]
    answers = [37.0, 70.0, 125.0]
    rows = [np.array([[0, 9, 9], [0, answer, 125]], np.float32) for answer in answers]
    found = last_rows([told(np.zeros((2, 1), np.float32), rul) for rul in rows], histories, 125.0)
    assert found.n_engines == 3
    assert (found.interval.whole.n_rows, found.interval.whole.share) == (4, 0.5), "the third engine never comes near"
    assert found.rmse_capped == pytest.approx(np.sqrt((13**2 + 10**2) / 3))
    assert found.rmse_raw == pytest.approx(np.sqrt((13**2 + 10**2 + 25**2) / 3))
    assert found.nasa_score == pytest.approx(2 * (np.e - 1))
    assert found.nasa_score_raw == pytest.approx(2 * (np.e - 1) + np.exp(25 / 13) - 1)
