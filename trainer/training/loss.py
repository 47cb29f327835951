"""The loss: squared error of the estimate, pinball loss of the interval, negative log-likelihood of the hazards.

Of a device that did not fail only the least life is known: its hazards count as long as it was seen to survive them,
its remaining life only where it is beyond the cap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainer.config import Config
from trainer.model.features import Features
from trainer.model.heads import Outputs


@dataclass(frozen=True, slots=True)
class Target:
    """What the outputs are measured by.

    cap           seconds; longer lives count as this
    above_weight  weight of a row beyond the cap in the estimate's loss
    low, high     quantiles of the interval
    horizons      seconds, rising
    """

    cap: float
    above_weight: float
    low: float
    high: float
    horizons: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """What became of the rows of a batch.

    left float32 [T, n] seconds; real bool [T, n]; failed bool [n]
    estimate  float32 [T, n] remaining life / cap that the estimate is drawn to, the truth where there is no teacher
    """

    left: Tensor
    real: Tensor
    failed: Tensor
    estimate: Tensor


def target_of(lives: Sequence[Features], config: Config) -> Target:
    """Rows beyond the cap weigh `above_cap_share` in all, so that the common early life does not drown the end."""
    n_above = sum(int((life.left > config.rul.cap).sum()) for life in lives)
    n_below = sum(int((life.left <= config.rul.cap).sum()) for life in lives if life.failed)
    share = config.train.above_cap_share
    above_weight = share / (1 - share) * n_below / max(n_above, 1)
    return Target(config.rul.cap, above_weight, config.rul.low, config.rul.high, config.risk.horizons)


def loss(outputs: Outputs, truth: Truth, target: Target) -> Tensor:
    """Mean over the real rows of [T, n]. Unless `multi_task` is set, the three terms touch disjoint weights and need no
    balance.
    """
    left = truth.left
    life = life_target(left, target.cap)
    is_known = truth.real & (truth.failed | (left >= target.cap))
    weight = torch.where(left > target.cap, target.above_weight, 1.0) * is_known
    squared = (weight * (outputs.estimate - truth.estimate) ** 2).sum() / weight.sum().clamp(min=1e-6)

    centre = outputs.estimate.detach()
    low = pinball(life - (centre - outputs.spread[..., 0]), target.low)
    high = pinball(life - (centre + outputs.spread[..., 1]), target.high)
    interval = ((low + high) * is_known).sum() / is_known.sum().clamp(min=1)

    faulty, exposed = hazard_targets(left, truth.failed, target.horizons)
    exposed = exposed & truth.real[..., None]
    entropy = functional.binary_cross_entropy_with_logits(outputs.hazard, faulty, reduction="none")
    return squared + interval + (entropy * exposed).sum() / exposed.sum().clamp(min=1)


def life_target(left: Tensor, cap: float) -> Tensor:
    """Remaining life / cap, at most 1."""
    return left.clamp(max=cap) / cap


def pinball(error: Tensor, quantile: float) -> Tensor:
    """Quantile loss of error = truth - predicted (Koenker and Bassett, Econometrica 46, 1978)."""
    return torch.maximum(quantile * error, (quantile - 1) * error)


def hazard_targets(left: Tensor, failed: Tensor, horizons: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """[..., K] float: does the fault fall within horizon k? And bool: did the device reach horizon k, and is it known
    whether it failed there? The discrete-time hazards of Singer and Willett (J. Educ. Stat. 18, 1993).
    """
    edges = torch.tensor((-torch.inf, *horizons), device=left.device)
    left, failed = left[..., None], failed[..., None]
    faulty = (left <= edges[1:]) & failed
    return faulty.float(), (left > edges[:-1]) & (failed | (left >= edges[1:]))
