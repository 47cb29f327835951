"""What is asked of the network: targets, losses, weights of rows, and what augmentation may change."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from agent.errors import DataRefused, ForewarnError
from agent.words import Float32, Int64
from tests.trainer.fleet import fleet, small_config
from tests.trainer.recordings import table
from trainer.config import Augment, Model, Rul
from trainer.data.history import History
from trainer.data.split import Split, split
from trainer.model.features import Features, RunningMean, batch_of, features_of, fit_scaling, imputed
from trainer.model.heads import Heads, Outputs, risk_of
from trainer.model.network import Network, fix_seed
from trainer.training.augment import augmented, decompose, started_late, warped
from trainer.training.loop import HAZARDS_FASTER, train
from trainer.training.loss import Target, Truth, hazard_targets, life_target, loss, pinball, target_of
from trainer.training.validation import rmse_over_rows

CONFIG = small_config()


def lives(n: int = 8) -> list[Features]:
    histories = fleet(n)
    picked = [replace(history, x=history.x) for history in histories]
    scaling = fit_scaling(picked, CONFIG)
    return [features_of(history, scaling, CONFIG.model) for history in picked]


def until(life: Features, row: int) -> Features:
    return replace(life, z=life.z[:row], age=life.age[:row], left=life.left[:row], groups=life.groups[:row])


def without_groups(z: Float32, age: Float32, left: Float32) -> Features:
    return Features(z, age, left, np.empty((len(z), 0), np.float32))


def test_split_deals_devices_once_and_by_seed_whatever_their_order() -> None:
    histories = fleet(14)
    parts = split(histories, CONFIG.split)
    dealt = [history.device for part in (parts.fit, parts.calibrate, parts.play) for history in part]
    assert len(dealt) == len(set(dealt)) == 14
    again = split(histories[::-1], CONFIG.split)
    assert [h.device for h in again.play] == [h.device for h in parts.play]
    other = split(histories, CONFIG.split.model_copy(update={"seed": 1}))
    assert [h.device for h in other.play] != [h.device for h in parts.play]
    with pytest.raises(DataRefused, match=r"14 devices, but split.fit \+ calibrate \+ play is 15"):
        split(histories, Split(fit=9, calibrate=3, play=3))


def test_a_channel_that_says_nothing_is_refused_by_name() -> None:
    with pytest.raises(DataRefused, match="channel 'T30' has one value over the fit devices"):
        fit_scaling(with_t30(lambda row: np.full(len(row), 3.0)), CONFIG)


def with_t30(values: Callable[[Int64], npt.NDArray[np.float64]]) -> list[History]:
    """Three devices whose channel T30 has these values; what they are made from is the number of the row."""
    histories = fleet(3)
    for index, history in enumerate(histories):
        x = history.x.copy()
        x[:, 1] = values(np.arange(len(x)))
        histories[index] = replace(history, x=x)
    return histories


def test_a_channel_that_is_on_and_off_becomes_1_and_0() -> None:
    switched = with_t30(lambda row: np.where(row % 5 == 0, np.nan, np.where(row % 3 == 0, 40.0, 60.0)))
    scaling = fit_scaling(switched, CONFIG)
    life = features_of(switched[0], scaling, CONFIG.model)
    assert life.z[[1, 2, 3, 4], 1] == pytest.approx([1, 1, 0, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (lambda row: np.where(row % 2, 21.60, 21.61), "takes two values .* 21.6 and 21.61, which differ by rounding"),
        (lambda row: np.where(row == 7, 1.0, 0.0), r"takes two values .*, one of them in 3 of \d+ rows only"),
    ],
)
def test_two_values_that_say_nothing_are_refused(values: Callable[[Int64], npt.NDArray[np.float64]], why: str) -> None:
    with pytest.raises(DataRefused, match=f"channel 'T30' {why}"):
        fit_scaling(with_t30(values), CONFIG)


def test_events_are_counts_and_not_scaled_however_rare_and_one_that_never_came_is_0() -> None:
    """In 3 rows of hundreds: as a measured channel it would be refused."""
    config = small_config(data=table(columns={"T30": {"event": True}}))
    for values, at_7 in ((lambda row: np.where(row == 7, 2.0, 0.0), 2.0), (lambda row: np.zeros(len(row)), 0.0)):
        rare = with_t30(values)
        scaling = fit_scaling(rare, config)
        life = features_of(rare[0], scaling, config.model)
        assert life.z[6:9, 1].tolist() == [0.0, at_7, 0.0]


def test_missing_values_take_the_mean_so_far_and_first_ones_zero() -> None:
    nan = np.float32(np.nan)
    z = np.array([[nan, 1.0], [2.0, nan], [nan, 3.0]], np.float32)
    found = imputed(z, 0.5)
    assert found[:2].tolist() == [[0.0, 1.0], [2.0, 1.0]]
    assert found[2, 0] == np.float32(4 / 3)  # of 0 and 2, weights 1 : 2
    assert np.isnan(z[0, 0]), "the history itself stays as it was"


def test_running_mean_weighs_rows_by_age_and_sums_to_one() -> None:
    z = np.array([4.0, 0.0, 0.0], np.float32)
    np.testing.assert_allclose(RunningMean(0.5).over(z), [4.0, 4 / 3, 4 / 7], rtol=1e-6)
    np.testing.assert_allclose(RunningMean(0.02).over(np.full(50, 2.5, np.float32)), 2.5, rtol=1e-5)


def test_batch_marks_padding_and_looks_back_only() -> None:
    short, long = lives(2)
    batch = batch_of([short, long], CONFIG.model)
    assert batch.inputs.shape == (53, 2, 11)
    assert batch.real.sum(axis=0).tolist() == [50, 53]
    cut = batch_of([until(long, 20)], CONFIG.model)
    assert cut.inputs[:, 0].tobytes() == np.ascontiguousarray(batch.inputs[:20, 1]).tobytes()
    assert batch.inputs[:3, 0, -2].tolist() == [np.float32(age / 200) for age in (1, 2, 3)]


def test_hazards_ask_only_where_the_shorter_horizon_is_survived() -> None:
    faulty, exposed = hazard_targets(torch.tensor([3.0, 5.0, 8.0, 99.0]), torch.tensor(True), (5.0, 10.0))
    assert faulty.tolist() == [[1, 1], [1, 1], [0, 1], [0, 0]]
    assert exposed.tolist() == [[True, False], [True, False], [True, True], [True, True]]


def test_risk_never_falls_with_the_horizon_and_is_the_product_of_survivals() -> None:
    risk = risk_of(torch.randn(1000, 4) * 5)
    assert (risk.diff(dim=1) >= 0).all()
    half = torch.zeros(1, 3)  # hazards of 1/2
    assert risk_of(half).tolist() == [[0.5, 0.75, 0.875]]


def test_loss_is_weighted_over_real_rows_and_terms_touch_their_own_head() -> None:
    target = Target(cap=100.0, above_weight=0.25, low=0.05, high=0.95, horizons=(10.0,))
    estimate = torch.tensor([[0.5], [0.0], [9.0]], requires_grad=True)  # the last row is padding
    spread = torch.full((3, 1, 2), 0.25, requires_grad=True)
    hazard = torch.zeros((3, 1, 1), requires_grad=True)
    left, real = torch.tensor([[50.0], [200.0], [0.0]]), torch.tensor([[True], [True], [False]])
    truth = Truth(left, real, torch.tensor([True]), estimate=life_target(left, 100.0))
    value = loss(Outputs(estimate, spread, hazard), truth, target)
    squared = 0.25 * 1.0**2 / 1.25
    # row 0: truth at the centre; row 1: truth 1.0 above it, 1.25 above low, 0.75 above high
    interval = ((0.05 * 0.25 + 0.05 * 0.25) + (0.05 * 1.25 + 0.95 * 0.75)) / 2
    assert value.item() == pytest.approx(squared + interval + np.log(2), rel=1e-6)
    value.backward()
    assert estimate.grad is not None
    np.testing.assert_allclose(estimate.grad[:, 0], [0.0, -0.25 * 2 / 1.25, 0.0], atol=1e-7)


def test_only_the_estimate_teaches_the_states() -> None:
    hidden = torch.randn(5, 4, requires_grad=True)
    outputs = Heads(4, 2)(hidden)
    read = outputs.spread.sum() + outputs.hazard.sum()
    assert torch.autograd.grad(read, hidden, allow_unused=True, retain_graph=True) == (None,)
    (pull,) = torch.autograd.grad(outputs.estimate.sum(), hidden)
    assert (pull != 0).all()


def test_pinball_is_least_at_its_quantile() -> None:
    values = torch.arange(101.0)
    losses = [pinball(values - guess, 0.95).mean().item() for guess in range(101)]
    assert int(np.argmin(losses)) == 95


def test_rows_beyond_the_cap_weigh_their_share() -> None:
    some = lives()
    target = target_of(some, CONFIG)
    left = np.concatenate([life.left for life in some])
    above = target.above_weight * (left > 40).sum()
    assert above / (above + (left <= 40).sum()) == pytest.approx(CONFIG.train.above_cap_share)


@pytest.mark.parametrize("cadence", [1, 3600])
def test_rmse_over_rows_counts_the_rows_of_a_random_cut(cadence: int) -> None:
    config = small_config(rul=Rul(cap=20 * cadence), model=Model(cadence=cadence, dt_max=60 * cadence))
    left = np.arange(60, dtype=np.float32)[::-1]
    life = without_groups(np.zeros((60, 1), np.float32), left, left * cadence)
    off = np.minimum(left, 20) + np.where(left > 20, 2, 1)
    off[:19] = off[-6:] = 1000  # before row 20, and with fewer than 6 cycles left
    found = rmse_over_rows([off.astype(np.float32) * cadence], [life], config)
    assert found == pytest.approx(np.sqrt(0.85 + 0.15 * 4) * cadence)


def test_smooth_and_residual_make_the_life_and_a_line_is_all_smooth() -> None:
    line = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    decomposed = decompose(without_groups(line, line[:, 0], line[:, 0]), width=3)
    np.testing.assert_allclose(decomposed.smooth, line, atol=1e-5)
    life = lives(1)[0]
    decomposed = decompose(life, width=3)
    np.testing.assert_allclose(decomposed.smooth + decomposed.residual, life.z, atol=1e-6)
    assert decomposed.smooth[30:40].std() < life.z[30:40].std()


def test_warp_counts_the_life_anew_and_keeps_its_ends() -> None:
    decomposed = decompose(lives(1)[0], width=3)
    calm = replace(decomposed, residual=np.zeros_like(decomposed.residual))
    longer = warped(calm, 1.25, 4.0, np.random.default_rng(0))
    assert len(longer.z) == round(50 * 1.25)
    np.testing.assert_allclose(longer.z[[0, -1]], np.clip(decomposed.smooth[[0, -1]], -4, 4), atol=1e-6)
    np.testing.assert_allclose([longer.left[0], longer.left[-1]], [49 * 1.25, 0], atol=1e-5)
    np.testing.assert_allclose([longer.age[0], longer.age[-1]], [1, 1 + 49 * 1.25], atol=1e-4)


def test_warp_draws_its_noise_anew_from_the_same_life() -> None:
    decomposed = decompose(lives(1)[0], width=3)
    noise = warped(decomposed, 1.0, 99.0, np.random.default_rng(0)).z - decomposed.smooth
    distance = np.abs(noise[:, None] - decomposed.residual[None]).max(axis=2)  # [row, row it may come from]
    assert (distance.min(axis=1) < 1e-5).all()
    assert (distance.argmin(axis=1) == np.arange(len(noise))).mean() < 0.2


def test_a_life_that_starts_late_forgets_its_beginning_only() -> None:
    life = lives(1)[0]
    later = started_late(life, 25, np.random.default_rng(0))
    lost = len(life.z) - len(later.z)
    assert 0 < lost <= 25
    assert (life.new, later.new) == (True, False)
    assert later.z.tobytes() == life.z[lost:].tobytes()
    assert later.left.tolist() == life.left[lost:].tolist()
    assert later.age.tolist() == life.age[: len(later.age)].tolist()


def test_no_augmentation_leaves_the_life_alone() -> None:
    life = lives(1)[0]
    same = augmented(decompose(life, 3), Augment(probability=0, join_share=0), 4.0, np.random.default_rng(0))
    assert same is life
    other = augmented(decompose(life, 3), Augment(probability=1), 4.0, np.random.default_rng(0))
    assert other.z[:10].tobytes() != life.z[:10].tobytes()


@pytest.mark.slow
def test_training_is_the_same_by_seed_and_learns() -> None:
    config = CONFIG.model_copy(update={"train": CONFIG.train.model_copy(update={"epochs": 30, "average": 0.5})})
    fit, validation = lives(8)[:6], lives(8)[6:]
    (one, curves), (two, again) = (train(Network, fit, validation, config) for _ in range(2))
    assert curves == again
    for mine, theirs in zip(one.parameters(), two.parameters(), strict=True):
        assert mine.detach().numpy().tobytes() == theirs.detach().numpy().tobytes()
    _, other = train(Network, fit, validation, config.model_copy(update={"seed": 1}))
    assert other.loss != curves.loss
    assert curves.rmse[-1] < 0.6 * curves.rmse[0]
    assert len(curves.loss) == 30


def trained_with(**settings: float) -> Network:
    some = lives(4)
    config = CONFIG.model_copy(update={"train": CONFIG.train.model_copy(update={"epochs": 2, "batch": 4, **settings})})
    return train(Network, some, some, config)[0]


def test_what_is_kept_are_the_averaged_weights() -> None:
    """From the same start, a slower average has moved less."""
    fix_seed(0)
    start = Network(CONFIG).heads.estimate.weight
    moved = [(trained_with(average=rate, epochs=8).heads.estimate.weight - start).abs().max() for rate in (0.0, 0.9)]
    assert 0 < moved[1] < 0.9 * moved[0]


def test_gradients_are_clipped() -> None:
    """Adam does not see the scale of a gradient, unless it is far below its epsilon."""
    fix_seed(0)
    start = Network(CONFIG)
    still = trained_with(average=0.0, clip_norm=1e-14, weight_decay=0.0)
    for mine, before in zip(still.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(mine, before, atol=1e-6, rtol=0)


def test_hazards_learn_faster() -> None:
    """Adam's first steps are as long as its rate, and both biases start at 0 or 1."""
    heads = trained_with(average=0.0).heads
    ratio = heads.hazard.bias.detach().abs().max() / (heads.estimate.bias.detach() - 1).abs().max()
    assert ratio.item() == pytest.approx(HAZARDS_FASTER, rel=0.2)


def test_an_exploding_loss_is_named() -> None:
    life = lives(1)[0]
    broken = replace(life, z=np.full_like(life.z, np.nan))
    with pytest.raises(ForewarnError, match=r"epoch 1\n  Lower train\.learning_rate"):
        train(Network, [broken], [life], CONFIG)
