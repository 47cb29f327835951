"""What training makes small: squared error of the estimate, pinball loss of the interval, likelihood of the hazards."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainer.heads import Answers


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked of the answers.

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


def loss(answers: Answers, left: Tensor, real: Tensor, target: Target) -> Tensor:
    """Mean over the real rows of [T, n]; the three terms touch disjoint weights, so their sum needs no balance."""
    wanted = left.clamp(max=target.cap) / target.cap
    weight = torch.where(left > target.cap, target.above_weight, 1.0) * real
    squared = (weight * (answers.estimate - wanted) ** 2).sum() / weight.sum()

    centre = answers.estimate.detach()
    low = pinball(wanted - (centre - answers.spread[..., 0]), target.low)
    high = pinball(wanted - (centre + answers.spread[..., 1]), target.high)
    interval = (low + high)[real].mean()

    faulty, exposed = hazard_targets(left, target.horizons)
    exposed = exposed & real[..., None]
    entropy = functional.binary_cross_entropy_with_logits(answers.hazard, faulty, reduction="none")
    return squared + interval + entropy[exposed].mean()


def pinball(error: Tensor, quantile: float) -> Tensor:
    """Quantile loss of error = wanted - predicted (Koenker and Bassett, Econometrica 46, 1978)."""
    return torch.maximum(quantile * error, (quantile - 1) * error)


def hazard_targets(left: Tensor, horizons: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """[..., K]: does the fault fall within horizon k (float), and was it still open after horizon k - 1 (bool)?"""
    edges = torch.tensor((-torch.inf, *horizons))
    return (left[..., None] <= edges[1:]).float(), left[..., None] > edges[:-1]
