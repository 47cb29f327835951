"""Weights to 7 bits a column, with activation scales fixed beforehand.

Dynamic activation scales depend on the whole batch, so that one device would move another's score (law 2). Here
inputs and hidden states are within +-1 by construction and take 1/127 a step around a zero point of 128. Weights stay
within +-63 so that a pair of products, 2 * 255 * 63, fits the 16 bits that AVX2 sums them in.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.words import Float32

ACTIVATION_SCALE = np.float32(1 / 127)
ACTIVATION_ZERO = 128
WEIGHT_MAX = 63


@dataclass(frozen=True, slots=True)
class Quantized:
    """weight ~ values * scale: values int8 [n, m] within +-63, scale float32 [m], one a column, > 0."""

    values: npt.NDArray[np.int8]
    scale: Float32


def quantize(weight: Float32) -> Quantized:
    """Nearest 7-bit weights, float32 [n, m]. Raises ValueError for a weight that is not finite."""
    if not np.isfinite(weight).all():
        raise ValueError("a weight is not finite: the model cannot be quantized")
    largest = np.abs(weight).max(axis=0)
    scale = np.where(largest > 0, largest / np.float32(WEIGHT_MAX), np.float32(1)).astype(np.float32)
    return Quantized(np.rint(weight / scale).astype(np.int8), scale)
