"""What every cell is: one row's equation, whole histories of it, and the same equation as nodes of the streaming graph.

A cell multiplies its inputs and hidden state with weights by the `product` that it is given: `dense`, or one that
rounds as int8 does (`trainer/graph/fake_quantize.py`). Everything else in it is float32 in either form. docs/cells.md
says how to add a cell.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Literal, Self

import torch
from torch import Tensor, nn

from trainer.graph.builder import GraphBuilder, GraphProduct, Linear

Start = Literal["torch", "forget_one", "chrono"]
Product = Callable[[Tensor, Tensor, Tensor], Tensor]
"""x [..., n], weight [n, m] and bias [m] to x @ weight + bias, [..., m]."""
Equation = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""x [b, I] and state [b, S] to output [b, W] and new state [b, S]."""


def dense(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [b, n] @ weight [n, m] + bias [m]."""
    return x @ weight + bias


class Cell(nn.Module):
    """One recurrent layer.

    n_inputs  columns that come in a row
    width     columns of the output, each within +-1 so that one activation scale serves all of int8
    blocks    names and sizes of what it keeps a device, in the order of its state [b, S]
    """

    n_inputs: int
    width: int
    blocks: tuple[tuple[str, int], ...]

    @property
    def size(self) -> int:
        """S, columns of the state."""
        return sum(size for _, size in self.blocks)

    def start(self, how: Start, memory_max: float) -> None:
        """Draw the weights anew, in place; `memory_max` rows is the longest memory that `chrono` begins with."""
        raise NotImplementedError

    def equation(self, product: Product) -> Equation:
        """One row with the weights as they are now: x [b, I] and state [b, S] to output [b, W] and the new state.

        What depends on the weights alone is computed once, here, not row by row.
        """
        raise NotImplementedError

    def step(self, x: Tensor, state: Tensor, product: Product = dense) -> tuple[Tensor, Tensor]:
        """One row: x [b, I] and state [b, S] to output [b, W] and new state [b, S]."""
        return self.equation(product)(x, state)

    def forward(self, inputs: Tensor, state: Tensor, product: Product = dense) -> tuple[Tensor, Tensor]:
        """Rows one after another: inputs [T, b, I] and state [b, S] to [T, b, W] and the state after the last."""
        equation, outputs = self.equation(product), []
        for x in inputs:
            output, state = equation(x, state)
            outputs.append(output)
        return torch.stack(outputs), state

    def input_weight(self) -> Tensor:
        """The parameter that multiplies the inputs and nothing else."""
        raise NotImplementedError

    def scaled(self, factor: float) -> Self:
        """A frozen copy that gives the same output for inputs `factor` times smaller."""
        copy = deepcopy(self).requires_grad_(False)
        copy.input_weight().mul_(factor)
        return copy

    def export(self, builder: GraphBuilder, product: GraphProduct, x: str, state: list[str]) -> tuple[str, list[str]]:
        """`step` as nodes: the names of x and of the state's blocks, to those of the output and of the new blocks."""
        raise NotImplementedError


def layer(weight: Tensor, bias: Tensor) -> Linear:
    """Weight [n, m] and bias [m] as constants of a graph."""
    return Linear(weight.detach().numpy().copy(), bias.detach().numpy().copy())


def uniform(cell: Cell, hidden: int) -> None:
    """Every weight and bias in place as torch starts its recurrent layers: U(-1, 1) / sqrt(H)."""
    for parameter in cell.parameters():
        nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)


def xavier_and_orthogonal(from_input: Tensor, from_state: Tensor) -> None:
    """One gate's weights in place: Xavier from the inputs (Glorot and Bengio, AISTATS 2010), orthogonal from the state
    (Saxe, McClelland and Ganguli, ICLR 2014).
    """
    nn.init.xavier_uniform_(from_input)
    nn.init.orthogonal_(from_state)
