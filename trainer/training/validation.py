"""Figures of each epoch on lives that nothing is learnt from. With patience they choose the epoch that is kept."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from agent.words import Float32
from trainer.config import Config
from trainer.model.features import Batch, Features, batch_of
from trainer.model.heads import Outputs, concatenated, risk_of
from trainer.training.checkpoint import Curves, Run

EarlyStopping = Callable[[Sequence[Float32]], float]
"""Risks of the validation lives, float32 [T, K] each, to the mean lead of their warnings; 0 = none in time."""


def validate(
    run: Run, lives: Sequence[Features], config: Config, epoch_loss: float, early_stopping: EarlyStopping | None
) -> None:
    """Add an epoch to the curves, and keep its weights if no earlier epoch had a mean lead as large."""
    predictions = predict(run.averaged.module, lives, config)
    run.curves.loss.append(epoch_loss)
    run.curves.rmse.append(rmse_over_rows([estimate for estimate, _ in predictions], lives, config))
    if early_stopping is not None and config.train.patience:
        run.curves.mean_lead.append(early_stopping([risk for _, risk in predictions]))
        if best_epoch(run.curves) == run.epoch - 1:
            run.best = {name: value.clone() for name, value in run.averaged.module.state_dict().items()}


def best_epoch(curves: Curves) -> int:
    """The first epoch of the largest mean lead; the epoch to come while every one is 0."""
    return int(np.argmax(curves.mean_lead)) if any(curves.mean_lead) else len(curves.loss)


def predict(network: torch.nn.Module, lives: Sequence[Features], config: Config) -> list[tuple[Float32, Float32]]:
    """Remaining life float32 [T] in seconds within [0, cap], and risk float32 [T, K], of every row of every life."""
    batch = batch_of(lives, config.model)
    outputs = outputs_of(network, batch, config.train.truncate)
    estimate = (outputs.estimate.clamp(0, 1) * config.rul.cap).numpy()
    risk = risk_of(outputs.hazard).numpy()
    return [(estimate[: len(life.z), column], risk[: len(life.z), column]) for column, life in enumerate(lives)]


@torch.no_grad()
def outputs_of(network: torch.nn.Module, batch: Batch, length: int) -> Outputs:
    """Outputs [T, n] of a whole batch, on the CPU, computed in chunks of `length` rows (0 = one) with carried state."""
    network.eval()
    device = next(network.parameters()).device
    states: list[Tensor] = []
    parts: list[Outputs] = []
    for rows, chunk in zip(batch.rows(length), batch.chunks(length), strict=True):
        inputs, real = (torch.from_numpy(array).to(device) for array in (chunk, batch.real[rows]))
        outputs, states = network(inputs, states, real=real)
        parts.append(outputs.to("cpu"))
    return concatenated(parts)


def rmse_over_rows(
    estimates: Sequence[Float32], lives: Sequence[Features], config: Config, above_share: float = 0.15
) -> float:
    """The expected error at a random cut of these lives, as the C-MAPSS test set cuts its engines.

    Counted are the rows from the 20th on whose failure is 6 to 145 rows away; those beyond the cap weigh `above_share`
    in all. The network is causal, so one pass answers every cut: less noise than one random cut a device. NaN where no
    device failed.
    """
    cap, cadence = config.rul.cap, config.model.cadence
    left = np.concatenate([life.left for life in lives])
    row = np.concatenate([np.arange(len(life.z)) for life in lives])
    failed = np.repeat([life.failed for life in lives], [len(life.z) for life in lives])
    squared = (np.concatenate(estimates) - np.minimum(left, cap)) ** 2
    counted = failed & (row >= 19) & (left >= 6 * cadence) & (left <= 145 * cadence)
    below, above = squared[counted & (left <= cap)], squared[counted & (left > cap)]
    if not len(below):
        return float("nan")
    if not len(above):
        return float(np.sqrt(below.mean()))
    return float(np.sqrt((1 - above_share) * below.mean() + above_share * above.mean()))
