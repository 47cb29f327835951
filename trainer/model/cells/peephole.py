"""The LSTM cell whose gates see the cell itself, so that they can measure how long ago something was."""

import torch
from torch import Tensor, nn

from trainer.graph.builder import GraphBuilder, GraphProduct
from trainer.model.cells.cell import Cell, Equation, Product, Start, layer, uniform
from trainer.model.cells.lstm import start_gates


def peephole_step(
    x: Tensor, state: Tensor, weight: Tensor, bias: Tensor, peepholes: Tensor, product: Product
) -> Tensor:
    """One step with peepholes (Gers, Schraudolph and Schmidhuber, Journal of Machine Learning Research 3, 2002).

    As `lstm_step`, but i and f see the cell of the row before and o the new one, each unit its own: peepholes [3, H]
    in the order i, f, o. Returns the new state, float32 [b, 2H].
    """
    h, c = state.chunk(2, dim=1)  # each [b, H]
    to_i, to_f, to_o = peepholes  # each [H]
    i, f, g, o = product(torch.cat((x, h), dim=1), weight, bias).chunk(4, dim=1)  # each [b, H]
    c = (f + to_f * c).sigmoid() * c + (i + to_i * c).sigmoid() * g.tanh()
    return torch.cat(((o + to_o * c).sigmoid() * c.tanh(), c), dim=1)


class Peephole(Cell):
    """State h [H], c [H]; the output is h. Peepholes are always float32: a cell has no bound to round within."""

    def __init__(self, n_inputs: int, hidden: int) -> None:
        super().__init__()
        self.n_inputs, self.width = n_inputs, hidden
        self.blocks = (("h", hidden), ("c", hidden))
        self.from_input = nn.Parameter(torch.empty(4 * hidden, n_inputs))
        self.from_state = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias = nn.Parameter(torch.empty(4 * hidden))
        self.peepholes = nn.Parameter(torch.empty(3, hidden))
        uniform(self, hidden)

    def start(self, how: Start, memory_max: float) -> None:
        """`torch`: all weights as nn.LSTM's. Else as `start_gates` says and the peepholes 0: at first an LSTM."""
        if how == "torch":
            uniform(self, self.width)
        else:
            start_gates(self.from_input, self.from_state, self.bias, how, memory_max)
            nn.init.zeros_(self.peepholes)

    def weights(self) -> tuple[Tensor, Tensor]:
        """Weight [I + H, 4H] and bias [4H]."""
        return torch.cat((self.from_input, self.from_state), dim=1).T, self.bias

    def equation(self, product: Product) -> Equation:
        weight, bias = self.weights()

        def row(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            state = peephole_step(x, state, weight, bias, self.peepholes, product)
            return state[:, : self.width], state

        return row

    def input_weight(self) -> Tensor:
        return self.from_input

    def export(self, builder: GraphBuilder, product: GraphProduct, x: str, state: list[str]) -> tuple[str, list[str]]:
        h, c = state
        i, f, g, o = builder.ops(
            "Split", 4, product(builder, builder.op("Concat", x, h, axis=1), layer(*self.weights())), axis=1
        )
        to_i, to_f, to_o = (builder.constant(part) for part in self.peepholes.detach().numpy())

        def gate(net: str, peephole: str, cell: str) -> str:
            return builder.op("Sigmoid", builder.op("Add", net, builder.op("Mul", cell, peephole)))

        kept = builder.op("Mul", gate(f, to_f, c), c)
        c = builder.op("Add", kept, builder.op("Mul", gate(i, to_i, c), builder.op("Tanh", g)))
        h = builder.op("Mul", gate(o, to_o, c), builder.op("Tanh", c))
        return h, [h, c]
