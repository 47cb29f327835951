"""A training run on disk: killed at any moment, it goes on from its last whole epoch with the same bits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run is kept between its epochs. `made_of` is what a run must be made of to go on from it, by name."""

    path: Path
    made_of: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Curves:
    """One point an epoch: loss over the augmented lives, RMSE of the remaining life over the validation lives, and,
    with patience, the mean lead of warnings on them.
    """

    loss: list[float] = field(default_factory=list)
    rmse: list[float] = field(default_factory=list)
    mean_lead: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """Everything that the next epoch depends on, with torch's own random numbers.

    best  the averaged weights of the best epoch so far, with patience; else empty
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


def save(run: Run, checkpoint: Checkpoint) -> None:
    """Replace the file in one step."""
    curves = run.curves
    content = {
        "made_of": dict(checkpoint.made_of),
        "network": run.network.state_dict(),
        "averaged": run.averaged.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "schedule": run.schedule.state_dict(),
        "scaler": run.scaler.state_dict(),
        "numpy": run.rng.bit_generator.state,
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if run.on_cuda else None,
        "curves": {"loss": curves.loss, "rmse": curves.rmse, "worth": curves.mean_lead},  # names of the file's schema
        "best": run.best,
    }
    torch_file.write(checkpoint.path, "checkpoint", content)


def training_keys(config: Config) -> dict[str, str]:
    """Each key of the configuration that the weights depend on, and its value as JSON.

    Keys that count only after the training are left out, so that a change of them costs no training.
    """
    later = {"name", "version"} | (set() if config.train.patience else {"judge"})
    keys: dict[str, str] = {}
    for section, value in config.model_dump(mode="json", exclude=later).items():
        below = {f"{section}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {section: value}
        keys |= {key: json.dumps(v) for key, v in below.items()}
    return keys


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """In what two trainings differ, a text each; the first SHOWN_MAX of them, and how many more there are."""
    texts = []
    for name in {**here, **there}:
        theirs, ours = there.get(name, "not set"), here.get(name, "not set")
        if theirs != ours:
            is_short = max(len(theirs), len(ours)) <= VALUE_CHARS_MAX
            texts.append(f"{name} is {theirs} there, {ours} here" if is_short else f"{name} differs")
    return texts[:SHOWN_MAX] + [f"and {len(texts) - SHOWN_MAX} more"] * (len(texts) > SHOWN_MAX)


def resume(run: Run, checkpoint: Checkpoint) -> None:
    """Bring a fresh run to where the file left it. Raises DataRefused for what is no whole checkpoint of this run."""
    content = torch_file.read(checkpoint.path, "checkpoint", FROM_THE_START)
    curves = content["curves"]
    if other := differences(content["made_of"], checkpoint.made_of):
        what = f"is of another training, left after epoch {len(curves['loss'])}: {'; '.join(other)}"
        raise DataRefused(checkpoint.path, what, next_step=FROM_THE_START)
    run.network.load_state_dict(content["network"])
    run.averaged.load_state_dict(content["averaged"])
    run.optimiser.load_state_dict(content["optimiser"])
    run.schedule.load_state_dict(content["schedule"])
    run.scaler.load_state_dict(content["scaler"])
    run.rng.bit_generator.state = content["numpy"]
    torch.set_rng_state(content["torch"])
    if run.on_cuda:
        torch.cuda.set_rng_state(content["cuda"])
    run.curves = Curves(curves["loss"], curves["rmse"], curves["worth"])
    run.best = content["best"]
