"""Training, top to bottom: vary the lives, batch whole histories, step, average, watch."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from agent.errors import ForewarnError
from agent.words import Float32
from trainer.augment import part, vary
from trainer.config import Config
from trainer.features import Batch, Life, batch_of
from trainer.loss import Target, loss
from trainer.network import Network, fix_seed

HAZARDS_FASTER = 5.0
"""Hazards are logits of a linear map of states within +-1, so their weights must grow large; nothing waits for them."""


@dataclass(frozen=True, slots=True)
class Curves:
    """One point an epoch: loss over the varied fit lives, RMSE of the remaining life over the watched ones."""

    loss: tuple[float, ...]
    rmse: tuple[float, ...]


def train(fit: Sequence[Life], watch: Sequence[Life], config: Config, seed: int) -> tuple[Network, Curves]:
    """Train on `fit`; `watch` is looked at and never learnt from, nor used to choose an epoch.

    Deterministic by `seed` on one machine. Raises ForewarnError when the loss is no longer finite.
    """
    fix_seed(seed)
    rng = np.random.default_rng(seed)
    settings = config.train
    network = Network(config)
    decay = get_ema_multi_avg_fn(settings.average)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(network, multi_avg_fn=decay)
    life, hazards = network.taught_apart()
    rates = [settings.learning_rate, HAZARDS_FASTER * settings.learning_rate]
    groups = [{"params": life, "weight_decay": settings.weight_decay}, {"params": hazards, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups)
    steps = -(-len(fit) // settings.batch) * settings.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps)
    target = target_of(fit, config)
    wears = [part(life, config.augment.smooth_rows) for life in fit]
    losses, errors = [], []
    progress = tqdm(range(settings.epochs), desc="train", unit="epoch", disable=not sys.stderr.isatty())
    for epoch in progress:
        network.train()
        lives = [vary(wear, config.augment, config.model.clip_sigma, rng) for wear in wears]
        epoch_loss = 0.0
        batches = batches_of(lives, config, rng)
        for batch in batches:
            optimiser.zero_grad()
            value = loss(network(torch.from_numpy(batch.inputs)), *known(batch), target)
            value.backward()  # type: ignore[no-untyped-call]
            for weights in (life, hazards):
                clip_grad_norm_(weights, settings.clip_norm)
            optimiser.step()
            schedule.step()
            averaged.update_parameters(network)
            epoch_loss += value.item() / len(batches)
        if not np.isfinite(epoch_loss):
            what = f"the loss is {epoch_loss} in epoch {epoch + 1}"
            raise ForewarnError(config.name, what, next_step="Lower train.learning_rate.")
        losses.append(epoch_loss)
        errors.append(rmse_over_rows(estimates(averaged.module, watch, config), watch, config))
        progress.set_postfix(loss=f"{losses[-1]:.4f}", rmse=f"{errors[-1]:.2f}")
    network.load_state_dict(averaged.module.state_dict())
    return network.eval(), Curves(tuple(losses), tuple(errors))


def target_of(lives: Sequence[Life], config: Config) -> Target:
    """Rows beyond the cap weigh `above_cap_share` in all, so that the common early life does not drown the end."""
    left = np.concatenate([life.left for life in lives])
    n_above = int((left > config.rul.cap).sum())
    share = config.train.above_cap_share
    above_weight = share / (1 - share) * (len(left) - n_above) / max(n_above, 1)
    return Target(config.rul.cap, above_weight, config.rul.low, config.rul.high, config.risk.horizons)


def batches_of(lives: Sequence[Life], config: Config, rng: np.random.Generator) -> list[Batch]:
    """Lives of like length together, batches in random order."""
    ordered = sorted(lives, key=lambda life: len(life.z))
    size = config.train.batch
    starts = rng.permutation(np.arange(0, len(ordered), size))
    return [batch_of(ordered[start : start + size], config.model) for start in starts]


def known(batch: Batch) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(batch.left), torch.from_numpy(batch.real)


def estimates(network: torch.nn.Module, lives: Sequence[Life], config: Config) -> list[Float32]:
    """Remaining life of every row of every life, float32 [T] each, in seconds within [0, cap]."""
    batch = batch_of(lives, config.model)
    network.eval()
    with torch.no_grad():
        estimate: Float32 = (network(torch.from_numpy(batch.inputs)).estimate.clamp(0, 1) * config.rul.cap).numpy()
    return [estimate[: len(life.z), column] for column, life in enumerate(lives)]


def rmse_over_rows(found: Sequence[Float32], lives: Sequence[Life], config: Config, above_share: float = 0.15) -> float:
    """What a random cut of these lives would show: rows from the 20th on whose failure is 6 to 145 rows away, those
    beyond the cap weighing `above_share` in all. A causal model answers every cut in one pass, with less noise than one
    cut a device.
    """
    cap, cadence = config.rul.cap, config.model.cadence
    left = np.concatenate([life.left for life in lives])
    row = np.concatenate([np.arange(len(life.z)) for life in lives])
    squared = (np.concatenate(found) - np.minimum(left, cap)) ** 2
    counted = (row >= 19) & (left >= 6 * cadence) & (left <= 145 * cadence)
    below, above = squared[counted & (left <= cap)], squared[counted & (left > cap)]
    if not len(above):
        return float(np.sqrt(below.mean()))
    return float(np.sqrt((1 - above_share) * below.mean() + above_share * above.mean()))
