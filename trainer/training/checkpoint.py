"""A training run on disk: killed at any moment, it goes on from its last whole epoch with the same bits."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from agent.errors import DataRefused
from trainer.config import Config
from trainer.model.network import Learner
from trainer.training import torch_file

FROM_THE_START = "Give --anew to train from the first epoch and replace it, or another --out to keep it."
SHOWN_MAX, VALUE_CHARS_MAX = 5, 60
"""Differences that a message lists, and the longest values that it repeats."""


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
    """Everything that the next epoch depends on, with torch's own random numbers.

    best  the averaged weights of the epoch whose warnings were worth most, where that is asked for
    """

    network: Learner
    averaged: AveragedModel
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler
    rng: np.random.Generator
    curves: Curves
    best: dict[str, torch.Tensor]

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return len(self.curves.loss)

    @property
    def on_cuda(self) -> bool:
        return next(self.network.parameters()).is_cuda


def save(run: Run, path: Path, made_of: Mapping[str, str]) -> None:
    """Replace the file in one step. `made_of` is what the run must be made of to go on, by name."""
    content = {
        "made_of": dict(made_of),
        "network": run.network.state_dict(),
        "averaged": run.averaged.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "schedule": run.schedule.state_dict(),
        "scaler": run.scaler.state_dict(),
        "numpy": run.rng.bit_generator.state,
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if run.on_cuda else None,
        "curves": asdict(run.curves),
        "best": run.best,
    }
    torch_file.write(path, "checkpoint", content)


def learning_of(config: Config) -> dict[str, str]:
    """Each key of the configuration that the weights depend on, and its value: not what counts only afterwards, so that
    no training is lost to a change of it.
    """
    after = {"name", "version"} | (set() if config.train.patience else {"judge"})
    found: dict[str, str] = {}
    for key, value in config.model_dump(mode="json", exclude=after).items():
        below = {f"{key}.{name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
        found |= {name: json.dumps(one) for name, one in below.items()}
    return found


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """In what two trainings differ, a text each, the first of them where there are many."""
    told = []
    for name in {**here, **there}:
        theirs, mine = there.get(name, "not set"), here.get(name, "not set")
        if theirs != mine:
            is_short = max(len(theirs), len(mine)) <= VALUE_CHARS_MAX
            told.append(f"{name} is {theirs} there, {mine} here" if is_short else f"{name} differs")
    return told[:SHOWN_MAX] + [f"and {len(told) - SHOWN_MAX} more"] * (len(told) > SHOWN_MAX)


def resume(run: Run, path: Path, made_of: Mapping[str, str]) -> None:
    """Bring a fresh run to where the file left it. Raises DataRefused for what is no whole checkpoint of this run."""
    content = torch_file.read(path, "checkpoint", FROM_THE_START)
    if other := differences(content["made_of"], made_of):
        epoch = len(content["curves"]["loss"])
        what = f"is of another training, left after epoch {epoch}: {'; '.join(other)}"
        raise DataRefused(path, what, next_step=FROM_THE_START)
    run.network.load_state_dict(content["network"])
    run.averaged.load_state_dict(content["averaged"])
    run.optimiser.load_state_dict(content["optimiser"])
    run.schedule.load_state_dict(content["schedule"])
    run.scaler.load_state_dict(content["scaler"])
    run.rng.bit_generator.state = content["numpy"]
    torch.set_rng_state(content["torch"])
    if run.on_cuda:
        torch.cuda.set_rng_state(content["cuda"])
    run.curves = Curves(**content["curves"])
    run.best = content["best"]
