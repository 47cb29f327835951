"""Cho et al. (2014) with the reset gate after the product."""

import numpy as np

from tests.trainer.model.cells.plain_numpy import Array, Weights, sigmoid

INT8_WITHIN = 0.02
"""How far int8 may be from fp32 at the output: half as much again as the furthest of three seeds."""


def equation(w: Weights, xs: Array, hidden: int) -> Array:
    """Output [T, n, W] of every row of xs [T, n, I], from a zero state."""
    h, outputs = np.zeros((xs.shape[1], hidden)), []
    for x in xs:
        from_input = x @ w["fused.weight_ih_l0"].T + w["fused.bias_ih_l0"]
        from_state = h @ w["fused.weight_hh_l0"].T + w["fused.bias_hh_l0"]
        r = sigmoid(from_input[:, :hidden] + from_state[:, :hidden])
        z = sigmoid(from_input[:, hidden : 2 * hidden] + from_state[:, hidden : 2 * hidden])
        new = np.tanh(from_input[:, 2 * hidden :] + r * from_state[:, 2 * hidden :])
        h = z * h + (1 - z) * new
        outputs.append(h)
    return np.stack(outputs)
