"""Gers, Schmidhuber and Cummins (2000)."""

import numpy as np

from tests.trainer.model.cells.plain_numpy import Array, Weights, gates_of, sigmoid

INT8_WITHIN = 0.12
"""How far int8 may be from fp32 at the output: half as much again as the furthest of three seeds."""


def equation(w: Weights, xs: Array, hidden: int) -> Array:
    """Output [T, n, W] of every row of xs [T, n, I], from a zero state."""
    h, c, outputs = np.zeros((xs.shape[1], hidden)), np.zeros((xs.shape[1], hidden)), []
    for x in xs:
        i, f, g, o = gates_of(w, x, h, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs)
