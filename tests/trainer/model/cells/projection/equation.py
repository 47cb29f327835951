"""Sak, Senior and Beaufays (2014), clipped."""

import numpy as np

from tests.trainer.model.cells.plain_numpy import Array, Weights, gates_of, sigmoid

INT8_WITHIN = 0.04
"""How far int8 may be from fp32 at the output: half as much again as the furthest of three seeds."""


def equation(w: Weights, xs: Array, hidden: int) -> Array:
    """Output [T, n, W] of every row of xs [T, n, I], from a zero state."""
    r, c, outputs = np.zeros((xs.shape[1], hidden // 2)), np.zeros((xs.shape[1], hidden)), []
    for x in xs:
        i, f, g, o = gates_of(w, x, r, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        r = np.clip((sigmoid(o) * np.tanh(c)) @ w["fused.weight_hr_l0"].T, -1, 1)
        outputs.append(r)
    return np.stack(outputs)
