"""New lives from recorded ones, for training only: other noise, another pace, another beginning, another end.

The smoother looks both ways in time, so nothing here may ever see a history that is scored.
"""

from dataclasses import dataclass, replace

import numpy as np

from agent.words import Float32, Int64
from trainer.config import Augment
from trainer.model.features import Life

ROWS_MIN = 20
"""Rows that a life keeps whatever is taken from its ends."""


@dataclass(frozen=True, slots=True)
class Wear:
    """A life taken apart: smooth float32 [T, F] is its wear, residual float32 [T, F] the noise around it.

    Rows of a like regime are together in `alike` int64 [T]: those of row t's regime start at first[t], count[t] many.
    """

    life: Life
    smooth: Float32
    residual: Float32
    alike: Int64
    first: Int64
    count: Int64


def part(life: Life, width: float) -> Wear:
    """Local-linear smooth with a Gaussian kernel of `width` rows, and what it leaves."""
    rows = np.arange(len(life.z))
    offset = (rows[None, :] - rows[:, None]).astype(np.float64)  # [T, T]
    kernel = np.exp(-0.5 * (offset / width) ** 2)
    s0, s1, s2 = (np.sum(kernel * offset**power, axis=1, keepdims=True) for power in range(3))
    weight = kernel * (s2 - s1 * offset)
    smooth = (weight / np.maximum(s0 * s2 - s1**2, 1e-12)) @ life.z
    _, regime = np.unique(life.groups, axis=0, return_inverse=True)
    count = np.bincount(regime)
    first = np.cumsum(count) - count
    alike = np.argsort(regime, kind="stable")
    return Wear(
        life, smooth.astype(np.float32), (life.z - smooth).astype(np.float32), alike, first[regime], count[regime]
    )


def vary(wear: Wear, settings: Augment, clip: float, rng: np.random.Generator) -> Life:
    """One visit's version of a life."""
    life = wear.life
    if rng.random() < settings.probability:
        life = warped(wear, rng.uniform(*settings.warp), clip, rng)
    if rng.random() < settings.join_share:
        life = joined(life, settings.join_rows_max, rng)
    if rng.random() < settings.cut_share:
        life = cut(life, rng)
    return life


def warped(wear: Wear, factor: float, clip: float, rng: np.random.Generator) -> Life:
    """The wear resampled to `factor` times its length, with noise rows drawn anew from the same life and regime."""
    rows = len(wear.smooth)
    at = np.linspace(0, rows - 1, round(rows * factor))
    below = np.minimum(at.astype(np.int64), rows - 2)
    share = (at - below).astype(np.float32)
    smooth = wear.smooth[below] + share[:, None] * (wear.smooth[below + 1] - wear.smooth[below])
    noise = wear.residual[wear.alike[wear.first[below] + rng.integers(wear.count[below])]]
    scale = np.float32(factor)
    age, left = wear.life.age, wear.life.left
    age = age[below] + share * (age[below + 1] - age[below])
    left = left[below] + share * (left[below + 1] - left[below])
    return replace(
        wear.life,
        z=np.clip(smooth + noise, -clip, clip).astype(np.float32),
        age=1 + (age - 1) * scale,
        left=left * scale,
        groups=wear.life.groups[below],
    )


def joined(life: Life, rows_max: int, rng: np.random.Generator) -> Life:
    """The same life heard from a random row on, which may be the first."""
    # The power makes short losses common: what was watched for long without being known as new is common too.
    first = int(min(rows_max + 1, max(1, len(life.z) - ROWS_MIN)) * rng.random() ** 1.5)
    return later(life, first)


def later(life: Life, first: int) -> Life:
    """The same life heard from a row on: the time seen starts there, and nobody knows how old the device is."""
    return since(life, first)


def since(life: Life, first: int) -> Life:
    """The same life heard from row `first` on."""
    age = life.age[first:] - (life.age[first] - 1)
    return replace(life, z=life.z[first:], age=age, left=life.left[first:], groups=life.groups[first:], new=False)


def cut(life: Life, rng: np.random.Generator) -> Life:
    """The same life heard until a random row; what came then is still known."""
    return until(life, int(rng.integers(min(ROWS_MIN, len(life.z)), len(life.z) + 1)))


def until(life: Life, n_rows: int) -> Life:
    """The first `n_rows` of a life."""
    rows = slice(0, n_rows)
    return replace(life, z=life.z[rows], age=life.age[rows], left=life.left[rows], groups=life.groups[rows])
