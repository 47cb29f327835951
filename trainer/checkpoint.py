"""A training run on disk: killed at any moment, it goes on from its last whole epoch with the same bits."""

import os
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from agent.errors import DataRefused
from trainer.network import Learner

SCHEMA = 1


@dataclass(slots=True)
class Curves:
    """One point an epoch: loss over the varied fit lives, RMSE of the remaining life over the watched ones, and what
    their warnings were worth, where that is asked for.
    """

    loss: list[float] = field(default_factory=list)
    rmse: list[float] = field(default_factory=list)
    worth: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """Everything that the next epoch depends on.

    best  the averaged weights of the epoch whose warnings were worth most, where that is asked for
    """

    network: Learner
    averaged: AveragedModel
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator
    curves: Curves
    best: dict[str, torch.Tensor]

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return len(self.curves.loss)


def save(run: Run, path: Path, made_of: str) -> None:
    """Replace the file in one step. `made_of` is what the run must be made of to go on."""
    content = {
        "schema": SCHEMA,
        "made_of": made_of,
        "network": run.network.state_dict(),
        "averaged": run.averaged.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "schedule": run.schedule.state_dict(),
        "numpy": run.rng.bit_generator.state,
        "torch": torch.get_rng_state(),
        "curves": asdict(run.curves),
        "best": run.best,
    }
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def resume(run: Run, path: Path, made_of: str) -> None:
    """Bring a fresh run to where the file left it; nothing without a file. Raises DataRefused for another run's."""
    if not path.exists():
        return
    try:
        content = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise DataRefused(path, f"is no checkpoint: {error}", next_step="Delete it to train from the start.") from error
    if content.get("schema") != SCHEMA or content.get("made_of") != made_of:
        what = "belongs to another training: its configuration, data or forewarn differ"
        raise DataRefused(path, what, next_step="Give another --out, or delete it to train from the start.")
    run.network.load_state_dict(content["network"])
    run.averaged.load_state_dict(content["averaged"])
    run.optimiser.load_state_dict(content["optimiser"])
    run.schedule.load_state_dict(content["schedule"])
    run.rng.bit_generator.state = content["numpy"]
    torch.set_rng_state(content["torch"])
    run.curves = Curves(**content["curves"])
    run.best = content["best"]
