"""From raw answers to probabilities and intervals that hold on devices the weights have not seen.

Few devices carry this. Their rows are many but alike: trust the figures to the number of devices, not of rows.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agent.words import Float32
from trainer.config import Config
from trainer.features import Life, batch_of
from trainer.loss import hazard_targets
from trainer.network import Network
from trainer.streaming import Streaming
from trainer.tape import Linear

RIDGE = 1.0
STRETCH_MIN = 0.01


def calibrated(model: Streaming, network: Network, lives: Sequence[Life], config: Config) -> Streaming:
    """The same model with its hazards and its interval fitted to `lives`, folded into the heads' constants."""
    batch = batch_of(lives, config.model)
    real = torch.from_numpy(batch.real)
    left = torch.from_numpy(batch.left)[real]  # [rows]
    failed = torch.from_numpy(batch.failed).expand(real.shape)[real]
    with torch.no_grad():
        answers, _ = network(torch.from_numpy(batch.inputs))
    scale, offset = platt(answers.hazard[real], *hazard_targets(left, failed, config.risk.horizons))
    hazard = Linear(model.hazard.weight * scale, model.hazard.bias * scale + offset)
    within = failed & (left <= config.rul.cap)
    wanted = left[within] / config.rul.cap
    centre, spread = answers.estimate[real][within], answers.spread[real][within]
    low = stretch((centre - wanted) / spread[:, 0], 1 - config.rul.low)
    high = stretch((wanted - centre) / spread[:, 1], config.rul.high)
    return replace(model, hazard=hazard, stretch=np.array([low, high], np.float32))


def platt(logits: Tensor, faulty: Tensor, exposed: Tensor) -> tuple[Float32, Float32]:
    """Scale > 0 and offset [K] of each hazard's logit, by likelihood over the exposed rows (Platt, 1999).

    logits float32 [rows, K]; faulty float32 [rows, K]; exposed bool [rows, K]. A ridge towards scale 1 and offset 0,
    as strong as a row, keeps separable rows from asking for infinite ones.
    """
    log_scale = torch.zeros(logits.shape[1], requires_grad=True)
    offset = torch.zeros(logits.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([log_scale, offset], max_iter=200, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimiser.zero_grad()
        moved = logits * log_scale.exp() + offset
        entropy = functional.binary_cross_entropy_with_logits(moved, faulty, reduction="none")
        value = entropy[exposed].sum() + RIDGE * (log_scale.square().sum() + offset.square().sum())
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(objective)  # type: ignore[no-untyped-call]
    return log_scale.detach().exp().numpy(), offset.detach().numpy()


def stretch(score: Tensor, share: float) -> float:
    """Factor that makes the interval's side hold on `share` of the rows (split conformal; Lei et al., JASA 113, 2018).

    score float32 [rows]: by how many of its own distances the truth lies beyond the estimate on that side.
    """
    return max(float(torch.quantile(score, share)), STRETCH_MIN)
