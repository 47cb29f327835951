"""Training, top to bottom: vary the lives, batch whole histories, step, average, watch, keep.

Every technique is a switch of `[train]`; docs/training.md says what each is worth.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from agent.errors import ForewarnError
from agent.words import Float32
from trainer.augment import part, vary
from trainer.cells.cell import plainly
from trainer.checkpoint import Curves, Run, resume, save
from trainer.config import Config, Train
from trainer.features import Batch, Life, batch_of
from trainer.heads import Answers, risk_of
from trainer.loss import Target, Truth, life_target, loss
from trainer.network import Learner, Network, fix_seed
from trainer.rounding import rounded

HAZARDS_FASTER = 5.0
"""Hazards are logits of a linear map of states within +-1, so their weights must grow large; nothing waits for them."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Teacher = Callable[[Tensor, Tensor], Tensor]
"""Inputs [T, n, I] and real [T, n] to what a student should say of the remaining life / cap, [T, n]."""
Worth = Callable[[Sequence[Float32]], float]
"""Risks of the watched lives, float32 [T, K] each, to what warnings from them would be worth."""
AnyLearner = TypeVar("AnyLearner", bound=Learner)


@dataclass(frozen=True, slots=True)
class Beside:
    """What a run may have beside its lives.

    teacher     draws the estimate, the truth counting `1 - taught`
    worth       decides when to stop, and which epoch is kept, where `train.patience` is set
    checkpoint  file to go on from; `made_of` tells whose it is
    """

    teacher: Teacher | None = None
    taught: float = 0.8
    worth: Worth | None = None
    checkpoint: Path | None = None
    made_of: str = ""


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
    """Make a network and train it on `fit`; `watch` is looked at and never learnt from, and chooses an epoch only where
    `patience` is set.

    Deterministic by `seed` on one machine. Raises ForewarnError when the loss is no longer finite.
    """
    fix_seed(seed)
    settings = config.train
    network = make(config).to(settings.device)
    run = begin(network, config, len(fit), seed)
    if beside.checkpoint is not None:
        resume(run, beside.checkpoint, beside.made_of)
    target = target_of(fit, config)
    wears = [part(life, config.augment.smooth_rows) for life in fit]
    scaler = torch.amp.GradScaler(settings.device, enabled=settings.precision == "fp16")
    epochs = range(run.epoch, settings.epochs)
    progress = tqdm(epochs, "train", settings.epochs, initial=run.epoch, unit="epoch", disable=not sys.stderr.isatty())
    for epoch in progress:
        network.train()
        lives = [vary(wear, config.augment, config.model.clip_sigma, run.rng) for wear in wears]
        batches = batches_of(lives, config, run.rng)
        losses = []
        for batch in batches:
            states: list[Tensor] = []
            for inputs, truth in pieces(batch, config, beside):
                with autocast(settings):
                    multiply = rounded if epoch >= settings.epochs - settings.rounded_epochs else plainly
                    answers, states = network(inputs, [state.detach() for state in states], multiply, truth.real)
                value = loss(answers, truth, target)
                descend(run, value, scaler, settings)
                losses.append(value.item())
            run.schedule.step()
        if not np.isfinite(np.mean(losses)):
            what = f"the loss is {np.mean(losses)} in epoch {epoch + 1}"
            raise ForewarnError(config.name, what, next_step="Lower train.learning_rate, or look for absurd readings.")
        watched(run, watch, config, float(np.mean(losses)), beside.worth)
        progress.set_postfix(loss=f"{run.curves.loss[-1]:.4f}", rmse=f"{run.curves.rmse[-1]:.2f}")
        if beside.checkpoint is not None:
            save(run, beside.checkpoint, beside.made_of)
        if settings.patience and best_epoch(run.curves) + settings.patience <= epoch:
            break
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
    return Run(network, averaged, optimiser, schedule, np.random.default_rng(seed), Curves(), {})


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


def autocast(settings: Train) -> AbstractContextManager[object]:
    """Mixed precision (Micikevicius et al., ICLR 2018): products in the narrow type, sums and weights in float32."""
    dtype = DTYPES[settings.precision]
    return torch.autocast(settings.device, dtype=dtype, enabled=settings.precision != "fp32")


def descend(run: Run, value: Tensor, scaler: torch.amp.GradScaler, settings: Train) -> None:
    """One step against the gradient, clipped by its global norm (Pascanu, Mikolov and Bengio, ICML 2013)."""
    run.optimiser.zero_grad()
    scaler.scale(value).backward()  # type: ignore[no-untyped-call]
    scaler.unscale_(run.optimiser)
    for weights in run.network.taught_apart():
        clip_grad_norm_(weights, settings.clip_norm)
    scaler.step(run.optimiser)
    scaler.update()
    run.averaged.update_parameters(run.network)


def watched(run: Run, watch: Sequence[Life], config: Config, epoch_loss: float, worth: Worth | None) -> None:
    """Look at the lives that are not learnt from, and keep the weights if their warnings were never worth more."""
    told = answers_of(run.averaged.module, watch, config)
    run.curves.loss.append(epoch_loss)
    run.curves.rmse.append(rmse_over_rows([estimate for estimate, _ in told], watch, config))
    if worth is not None and config.train.patience:
        run.curves.worth.append(worth([risk for _, risk in told]))
        if best_epoch(run.curves) == run.epoch - 1:
            run.best = {name: value.clone() for name, value in run.averaged.module.state_dict().items()}


def best_epoch(curves: Curves) -> int:
    return int(np.argmax(curves.worth)) if curves.worth else len(curves.loss)


def target_of(lives: Sequence[Life], config: Config) -> Target:
    """Rows beyond the cap weigh `above_cap_share` in all, so that the common early life does not drown the end."""
    left = np.concatenate([life.left for life in lives])
    n_above = int((left > config.rul.cap).sum())
    share = config.train.above_cap_share
    above_weight = share / (1 - share) * (len(left) - n_above) / max(n_above, 1)
    return Target(config.rul.cap, above_weight, config.rul.low, config.rul.high, config.risk.horizons)


def answers_of(network: torch.nn.Module, lives: Sequence[Life], config: Config) -> list[tuple[Float32, Float32]]:
    """Remaining life float32 [T] in seconds within [0, cap], and risk float32 [T, K], of every row of every life."""
    batch = batch_of(lives, config.model)
    network.eval()
    with torch.no_grad():
        inputs, real = (torch.from_numpy(part).to(config.train.device) for part in (batch.inputs, batch.real))
        answers: Answers = network(inputs, real=real)[0]
    estimate = (answers.estimate.clamp(0, 1) * config.rul.cap).cpu().numpy()
    risk = risk_of(answers.hazard).cpu().numpy()
    return [(estimate[: len(life.z), one], risk[: len(life.z), one]) for one, life in enumerate(lives)]


def rmse_over_rows(found: Sequence[Float32], lives: Sequence[Life], config: Config, above_share: float = 0.15) -> float:
    """What a random cut of these lives would show: rows from the 20th on whose failure is 6 to 145 rows away, those
    beyond the cap weighing `above_share` in all. A causal model answers every cut in one pass, with less noise than one
    cut a device. NaN where no device failed.
    """
    cap, cadence = config.rul.cap, config.model.cadence
    left = np.concatenate([life.left for life in lives])
    row = np.concatenate([np.arange(len(life.z)) for life in lives])
    failed = np.repeat([life.failed for life in lives], [len(life.z) for life in lives])
    squared = (np.concatenate(found) - np.minimum(left, cap)) ** 2
    counted = failed & (row >= 19) & (left >= 6 * cadence) & (left <= 145 * cadence)
    below, above = squared[counted & (left <= cap)], squared[counted & (left > cap)]
    if not len(below):
        return float("nan")
    if not len(above):
        return float(np.sqrt(below.mean()))
    return float(np.sqrt((1 - above_share) * below.mean() + above_share * above.mean()))
