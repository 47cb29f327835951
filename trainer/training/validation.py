"""A look at the lives that are not learnt from: what it says of them chooses an epoch where that is asked for."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from agent.words import Float32
from trainer.config import Config
from trainer.model.features import Life, batch_of
from trainer.model.heads import Answers, risk_of
from trainer.training.checkpoint import Curves, Run

Worth = Callable[[Sequence[Float32]], float]
"""Risks of the watched lives, float32 [T, K] each, to what warnings from them would be worth, 0 = nothing."""


def look(run: Run, lives: Sequence[Life], config: Config, epoch_loss: float, worth: Worth | None) -> None:
    """Add an epoch to the curves, and keep its weights if warnings were never worth more."""
    told = answers_of(run.averaged.module, lives, config)
    run.curves.loss.append(epoch_loss)
    run.curves.rmse.append(rmse_over_rows([estimate for estimate, _ in told], lives, config))
    if worth is not None and config.train.patience:
        run.curves.worth.append(worth([risk for _, risk in told]))
        if best_epoch(run.curves) == run.epoch - 1:
            run.best = {name: value.clone() for name, value in run.averaged.module.state_dict().items()}


def best_epoch(curves: Curves) -> int:
    """The first of those whose warnings were worth most; the one to come while none has been worth anything."""
    return int(np.argmax(curves.worth)) if any(curves.worth) else len(curves.loss)


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
