"""Devices dealt out by a seed. Never rows: two rows of one device are never on two sides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.errors import DataRefused
from trainer.config import Split
from trainer.data.history import History


@dataclass(frozen=True, slots=True)
class Parts:
    """Whole histories; no device is in two of them."""

    fit: tuple[History, ...]
    calibrate: tuple[History, ...]
    play: tuple[History, ...]


def split(histories: Sequence[History], wanted: Split) -> Parts:
    """Deal out by `wanted.seed`, independent of the order given. Raises DataRefused when there are too few devices."""
    total = wanted.fit + wanted.calibrate + wanted.play
    if len(histories) < total:
        what = f"{len(histories)} devices, but split.fit + calibrate + play is {total}"
        raise DataRefused("split", what, next_step="Lower the three numbers or read more devices.")
    ordered = sorted(histories, key=lambda history: history.device)
    order = np.random.default_rng(wanted.seed).permutation(len(ordered))
    dealt = [ordered[index] for index in order[:total]]
    return Parts(
        fit=tuple(dealt[: wanted.fit]),
        calibrate=tuple(dealt[wanted.fit : wanted.fit + wanted.calibrate]),
        play=tuple(dealt[wanted.fit + wanted.calibrate :]),
    )
