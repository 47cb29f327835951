"""The techniques of `[train]`: each switch does what it says, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from agent.errors import ConfigurationRefused, ForewarnError
from tests.trainer.fleet import fleet, small_config
from trainer.config import Augment, Config, Train
from trainer.model.features import Batch, Features, batch_of, features_of, fit_scaling
from trainer.model.heads import Heads, Outputs
from trainer.model.network import Learner, Network, fix_seed
from trainer.training import torch_file
from trainer.training.checkpoint import Checkpoint
from trainer.training.loop import chunks_of, train
from trainer.training.loss import loss, target_of
from trainer.training.precision import with_precision_here
from trainer.training.validation import predict

STILL = Augment(probability=0, join_share=0)


def config_of(**train_settings: object) -> Config:
    settings = {"epochs": 2, "batch": 4} | train_settings
    return small_config(train=Train().model_copy(update=settings), augment=STILL)


def lives(n: int = 8) -> list[Features]:
    config = config_of()
    scaling = fit_scaling(fleet(n), config)
    return [features_of(history, scaling, config.model) for history in fleet(n)]


def bits(network: Learner) -> list[bytes]:
    return [weight.detach().numpy().tobytes() for weight in network.parameters()]


def batch(n: int = 4) -> Batch:
    return batch_of(lives(n), config_of().model)


def test_states_carried_over_chunks_give_the_whole_forward() -> None:
    fix_seed(0)
    network, whole = Network(config_of()).eval(), batch()
    cut = list(chunks_of(whole, config_of(truncate=17)))
    assert [len(inputs) for inputs, _ in cut] == [17, 17, 17, 8]
    with torch.no_grad():
        wanted, last = network(torch.from_numpy(whole.inputs))
        states: list[torch.Tensor] = []
        told = []
        for inputs, _ in cut:
            outputs, states = network(inputs, states)
            told.append(outputs)
    for name in ("estimate", "spread", "hazard"):
        joined = torch.cat([getattr(one, name) for one in told])
        torch.testing.assert_close(joined, getattr(wanted, name), atol=1e-6, rtol=0)
    for mine, theirs in zip(states, last, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


def test_chunks_hold_every_row_once_with_its_truth() -> None:
    whole = batch()
    cut = list(chunks_of(whole, config_of(truncate=17)))
    for name in ("left", "real"):
        assert torch.cat([getattr(truth, name) for _, truth in cut]).numpy().tobytes() == getattr(whole, name).tobytes()
    assert torch.cat([inputs for inputs, _ in cut]).numpy().tobytes() == whole.inputs.tobytes()
    assert all(truth.failed.tolist() == [True] * 4 for _, truth in cut)


def test_errors_stop_at_the_beginning_of_a_chunk() -> None:
    """One chunk as long as the longest life is no truncation; shorter ones teach something else."""
    whole, curves = train(Network, lives(), lives(), config_of())
    same, _ = train(Network, lives(), lives(), config_of(truncate=10_000))
    other, others = train(Network, lives(), lives(), config_of(truncate=20))
    assert bits(whole) == bits(same)
    assert bits(whole) != bits(other)
    assert len(others.loss) == len(curves.loss) == 2


class Carried(Network):
    """Keeps what states it was given and what it gave back, a chunk each."""

    given: ClassVar[list[list[torch.Tensor]]] = []
    told: ClassVar[list[list[torch.Tensor]]] = []

    def forward(self, inputs, states=(), *arguments, **named):  # type: ignore[no-untyped-def]
        outputs, after = super().forward(inputs, states, *arguments, **named)
        if self.training:
            self.given.append(list(states))
            self.told.append(after)
        return outputs, after


def test_a_chunk_goes_on_from_the_states_of_the_one_before_and_teaches_it_nothing() -> None:
    """Two batches of three chunks."""
    train(Carried, lives(), lives(), config_of(epochs=1, truncate=25))
    assert [len(states) for states in Carried.given] == [0, 2, 2, 0, 2, 2]
    for chunk in (1, 2, 4, 5):
        for mine, before in zip(Carried.given[chunk], Carried.told[chunk - 1], strict=True):
            assert before.any()
            assert torch.equal(mine, before)
            assert not mine.requires_grad


@pytest.mark.slow
def test_the_schedule_steps_once_a_batch_whatever_the_chunks(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt")
    train(Network, lives(), lives(), config_of(epochs=3, truncate=5), checkpoint=checkpoint)
    content = torch_file.read(tmp_path / "checkpoint.pt", "checkpoint", "")
    assert content["schedule"]["last_epoch"] == 3 * 2
    assert content["optimiser"]["state"][0]["step"] == 3 * sum(-(-n // 5) for n in (59, 71))


def test_a_chunk_without_a_known_row_does_no_harm() -> None:
    """All padding, or devices of which nobody knows what came: a loss of 0 whose gradients are 0, not NaN."""
    fix_seed(0)
    network = Network(config_of())
    inputs, truth = next(chunks_of(batch(), config_of()))
    padding = replace(truth, real=torch.zeros_like(truth.real))
    unknown = replace(truth, failed=torch.zeros_like(truth.failed), left=torch.full_like(truth.left, 1.0))
    for one in (padding, unknown):
        network.zero_grad()
        value = loss(network(inputs)[0], one, target_of(lives(), config_of()))
        value.backward()
        assert value.item() == 0
        assert all(weight.grad is None or not weight.grad.any() for weight in network.parameters())


@pytest.mark.slow
def test_bf16_trains_on_the_cpu_or_falls_back_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Which of the two depends on the processor, and on nothing else: the same question is asked here."""
    config = config_of(precision="bf16", epochs=8, average=0.5)
    has_bf16 = with_precision_here(config, Network(config)) is config
    capsys.readouterr()
    narrow, curves = train(Network, lives(), lives(), config)
    said = capsys.readouterr().err.count("train.precision: this processor cannot train with bf16")
    plain, others = train(Network, lives(), lives(), config_of(epochs=8, average=0.5))
    assert {weight.dtype for weight in narrow.state_dict().values()} == {torch.float32}
    assert curves.loss[-1] < 0.8 * curves.loss[0]
    np.testing.assert_allclose(curves.loss, others.loss, rtol=0.05)
    assert said == (0 if has_bf16 else 1)
    assert (curves.loss != others.loss) == has_bf16
    assert (bits(narrow) != bits(plain)) == has_bf16


class WithoutNarrowProducts(Network):
    """A network on a processor that has no narrow products for it."""

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Outputs, list[torch.Tensor]]:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("could not create a primitive descriptor. Run with ONEDNN_VERBOSE=all")
        return super().forward(*args, **kwargs)


def test_a_processor_without_bf16_trains_in_float32_to_the_bit(capsys: pytest.CaptureFixture[str]) -> None:
    """Trying draws no random number: dropout meets the same rows."""
    config = config_of(precision="bf16", dropout=0.3)
    fallen, _ = train(WithoutNarrowProducts, lives(), lives(), config)
    assert capsys.readouterr().err == (
        f"{config.name}: train.precision: this processor cannot train with bf16 "
        "(could not create a primitive descriptor); products are float32\n"
    )
    plain, _ = train(Network, lives(), lives(), config_of(dropout=0.3))
    assert bits(fallen) == bits(plain)


def gru_config(**train_settings: object) -> Config:
    """Of a cell whose bf16 products every processor has."""
    config = config_of(precision="bf16", **train_settings)
    return config.model_copy(update={"model": config.model.model_copy(update={"cell": "gru"})})


def test_the_loss_is_float32_whatever_the_products() -> None:
    fix_seed(0)
    config = gru_config()
    network = Network(config)
    inputs, truth = next(chunks_of(batch(), config))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, _ = network(inputs)
    assert outputs.estimate.dtype == torch.bfloat16
    wide = outputs.in_float32()
    assert {wide.estimate.dtype, wide.spread.dtype, wide.hazard.dtype} == {torch.float32}
    assert loss(wide, truth, target_of(lives(), config)).dtype == torch.float32


def test_the_loss_that_is_learnt_from_is_that_of_bf16_outputs_in_float32() -> None:
    """The first one, of one batch of all lives; unwidened it differs in the fourth digit."""
    config = gru_config(epochs=1, batch=8, dropout=0.0)
    fix_seed(0)
    network, target = Network(config), target_of(lives(), config)
    inputs, truth = next(chunks_of(batch(8), config))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, _ = network(inputs)
    _, curves = train(Network, lives(), lives(), config)
    assert curves.loss == [loss(outputs.in_float32(), truth, target).item()]
    assert curves.loss != [loss(outputs, truth, target).item()]


def test_validation_lives_meet_no_dropout() -> None:
    network = Network(config_of(dropout=0.5)).train()
    first, again = (predict(network, lives(2), config_of())[0] for _ in range(2))
    assert first[0].tobytes() == again[0].tobytes()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_cuda_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt")
    with pytest.raises(ConfigurationRefused, match=r'train\.device: is cuda, .+\n  Set device = "cpu"'):
        train(Network, lives(), lives(), config_of(device="cuda"), checkpoint=checkpoint)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: cuDNN and fp16 stay untested here")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_cuda_learns_what_the_cpu_learns(precision: str) -> None:
    """Within a tolerance: cuDNN's sums are its own, and not the same to the bit from run to run."""
    _, curves = train(Network, lives(), lives(), config_of(device="cuda", precision=precision, epochs=8))
    _, wanted = train(Network, lives(), lives(), config_of(epochs=8))
    np.testing.assert_allclose(curves.loss, wanted.loss, rtol=0.1)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_interval_and_hazards_pull_at_the_states_with_their_share(share: float) -> None:
    torch.manual_seed(0)
    hidden, heads = torch.randn(5, 4, requires_grad=True), Heads(4, 2, share)
    whole = Heads(4, 2, 1.0)
    whole.load_state_dict(heads.state_dict())
    outputs, wanted = heads(hidden), whole(hidden)
    for name in ("estimate", "spread", "hazard"):
        torch.testing.assert_close(getattr(outputs, name), getattr(wanted, name))
    (full,) = torch.autograd.grad(wanted.spread.sum() + wanted.hazard.sum(), hidden)
    told = outputs.spread.sum() + outputs.hazard.sum()
    (pull,) = torch.autograd.grad(told, hidden, allow_unused=True)
    torch.testing.assert_close(torch.zeros(5, 4) if pull is None else pull, share * full)


def test_multi_task_reaches_the_network() -> None:
    assert bits(train(Network, lives(), lives(), config_of(multi_task=0.5))[0]) != bits(
        train(Network, lives(), lives(), config_of())[0]
    )


def test_inf_clips_nothing_and_averaging_of_zero_keeps_the_last_weights() -> None:
    free, huge = (train(Network, lives(), lives(), config_of(clip_norm=norm))[0] for norm in (float("inf"), 1e9))
    assert bits(free) == bits(huge)
    assert bits(free) != bits(train(Network, lives(), lives(), config_of(clip_norm=0.05))[0])


@pytest.mark.parametrize("init", ["torch", "forget_one", "chrono"])
def test_each_start_trains(init: str) -> None:
    fix_seed(0)
    start = Network(config_of(init=init))
    network, curves = train(Network, lives(), lives(), config_of(init=init, epochs=4))
    assert bits(start) != bits(network)
    assert curves.loss[-1] < curves.loss[0]


class Breaks(Network):
    """Says nothing from its `after`-th batch of training on."""

    after = 5

    def forward(self, *arguments, **named):  # type: ignore[no-untyped-def]
        outputs, states = super().forward(*arguments, **named)
        self.after -= self.training
        return (replace(outputs, estimate=outputs.estimate * float("nan")) if self.after < 0 else outputs), states


def test_an_exploding_loss_is_named_by_epoch_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    """A checkpoint would come to the same end, and refuse the configuration that was mended."""
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt")
    with pytest.raises(ForewarnError, match=r"small: the loss is nan in epoch 3\n  Lower train\.learning_rate"):
        train(Breaks, lives(), lives(), config_of(epochs=4), checkpoint=checkpoint)
    assert not list(tmp_path.iterdir())
    _, curves = train(Network, lives(), lives(), config_of(), checkpoint=checkpoint)
    assert len(curves.loss) == 2


class Steep(Network):
    """Its answers are numbers, and what they teach is not: the slope of a root at 0 is infinite."""

    def forward(self, *arguments, **named):  # type: ignore[no-untyped-def]
        outputs, states = super().forward(*arguments, **named)
        return replace(outputs, estimate=outputs.estimate + (0 * self.heads.estimate.bias).sqrt()), states


def test_weights_that_explode_in_the_last_step_are_noticed() -> None:
    """The loss of an epoch was taken before its last step."""
    with pytest.raises(ForewarnError, match="a weight is no longer finite in epoch 1"):
        train(Steep, lives(), lives(), config_of(epochs=1, batch=8))
