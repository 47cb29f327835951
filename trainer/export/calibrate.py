"""From raw outputs to probabilities and intervals that hold on devices the weights have not seen.

Few devices carry this. Their rows are many but alike: trust the figures to the number of devices, not of rows.
docs/calibration.md has what was tried and measured.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agent.words import Float32
from trainer.config import Config
from trainer.export.streaming import Streaming
from trainer.graph.builder import Linear
from trainer.model.features import Features, batch_of
from trainer.model.network import Network
from trainer.training.augment import from_row
from trainer.training.loss import hazard_targets
from trainer.training.validation import outputs_of

RIDGE = 1.0
STRETCH_MIN = 0.01
TRAINED_DEVICES = 2.0
"""The interval as trained weighs as much as so many calibration devices: on few devices, a quantile is noise."""
LATE_STARTS = (0.25, 0.5)
"""Shares of their lives at which the streams of the calibration devices start as well."""


def calibrated(model: Streaming, network: Network, lives: Sequence[Features], config: Config) -> Streaming:
    """The same model with its hazards and its interval fitted to `lives`, folded into the heads' constants; some of
    them failed.

    Hazards are fitted to streams of every start, the interval to whole streams only: rows after a late start, whose
    quality is `warming_up`, would widen it for all others.
    """
    whole, late = streams_of(lives, config)
    batch = batch_of([*whole, *late], config.model)
    real = torch.from_numpy(batch.real)
    left = torch.from_numpy(batch.left)[real]  # [rows]
    failed = torch.from_numpy(batch.failed).expand(real.shape)[real]
    is_whole = (torch.arange(len(batch.failed)) < len(whole)).expand(real.shape)[real]
    outputs = outputs_of(network, batch, config.train.truncate)
    scale, offset = platt(outputs.hazard[real], *hazard_targets(left, failed, config.risk.horizons))
    hazard = Linear(model.hazard.weight * scale, model.hazard.bias * scale + offset)
    within = is_whole & failed & (left <= config.rul.cap)
    life = left[within] / config.rul.cap
    centre, spread = outputs.estimate[real][within], outputs.spread[real][within]
    n_devices = sum(life.failed for life in lives)
    low = stretch((centre - life) / spread[:, 0], 1 - config.rul.low, n_devices)
    high = stretch((life - centre) / spread[:, 1], config.rul.high, n_devices)
    return replace(model, hazard=hazard, stretch=np.array([low, high], np.float32))


def streams_of(lives: Sequence[Features], config: Config) -> tuple[list[Features], list[Features]]:
    """The streams of a fleet: whole ones, of devices known as new and of unknown age, and ones that start in mid-life.

    Only whole ones of new devices where the network has learnt nothing else.
    """
    if config.augment.join_share == 0:
        return list(lives), []
    unknown = [from_row(life, 0) for life in lives]
    return [*lives, *unknown], [from_row(life, int(share * len(life.z))) for share in LATE_STARTS for life in lives]


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


def stretch(score: Tensor, share: float, n_devices: int) -> float:
    """Factor on one side of the interval, so that it holds on `share` of the rows (split conformal; Lei et al., JASA
    113, 2018). It is drawn towards 1: a geometric mean in which the interval as trained counts TRAINED_DEVICES devices.

    score float32 [rows]: the distance from the estimate to the truth on that side, over the trained distance.
    """
    holds = max(float(torch.quantile(score, share)), STRETCH_MIN)
    return float(holds ** (n_devices / (n_devices + TRAINED_DEVICES)))
