"""New lives from recorded ones, for training only: other noise, another pace, another beginning.

The smoother looks both ways in time, so nothing here may ever see a history that is scored.
"""

from dataclasses import dataclass

import numpy as np

from agent.words import Float32
from trainer.config import Augment
from trainer.features import Life


@dataclass(frozen=True, slots=True)
class Wear:
    """A life taken apart: smooth float32 [T, F] is its wear, residual float32 [T, F] the noise around it."""

    life: Life
    smooth: Float32
    residual: Float32


def part(life: Life, width: float) -> Wear:
    """Local-linear smooth with a Gaussian kernel of `width` rows, and what it leaves."""
    rows = np.arange(len(life.z))
    offset = (rows[None, :] - rows[:, None]).astype(np.float64)  # [T, T]
    kernel = np.exp(-0.5 * (offset / width) ** 2)
    s0, s1, s2 = (np.sum(kernel * offset**power, axis=1, keepdims=True) for power in range(3))
    weight = kernel * (s2 - s1 * offset)
    smooth = (weight / np.maximum(s0 * s2 - s1**2, 1e-12)) @ life.z
    return Wear(life, smooth.astype(np.float32), (life.z - smooth).astype(np.float32))


def vary(wear: Wear, settings: Augment, clip: float, rng: np.random.Generator) -> Life:
    """One visit's version of a life."""
    life = wear.life
    if rng.random() < settings.probability:
        life = warped(wear, rng.uniform(*settings.warp), clip, rng)
    if rng.random() < settings.join_share:
        life = joined(life, settings.join_rows_max, rng)
    return life


def warped(wear: Wear, factor: float, clip: float, rng: np.random.Generator) -> Life:
    """The wear resampled to `factor` times its length, with noise rows drawn anew from the same life."""
    rows = len(wear.smooth)
    at = np.linspace(0, rows - 1, round(rows * factor))
    below = np.minimum(at.astype(np.int64), rows - 2)
    share = (at - below).astype(np.float32)
    smooth = wear.smooth[below] + share[:, None] * (wear.smooth[below + 1] - wear.smooth[below])
    z = np.clip(smooth + wear.residual[rng.integers(rows, size=len(at))], -clip, clip)
    scale = np.float32(factor)
    age, left = wear.life.age, wear.life.left
    age = age[below] + share * (age[below + 1] - age[below])
    left = left[below] + share * (left[below + 1] - left[below])
    return Life(z.astype(np.float32), 1 + (age - 1) * scale, left * scale)


def joined(life: Life, rows_max: int, rng: np.random.Generator) -> Life:
    """The same life heard from a random row on: the time seen starts there."""
    first = int(rng.integers(1, max(2, min(rows_max + 1, len(life.z) - 20))))
    return Life(life.z[first:], life.age[first:] - (life.age[first] - 1), life.left[first:])
