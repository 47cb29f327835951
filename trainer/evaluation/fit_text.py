"""What `forewarn-train fit` says at its end: whether what was learnt is worth anything, before anybody runs it."""

from agent.bundle.manifest import Manifest
from agent.score.time_unit import Unit, unit_of
from trainer.data.counted import counted

WORSE = "The estimate of the remaining life is worse than a constant: do not rely on it."
LEARN_MORE = "Train for more epochs (train.epochs), or on more devices that failed, and look at curves.png."


def as_text(manifest: Manifest) -> str:
    """The estimate's error on the held-out devices beside that of knowing nothing."""
    unit, measured = unit_of(manifest), manifest.metrics
    rmse_s, constant_s = measured["play_rmse"], measured["play_rmse_of_constant"]
    devices = counted(len(manifest.created_from.play_devices), "held-out device")
    lines = [f"remaining life of {devices}: {beside_constant(rmse_s, constant_s, unit)}"]
    if rmse_s > constant_s:
        lines += [WORSE, LEARN_MORE]
    return "\n".join(lines)


def beside_constant(rmse_s: float, constant_s: float, unit: Unit) -> str:
    return f"RMSE {unit.of(rmse_s):.2f} {unit.plural}, of the best constant {unit.of(constant_s):.2f}"
