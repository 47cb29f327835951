"""Devices dealt out by a seed. Never rows: two rows of one device are never on two sides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from agent.errors import DataRefused
from trainer.data.history import History
from trainer.data.plural import plural
from trainer.data.section import Section


class Split(Section):
    """Devices, never rows, are dealt out by this seed; it is not the training seed, so that runs stay comparable."""

    seed: int = Field(default=0, ge=0)
    fit: int = Field(default=70, ge=1, description="Devices the weights are trained on.")
    calibrate: int = Field(default=10, ge=2, description="Devices for probabilities, intervals and thresholds.")
    play: int = Field(default=20, ge=1, description="Devices nothing is fitted on; evaluated and replayed.")

    @property
    def n_devices(self) -> int:
        return self.fit + self.calibrate + self.play


@dataclass(frozen=True, slots=True)
class Parts:
    """Whole histories; no device is in two of them, and each part holds one that failed."""

    fit: tuple[History, ...]
    calibrate: tuple[History, ...]
    play: tuple[History, ...]


def split(histories: Sequence[History], shares: Split) -> Parts:
    """Deal out by the seed, independent of the order given, the same share of failed devices to each part.

    Raises DataRefused when there are too few devices, or too few that failed.
    """
    if len(histories) < shares.n_devices:
        what = f"{plural(len(histories), 'device')}, but split.fit + calibrate + play is {shares.n_devices}"
        raise DataRefused("split", what, next_step="Lower the three numbers or read more devices.")
    ordered = sorted(histories, key=lambda history: history.device)
    order = np.random.default_rng(shares.seed).permutation(len(ordered))
    dealt = spread([ordered[index] for index in order])[: shares.n_devices]
    parts = Parts(
        fit=tuple(dealt[: shares.fit]),
        calibrate=tuple(dealt[shares.fit : shares.fit + shares.calibrate]),
        play=tuple(dealt[shares.fit + shares.calibrate :]),
    )
    n_failed = sum(history.failed for history in histories)
    for name, part in (("fit", parts.fit), ("calibrate", parts.calibrate), ("play", parts.play)):
        if not any(history.failed for history in part):
            what = f"no device of the {len(part)} in part {name!r} failed; of all {len(histories)}, {n_failed} did"
            enough = math.ceil(len(histories) / max(n_failed, 1)) + 1
            next_step = f"Each part needs a recorded failure: raise split.{name} to {enough}, or record more failures."
            raise DataRefused("split", what, next_step=next_step)
    return parts


def spread(shuffled: Sequence[History]) -> list[History]:
    """The same devices, each kind in the order given, so that every stretch holds its share of the failed ones."""
    place: dict[str, float] = {}
    for kind in (True, False):
        alike = [history.device for history in shuffled if history.failed is kind]
        place |= {device: (rank + 0.5) / len(alike) for rank, device in enumerate(alike)}
    return sorted(shuffled, key=lambda history: place[history.device])
