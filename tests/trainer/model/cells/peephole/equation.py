"""Gers, Schraudolph and Schmidhuber (2002): o looks at the cell of its own row."""

import numpy as np

from tests.trainer.model.cells.plain_numpy import Array, Weights, sigmoid

INT8_WITHIN = 0.08
"""How far int8 may be from fp32 at the output: half as much again as the furthest of three seeds."""


def equation(w: Weights, xs: Array, hidden: int) -> Array:
    """Output [T, n, W] of every row of xs [T, n, I], from a zero state."""
    h, c, outputs = np.zeros((xs.shape[1], hidden)), np.zeros((xs.shape[1], hidden)), []
    for x in xs:
        i, f, g, o = np.split(x @ w["from_input"].T + h @ w["from_state"].T + w["bias"], 4, axis=1)
        input_gate, forget_gate = sigmoid(i + c * w["peepholes"][0]), sigmoid(f + c * w["peepholes"][1])
        c = forget_gate * c + input_gate * np.tanh(g)
        h = sigmoid(o + c * w["peepholes"][2]) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs)
