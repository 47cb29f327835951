"""Products in training as int8 will compute them, so that the weights learn to live with it."""

from torch import Tensor

from trainer.quantize import ACTIVATION_SCALE, WEIGHT_MAX

STEPS = 1 / float(ACTIVATION_SCALE)


def rounded(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [b, n] @ weight [n, m] + bias [m], x in steps of 1/127 and weights in 7 bits a column.

    Gradients pass as if nothing were rounded (straight through; Bengio, Leonard and Courville, arXiv 1308.3432, 2013).
    """
    scale = weight.detach().abs().amax(dim=0).clamp(min=1e-12) / WEIGHT_MAX
    return straight(x, 1 / STEPS) @ straight(weight, scale) + bias


def straight(value: Tensor, step: Tensor | float) -> Tensor:
    """The nearest multiple of `step`, with the gradient of `value`."""
    return value + ((value / step).round() * step - value).detach()
