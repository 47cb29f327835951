"""Operating regimes and device types: a row belongs to the group whose centre is nearest to its settings."""

from dataclasses import dataclass

import numpy as np

from agent.errors import DataRefused
from agent.words import Float32
from trainer.config import Grouping
from trainer.data.history import Float64

SETTING_SIGMA = 4.0
"""A setting further than this from the mean of all rows counts as this far."""
ROUNDS_MAX = 100


@dataclass(frozen=True, slots=True)
class Groups:
    """u = clip(setting * scale + offset, -1, 1); scale, offset float32 [S]; centres float32 [G, S] in units of u."""

    scale: Float32
    offset: Float32
    centres: Float32

    @property
    def n_settings(self) -> int:
        return len(self.scale)


def fit_groups(settings: Float32, grouping: Grouping) -> Groups:
    """`grouping.count` centres by Lloyd's algorithm (IEEE Trans. Inf. Theory 28, 1982) over float32 [rows, S].

    The first centre starts at the row farthest from the mean, each further one at the row farthest from those so far
    (Gonzalez, 1985), so nothing is random. Raises DataRefused for a setting that is never there and for fewer different
    rows than groups.
    """
    settings = settings[~np.isnan(settings).any(axis=1)].astype(np.float64)
    if not len(settings):
        what = "no row of the fit devices has all of them"
        raise DataRefused(", ".join(grouping.by), what, next_step="Name settings that are recorded.")
    mean, std = settings.mean(axis=0), settings.std(axis=0)
    scale = np.where(std > 0, 1 / (np.maximum(std, 1e-30) * SETTING_SIGMA), 0).astype(np.float32)
    offset = (-mean * scale).astype(np.float32)
    u = np.clip(settings.astype(np.float32) * scale + offset, -1, 1).astype(np.float64)
    centres = u[[np.argmax(((u - u.mean(axis=0)) ** 2).sum(axis=1))]]
    while len(centres) < grouping.count:
        distance = distances(u, centres).min(axis=1)
        if distance.max() < 1e-12:
            what = f"the fit devices show {len(centres)} different settings, {grouping.count} groups are wanted"
            raise DataRefused(", ".join(grouping.by), what, next_step=f"Set count = {len(centres)}.")
        centres = np.concatenate((centres, u[[np.argmax(distance)]]))
    for _ in range(ROUNDS_MAX):
        nearest = distances(u, centres).argmin(axis=1)
        moved = np.array(
            [u[nearest == group].mean(axis=0) if (nearest == group).any() else c for group, c in enumerate(centres)]
        )
        if np.allclose(moved, centres, atol=1e-9):
            break
        centres = moved
    return Groups(scale, offset, centres[np.lexsort(centres.T)].astype(np.float32))


def distances(u: Float64, centres: Float64) -> Float64:
    """Squared, [rows, G]."""
    squared: Float64 = ((u[:, None, :] - centres[None]) ** 2).sum(axis=2)
    return squared


def one_hot(groups: Groups, settings: Float32) -> Float32:
    """float32 [T, G], 1 for the nearest centre; a missing setting is the device's last, 0 of u before the first."""
    u = np.clip(settings * groups.scale + groups.offset, -1, 1).astype(np.float32)
    last = np.zeros(groups.n_settings, np.float32)
    for row in u if np.isnan(u).any() else ():
        row[:] = last = np.where(np.isnan(row), last, row)
    distance = u @ (-2 * groups.centres.T) + (groups.centres**2).sum(axis=1)  # less u**2, which all have
    columns: Float32 = (distance <= distance.min(axis=1, keepdims=True)).astype(np.float32)
    return columns
