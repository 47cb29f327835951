"""Products in training as int8 will compute them, so that the weights learn to live with it.

A test holds them equal to the exported int8 graph, row by row; only a value that lies between two steps to the last bit
of float32 may fall to either.
"""

from torch import Tensor

from trainer.graph.quantize import ACTIVATION_SCALE, ACTIVATION_ZERO, WEIGHT_MAX

STEP = float(ACTIVATION_SCALE)
LOW, HIGH = -ACTIVATION_ZERO, 255 - ACTIVATION_ZERO
"""Steps that the unsigned byte of an activation can hold; it saturates beyond."""


def fake_quantized(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [b, n] @ weight [n, m] + bias [m], x in steps of 1/127 and weights in 7 bits a column.

    Gradients pass as if nothing were rounded (straight through; Bengio, Leonard and Courville, arXiv 1308.3432, 2013).
    """
    scale = weight.detach().abs().amax(dim=0).clamp(min=1e-12) / WEIGHT_MAX
    read = (x / STEP).round().clamp(LOW, HIGH) * STEP
    return straight(x, read) @ straight(weight, (weight / scale).round() * scale) + bias


def straight(value: Tensor, instead: Tensor) -> Tensor:
    """`instead`, with the gradient of `value`."""
    return value + (instead - value).detach()
