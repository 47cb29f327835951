"""Elman (1990)."""

import numpy as np

from tests.trainer.model.cells.plain_numpy import Array, Weights

INT8_WITHIN = 0.09
"""How far int8 may be from fp32 at the output: half as much again as the furthest of three seeds."""


def equation(w: Weights, xs: Array, hidden: int) -> Array:
    """Output [T, n, W] of every row of xs [T, n, I], from a zero state."""
    h, outputs = np.zeros((xs.shape[1], hidden)), []
    for x in xs:
        h = np.tanh(
            x @ w["fused.weight_ih_l0"].T
            + h @ w["fused.weight_hh_l0"].T
            + w["fused.bias_ih_l0"]
            + w["fused.bias_hh_l0"]
        )
        outputs.append(h)
    return np.stack(outputs)
