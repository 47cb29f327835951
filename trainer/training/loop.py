"""Training, top to bottom: vary the lives, batch whole histories, step, average, look, keep.

Every technique is a switch of `[train]`; docs/training.md says what each is worth.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from agent.errors import ConfigurationRefused, ForewarnError
from trainer.config import Config, Train
from trainer.graph.fake_quantize import rounded
from trainer.model.cells.cell import plainly
from trainer.model.features import Batch, Life, batch_of
from trainer.model.network import Learner, Network, fix_seed
from trainer.training.augment import Wear, part, vary
from trainer.training.checkpoint import Curves, Run, resume, save
from trainer.training.loss import Target, Truth, life_target, loss, target_of
from trainer.training.precision import mixed_precision, with_precision_here
from trainer.training.validation import Worth, best_epoch, look

HAZARDS_FASTER = 5.0
"""Hazards are logits of a linear map of states within +-1, so their weights must grow large; nothing waits for them."""
TAME = "Lower train.learning_rate, or look for absurd readings."

Teacher = Callable[[Tensor, Tensor], Tensor]
"""Inputs [T, n, I] and real [T, n] to what a student should say of the remaining life / cap, [T, n]."""
AnyLearner = TypeVar("AnyLearner", bound=Learner)


@dataclass(frozen=True, slots=True)
class Beside:
    """What a run may have beside its lives.

    teacher     draws the estimate, the truth counting `1 - taught`
    worth       decides when to stop, and which epoch is kept, where `train.patience` is set
    checkpoint  file to go on from, where it is there, and to write after each epoch; `made_of` tells whose it is
    """

    teacher: Teacher | None = None
    taught: float = 0.8
    worth: Worth | None = None
    checkpoint: Path | None = None
    made_of: Mapping[str, str] = field(default_factory=dict)


def train(
    fit: Sequence[Life], watch: Sequence[Life], config: Config, seed: int, beside: Beside = Beside()
) -> tuple[Network, Curves]:
    """Train the streaming network."""
    return learn(Network, fit, watch, config, seed, beside)


def learn(
    make: Callable[[Config], AnyLearner],
    fit: Sequence[Life],
    watch: Sequence[Life],
    config: Config,
    seed: int,
    beside: Beside,
) -> tuple[AnyLearner, Curves]:
    """Make a network and train it on `fit`; `watch` is never learnt from, and chooses an epoch only for `patience`.

    Deterministic by `seed` on one machine's CPU. Raises ForewarnError when loss or weights are no longer finite, for
    a checkpoint of another run, and for a device that is not there.
    """
    settings = config.train
    if settings.device == "cuda" and not torch.cuda.is_available():
        what = f"is cuda, but this torch ({torch.__version__}) finds no CUDA device"
        raise ConfigurationRefused("train.device", what, next_step='Set device = "cpu", or install a torch for CUDA.')
    fix_seed(seed, settings.device)
    network = make(config).to(settings.device)
    config = with_precision_here(config, network)
    run = begin(network, config, len(fit), seed)
    if beside.checkpoint is not None and beside.checkpoint.exists():
        resume(run, beside.checkpoint, beside.made_of)
        left = f"is of this same training (seed {seed}): goes on after epoch {run.epoch} of {settings.epochs}"
        tqdm.write(f"{beside.checkpoint}: {left}; --anew starts at the first", file=sys.stderr)
    target = target_of(fit, config)
    wears = [part(life, config.augment.smooth_rows) for life in fit]
    with tqdm(None, "train", settings.epochs, initial=run.epoch, disable=not sys.stderr.isatty()) as progress:
        while not is_over(run.curves, settings):
            epoch_loss = one_epoch(run, wears, target, config, beside)
            if broken := broken_in(run, epoch_loss):
                forget(beside.checkpoint)
                raise ForewarnError(config.name, f"{broken} in epoch {run.epoch + 1}", next_step=TAME)
            look(run, watch, config, epoch_loss, beside.worth)
            if beside.checkpoint is not None:
                save(run, beside.checkpoint, beside.made_of)
            progress.set_postfix(loss=f"{epoch_loss:.4f}", rmse=f"{run.curves.rmse[-1]:.2f}")
            progress.update()
    network.load_state_dict(run.best or run.averaged.module.state_dict())
    return network.cpu().eval(), run.curves


def begin(network: Learner, config: Config, n_lives: int, seed: int) -> Run:
    """A run before its first epoch."""
    settings = config.train
    decay = get_ema_multi_avg_fn(settings.average)  # type: ignore[no-untyped-call]
    life, hazards = network.taught_apart()
    rates = [settings.learning_rate, HAZARDS_FASTER * settings.learning_rate]
    groups = [{"params": life, "weight_decay": settings.weight_decay}, {"params": hazards, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups)
    steps = -(-n_lives // settings.batch) * settings.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps)
    averaged = AveragedModel(network, multi_avg_fn=decay)
    scaler = torch.amp.GradScaler(settings.device, enabled=settings.precision == "fp16")
    return Run(network, averaged, optimiser, schedule, scaler, np.random.default_rng(seed), Curves(), {})


def is_over(curves: Curves, settings: Train) -> bool:
    """All epochs are done, or too many since the best one."""
    done = len(curves.loss)
    return done >= settings.epochs or 0 < settings.patience < done - best_epoch(curves)


def one_epoch(run: Run, wears: Sequence[Wear], target: Target, config: Config, beside: Beside) -> float:
    """One epoch: every life once, in this visit's version of it. Returns the mean loss."""
    settings, losses = config.train, []
    is_rounded = run.epoch >= settings.epochs - settings.rounded_epochs
    run.network.train()
    lives = [vary(wear, config.augment, config.model.clip_sigma, run.rng) for wear in wears]
    for batch in batches_of(lives, config, run.rng):
        states: list[Tensor] = []
        for inputs, truth in pieces(batch, config, beside):
            carried = [state.detach() for state in states]
            if is_rounded:
                answers, states = run.network(inputs, carried, rounded, truth.real)
            else:
                with mixed_precision(settings):
                    answers, states = run.network(inputs, carried, plainly, truth.real)
            value = loss(answers.in_float32(), truth, target)
            descend(run, value, settings.clip_norm)
            losses.append(value.item())
        run.schedule.step()
    return float(np.mean(losses))


def batches_of(lives: Sequence[Life], config: Config, rng: np.random.Generator) -> list[Batch]:
    """Lives of like length together, batches in random order."""
    ordered = sorted(lives, key=lambda life: len(life.z))
    size = config.train.batch
    starts = rng.permutation(np.arange(0, len(ordered), size))
    return [batch_of(ordered[start : start + size], config.model) for start in starts]


def pieces(batch: Batch, config: Config, beside: Beside) -> list[tuple[Tensor, Truth]]:
    """A batch in runs of rows over which errors travel back, in order (Williams and Peng, Neural Comput. 2, 1990)."""
    device, length = config.train.device, config.train.truncate or len(batch.inputs)
    inputs, left, real, failed = (
        torch.from_numpy(part).to(device) for part in (batch.inputs, batch.left, batch.real, batch.failed)
    )
    taught = life_target(left, config.rul.cap)
    if beside.teacher is not None:
        taught = beside.taught * beside.teacher(inputs, real) + (1 - beside.taught) * taught
    return [
        (inputs[rows], Truth(left[rows], real[rows], failed, taught[rows]))
        for rows in (slice(start, start + length) for start in range(0, len(inputs), length))
    ]


def descend(run: Run, value: Tensor, clip_norm: float) -> None:
    """One step against the gradient, clipped by its global norm (Pascanu, Mikolov and Bengio, ICML 2013)."""
    run.optimiser.zero_grad()
    run.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
    run.scaler.unscale_(run.optimiser)
    for weights in run.network.taught_apart():
        clip_grad_norm_(weights, clip_norm)
    run.scaler.step(run.optimiser)
    run.scaler.update()
    run.averaged.update_parameters(run.network)


def broken_in(run: Run, epoch_loss: float) -> str:
    """What is no longer a number after an epoch, "" for nothing."""
    if not np.isfinite(epoch_loss):
        return f"the loss is {epoch_loss}"
    weights = [*run.network.parameters(), *run.averaged.parameters()]
    return "" if all(bool(weight.isfinite().all()) for weight in weights) else "a weight is no longer finite"


def forget(checkpoint: Path | None) -> None:
    """A run that ends badly would come to the same end, and its file refuse the configuration that was mended."""
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
