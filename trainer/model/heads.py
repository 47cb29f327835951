"""From the last hidden state to remaining life and risk.

Only the error of the estimate changes the weights of the cells, unless `multi_task` lets the errors of spread and
hazards do so too: with all of them the estimate became worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of the heads for each row, before calibration.

    estimate [...]     remaining life / cap
    spread   [..., 2]  distance from the estimate to the low and the high quantile / cap, within 0 and 1
    hazard   [..., K]  logit of P(fault within horizon k | not within horizon k - 1)
    """

    estimate: Tensor
    spread: Tensor
    hazard: Tensor

    def in_float32(self) -> Self:
        """The same in float32."""
        return replace(self, estimate=self.estimate.float(), spread=self.spread.float(), hazard=self.hazard.float())

    def to(self, device: str) -> Self:
        """The same on another device."""
        return replace(
            self, estimate=self.estimate.to(device), spread=self.spread.to(device), hazard=self.hazard.to(device)
        )


def concatenated(parts: Sequence[Outputs]) -> Outputs:
    """Outputs of rows [T, ...] that follow one another, as those of all of them."""
    return Outputs(
        *(torch.cat(of) for of in zip(*((one.estimate, one.spread, one.hazard) for one in parts), strict=True))
    )


class Heads(nn.Module):
    """Three linear maps of the hidden state [..., W]; `multi_task` of the last two's gradient goes back into it."""

    def __init__(self, width: int, n_horizons: int, multi_task: float = 0.0) -> None:
        super().__init__()
        self.estimate = nn.Linear(width, 1)
        self.spread = nn.Linear(width, 2)
        self.hazard = nn.Linear(width, n_horizons)
        self.multi_task = multi_task
        for head in (self.estimate, self.spread, self.hazard):
            nn.init.xavier_uniform_(head.weight)
            nn.init.zeros_(head.bias)
        nn.init.ones_(self.estimate.bias)  # untrained it estimates about the cap, where most rows are, and not 0

    def forward(self, hidden: Tensor) -> Outputs:
        still = hidden.detach()
        if self.multi_task > 0:
            still = still + self.multi_task * (hidden - still)
        return Outputs(self.estimate(hidden)[..., 0], self.spread(still).sigmoid(), self.hazard(still))


def risk_of(hazard: Tensor) -> Tensor:
    """[..., K] logits of hazards to P(fault within horizon k): never falls from one horizon to the next."""
    return 1 - torch.cumprod(1 - hazard.sigmoid(), dim=-1)
