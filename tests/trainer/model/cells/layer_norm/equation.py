"""Ba, Kiros and Hinton (2016), equations 4 and 22."""

import numpy as np

from tests.trainer.model.cells.plain_numpy import Array, Weights, sigmoid

INT8_WITHIN = 0.03
"""How far int8 may be from fp32 at the output: half as much again as the furthest of three seeds."""


def equation(w: Weights, xs: Array, hidden: int) -> Array:
    """Output [T, n, W] of every row of xs [T, n, I], from a zero state."""

    def normalized(a: Array, gain: Array, offset: Array) -> Array:
        mean = a.mean(axis=1, keepdims=True)
        variance = ((a - mean) ** 2).mean(axis=1, keepdims=True)
        return (a - mean) / np.sqrt(variance + 1e-5) * gain + offset

    h, c, outputs = np.zeros((xs.shape[1], hidden)), np.zeros((xs.shape[1], hidden)), []
    for x in xs:
        net = x @ w["from_input"].T + h @ w["from_state"].T
        i, f, g, o = np.split(normalized(net, w["gates.0"], w["gates.1"]), 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(normalized(c, w["cell.0"], w["cell.1"]))
        outputs.append(h)
    return np.stack(outputs)
