"""What every cell is: one row's equation, whole histories of it, and the same equation as nodes of the streaming graph.

A cell multiplies its inputs and hidden state with weights through `multiply`, so that training can round them as int8
will (`trainer/graph/fake_quantize.py`); everything else in it is float32 in either form.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Literal, Self

import torch
from torch import Tensor, nn

from trainer.graph.builder import Linear, Product, Tape

Start = Literal["torch", "forget_one", "chrono"]
Multiply = Callable[[Tensor, Tensor, Tensor], Tensor]
Equation = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def plainly(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [b, n] @ weight [n, m] + bias [m]."""
    return x @ weight + bias


class Cell(nn.Module):
    """One recurrent layer.

    n_inputs  columns that come in a row
    width     columns that go up a row, each within +-1 so that one activation scale serves all of int8
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

    def equation(self, multiply: Multiply) -> Equation:
        """One row with the weights as they are now: x [b, I] and state [b, S] to what goes up [b, W] and the new state.

        What depends on the weights alone is computed once, here, not row by row.
        """
        raise NotImplementedError

    def step(self, x: Tensor, state: Tensor, multiply: Multiply = plainly) -> tuple[Tensor, Tensor]:
        """One row: x [b, I] and state [b, S] to what goes up [b, W] and the new state [b, S]."""
        return self.equation(multiply)(x, state)

    def forward(self, inputs: Tensor, state: Tensor, multiply: Multiply = plainly) -> tuple[Tensor, Tensor]:
        """Rows one after another: inputs [T, b, I] and state [b, S] to [T, b, W] and the state after the last."""
        equation, told = self.equation(multiply), []
        for x in inputs:
            up, state = equation(x, state)
            told.append(up)
        return torch.stack(told), state

    def input_weight(self) -> Tensor:
        """The weights that the inputs meet, and nothing else does: one of the parameters itself."""
        raise NotImplementedError

    def scaled(self, factor: float) -> Self:
        """A frozen copy that takes inputs `factor` times smaller and says the same."""
        made = deepcopy(self).requires_grad_(False)
        made.input_weight().mul_(factor)
        return made

    def export(self, tape: Tape, product: Product, x: str, state: list[str]) -> tuple[str, list[str]]:
        """`step` as nodes: x and the state's blocks by name, to what goes up and the new blocks."""
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
