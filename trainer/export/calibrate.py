"""From raw answers to probabilities and intervals that hold on devices the weights have not seen.

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
from trainer.model.features import Life, batch_of
from trainer.model.network import Network
from trainer.training.augment import since
from trainer.training.loss import hazard_targets

RIDGE = 1.0
STRETCH_MIN = 0.01
TRAINED_DEVICES = 2.0
"""The interval as it was trained counts as what so many calibration devices say: on few, a quantile is noise."""
JOINED = (0.25, 0.5)
"""Shares of their lives after which the calibration devices are heard as well."""


def calibrated(model: Streaming, network: Network, lives: Sequence[Life], config: Config) -> Streaming:
    """The same model with its hazards and its interval fitted to `lives`, folded into the heads' constants; some of
    them failed.

    Hazards answer for every way to begin, the interval for streams heard from the first row: rows after a late start,
    which say `warming_up`, would widen it for all others.
    """
    whole, joined = heard(lives, config)
    batch = batch_of([*whole, *joined], config.model)
    real = torch.from_numpy(batch.real)
    left = torch.from_numpy(batch.left)[real]  # [rows]
    failed = torch.from_numpy(batch.failed).expand(real.shape)[real]
    is_whole = (torch.arange(len(batch.failed)) < len(whole)).expand(real.shape)[real]
    with torch.no_grad():
        answers, _ = network(torch.from_numpy(batch.inputs))
    scale, offset = platt(answers.hazard[real], *hazard_targets(left, failed, config.risk.horizons))
    hazard = Linear(model.hazard.weight * scale, model.hazard.bias * scale + offset)
    within = is_whole & failed & (left <= config.rul.cap)
    wanted = left[within] / config.rul.cap
    centre, spread = answers.estimate[real][within], answers.spread[real][within]
    n_devices = sum(life.failed for life in lives)
    low = stretch((centre - wanted) / spread[:, 0], 1 - config.rul.low, n_devices)
    high = stretch((wanted - centre) / spread[:, 1], config.rul.high, n_devices)
    return replace(model, hazard=hazard, stretch=np.array([low, high], np.float32))


def heard(lives: Sequence[Life], config: Config) -> tuple[list[Life], list[Life]]:
    """The streams of a fleet: whole ones, of devices known as new and of unknown age, and ones joined in mid-life.

    As new alone where the network has learnt nothing else.
    """
    if config.augment.join_share == 0:
        return list(lives), []
    unknown = [since(life, 0) for life in lives]
    return [*lives, *unknown], [since(life, int(share * len(life.z))) for share in JOINED for life in lives]


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
    """Factor on the interval's side: the one that holds on `share` of the rows (split conformal; Lei et al., JASA 113,
    2018), drawn towards 1, its geometric mean with TRAINED_DEVICES for the interval as trained.

    score float32 [rows]: by how many of its own distances the truth lies beyond the estimate on that side.
    """
    holds = max(float(torch.quantile(score, share)), STRETCH_MIN)
    return float(holds ** (n_devices / (n_devices + TRAINED_DEVICES)))
