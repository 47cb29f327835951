"""Figures that come out the same to the last digit, wherever their arrays lie in memory."""

import math
from collections.abc import Iterable

import numpy as np

from agent.words import Bool
from trainer.data.history import Float64


def mean(parts: Iterable[Float64 | Bool]) -> float:
    """Mean over all parts, exact before it is rounded once: numpy's own sum depends on the alignment of an array."""
    joined = np.concatenate(list(parts))
    return math.fsum(joined.tolist()) / len(joined)
