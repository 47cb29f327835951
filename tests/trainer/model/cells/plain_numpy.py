"""What the equations in plain numpy share; each cell's own is in the folder of its name, written from its paper."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Weights = dict[str, Array]
"""A cell's parameters by name."""


def sigmoid(v: Array) -> Array:
    return 1 / (1 + np.exp(-v))


def gates_of(w: Weights, x: Array, h: Array, n_gates: int) -> list[Array]:
    """Summed inputs of each gate from the four parts of torch's fused layer."""
    net = x @ w["fused.weight_ih_l0"].T + w["fused.bias_ih_l0"] + h @ w["fused.weight_hh_l0"].T + w["fused.bias_hh_l0"]
    return np.split(net, n_gates, axis=1)
