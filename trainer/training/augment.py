"""New lives from recorded ones, for training only: other noise, another pace, a later start, an earlier end.

The smoother looks both ways in time, so nothing here may ever see a history that is scored.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from agent.words import Float32, Int64
from trainer.config import Augment
from trainer.data.history import Float64
from trainer.model.features import Features

ROWS_MIN = 20
"""Rows that a life keeps whatever is taken from its ends."""
WHOLE_ROWS, BLOCK_ROWS = 1500, 500
REACH = 8.0
"""Widths of the smoother beyond which a row's weight is below 1e-13 of the nearest one's."""


@dataclass(frozen=True, slots=True)
class Decomposed:
    """The features of a life as a sum: smooth float32 [T, F] is the wear, residual float32 [T, F] the noise around it.

    `alike` int64 [T] lists the rows, those of one regime together: the regime of row t begins at first[t] of the list
    and has count[t] rows.
    """

    features: Features
    smooth: Float32
    residual: Float32
    alike: Int64
    first: Int64
    count: Int64


def decompose(life: Features, width: float) -> Decomposed:
    """Local-linear smooth with a Gaussian kernel of `width` rows, and the rest."""
    smooth = smoothed(life.z, width)
    _, regime = np.unique(life.groups, axis=0, return_inverse=True)
    count = np.bincount(regime)
    first = np.cumsum(count) - count
    alike = np.argsort(regime, kind="stable")
    residual = (life.z - smooth).astype(np.float32)
    return Decomposed(life, smooth.astype(np.float32), residual, alike, first[regime], count[regime])


def smoothed(z: Float32, width: float) -> Float64:
    """float64 [T, F]: of each row the line that fits the rows around it best, by weights of a Gaussian of `width` rows.

    A life of more than `WHOLE_ROWS` is done a block of rows at a time, each with the rows of `REACH` widths around it:
    farther ones have no weight that a float64 would show. So memory grows with the rows and not with their square.
    """
    block = BLOCK_ROWS if len(z) > WHOLE_ROWS else len(z)
    reach = math.ceil(REACH * width) if len(z) > WHOLE_ROWS else len(z)
    smooth = np.empty(z.shape)
    weights: dict[tuple[int, int, int], Float64] = {}
    for start in range(0, len(z), block):
        end = min(start + block, len(z))
        first, last = max(start - reach, 0), min(end + reach, len(z))
        place = (start - first, end - first, last - first)  # the same for all blocks but those at the ends
        if place not in weights:
            weights[place] = smoother(*place, width)
        smooth[start:end] = weights[place] @ z[first:last]
    return smooth


def smoother(start: int, end: int, n: int, width: float) -> Float64:
    """float64 [end - start, n]: what each of n rows counts in the smooth of the rows from `start` to `end`."""
    offset = (np.arange(n)[None, :] - np.arange(start, end)[:, None]).astype(np.float64)
    kernel = np.exp(-0.5 * (offset / width) ** 2)
    s0, s1, s2 = (np.sum(kernel * offset**power, axis=1, keepdims=True) for power in range(3))
    weight: Float64 = kernel * (s2 - s1 * offset) / np.maximum(s0 * s2 - s1**2, 1e-12)
    return weight


def augmented(life: Decomposed, settings: Augment, clip: float, rng: np.random.Generator) -> Features:
    """One visit's version of a life."""
    version = life.features
    if rng.random() < settings.probability:
        version = warped(life, rng.uniform(*settings.warp), clip, rng)
    if rng.random() < settings.join_share:
        version = started_late(version, settings.join_rows_max, rng)
    if rng.random() < settings.cut_share:
        version = cut(version, rng)
    return version


def warped(life: Decomposed, factor: float, clip: float, rng: np.random.Generator) -> Features:
    """The wear resampled to `factor` times its length, with noise rows drawn anew from the same life and regime."""
    features, rows = life.features, len(life.smooth)
    at = np.linspace(0, rows - 1, round(rows * factor))
    below = np.minimum(at.astype(np.int64), rows - 2)
    share = (at - below).astype(np.float32)
    smooth = life.smooth[below] + share[:, None] * (life.smooth[below + 1] - life.smooth[below])
    noise = life.residual[life.alike[life.first[below] + rng.integers(life.count[below])]]
    scale = np.float32(factor)
    age = features.age[below] + share * (features.age[below + 1] - features.age[below])
    left = features.left[below] + share * (features.left[below + 1] - features.left[below])
    return replace(
        features,
        z=np.clip(smooth + noise, -clip, clip).astype(np.float32),
        age=1 + (age - 1) * scale,
        left=left * scale,
        groups=features.groups[below],
    )


def started_late(life: Features, rows_max: int, rng: np.random.Generator) -> Features:
    """The same life from a random row on, which may be the first."""
    # The power makes short losses common: many devices were already recorded for long, but nobody knew them as new.
    first = int(min(rows_max + 1, max(1, len(life.z) - ROWS_MIN)) * rng.random() ** 1.5)
    return from_row(life, first)


def from_row(life: Features, first: int) -> Features:
    """The rows of a life from row `first` on: the time seen starts there, and the age of the device is not known."""
    age = life.age[first:] - (life.age[first] - 1)
    return replace(life, z=life.z[first:], age=age, left=life.left[first:], groups=life.groups[first:], new=False)


def cut(life: Features, rng: np.random.Generator) -> Features:
    """A life without its rows from a random one on; `left` still counts to the failure."""
    return until_row(life, int(rng.integers(min(ROWS_MIN, len(life.z)), len(life.z) + 1)))


def until_row(life: Features, n_rows: int) -> Features:
    """The first `n_rows` of a life."""
    rows = slice(0, n_rows)
    return replace(life, z=life.z[rows], age=life.age[rows], left=life.left[rows], groups=life.groups[rows])
