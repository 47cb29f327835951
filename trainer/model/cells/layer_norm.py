"""The LSTM cell whose gates and cell are normalized over their columns, row by row: a batch plays no part in it."""

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from trainer.graph.builder import GraphBuilder, GraphProduct
from trainer.model.cells.cell import Cell, Equation, Product, Start, layer, uniform
from trainer.model.cells.lstm import start_gates

EPSILON = 1e-5
GAIN = 0.1
"""Of the cell at the start (Cooijmans et al., ICLR 2017). With 1 all outputs are large from the first row on; they are
fed back, and a difference as small as rounding grows row by row: int8 up to 1.8 off fp32, against 0.02 with this one.
"""


def layer_norm_step(
    x: Tensor,
    state: Tensor,
    weight: Tensor,
    gates: tuple[Tensor, Tensor],
    cell: tuple[Tensor, Tensor],
    product: Product,
) -> Tensor:
    """One step with layer normalization (Ba, Kiros and Hinton, arXiv:1607.06450, 2016).

    The paper's equation 4 for the summed inputs [x; h] W of all gates together, and its equation 22 for the cell:
    h' = sigmoid(o) tanh(LN(c')), LN(a) = gain (a - mean a) / sqrt(var a + EPSILON) + offset. c itself is carried as it
    is. x float32 [b, I]; state [b, 2H], h then c; weight [I + H, 4H]; `gates` are gain and offset [4H] of i, f, g, o,
    the offset being their bias; `cell` are gain and offset [H]. Returns the new state, float32 [b, 2H].
    """
    h, c = state.chunk(2, dim=1)  # each [b, H]
    summed = product(torch.cat((x, h), dim=1), weight, weight.new_zeros(weight.shape[1]))
    i, f, g, o = layer_norm(summed, gates[0].shape, *gates, EPSILON).chunk(4, dim=1)  # each [b, H]
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return torch.cat((o.sigmoid() * layer_norm(c, cell[0].shape, *cell, EPSILON).tanh(), c), dim=1)


class LayerNorm(Cell):
    """State h [H], c [H]; the output is h."""

    def __init__(self, n_inputs: int, hidden: int) -> None:
        super().__init__()
        self.n_inputs, self.width = n_inputs, hidden
        self.blocks = (("h", hidden), ("c", hidden))
        self.from_input = nn.Parameter(torch.empty(4 * hidden, n_inputs))
        self.from_state = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.gates = nn.ParameterList([torch.ones(4 * hidden), torch.zeros(4 * hidden)])
        self.cell = nn.ParameterList([torch.ones(hidden), torch.zeros(hidden)])
        self.start("torch", 0.0)

    def start(self, how: Start, memory_max: float) -> None:
        """Gains 1 and offsets 0. `torch`: weights as nn.LSTM's. Else as `start_gates` says, for the gates' offsets, and
        the cell's gain `GAIN`.
        """
        uniform(self, self.width)
        for gain, offset in (self.gates, self.cell):
            nn.init.ones_(gain)
            nn.init.zeros_(offset)
        if how != "torch":
            start_gates(self.from_input, self.from_state, self.gates[1], how, memory_max)
            nn.init.constant_(self.cell[0], GAIN)

    def weight(self) -> Tensor:
        """[I + H, 4H]"""
        return torch.cat((self.from_input, self.from_state), dim=1).T

    def equation(self, product: Product) -> Equation:
        weight, gates, cell = self.weight(), (self.gates[0], self.gates[1]), (self.cell[0], self.cell[1])

        def row(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            state = layer_norm_step(x, state, weight, gates, cell, product)
            return state[:, : self.width], state

        return row

    def input_weight(self) -> Tensor:
        return self.from_input

    def export(self, builder: GraphBuilder, product: GraphProduct, x: str, state: list[str]) -> tuple[str, list[str]]:
        h, c = state
        weight = self.weight()
        summed = product(builder, builder.op("Concat", x, h, axis=1), layer(weight, weight.new_zeros(weight.shape[1])))
        i, f, g, o = builder.ops("Split", 4, normalized(builder, summed, *self.gates), axis=1)
        kept = builder.op("Mul", builder.op("Sigmoid", f), c)
        c = builder.op("Add", kept, builder.op("Mul", builder.op("Sigmoid", i), builder.op("Tanh", g)))
        h = builder.op("Mul", builder.op("Sigmoid", o), builder.op("Tanh", normalized(builder, c, *self.cell)))
        return h, [h, c]


def normalized(builder: GraphBuilder, source: str, gain: Tensor, offset: Tensor) -> str:
    """Layer normalization as nodes; means over columns are products with one column of 1 / n."""
    n = len(gain)
    average = builder.constant([[1 / n]] * n)
    centred = builder.op("Sub", source, builder.op("MatMul", source, average))
    variance = builder.op("MatMul", builder.op("Mul", centred, centred), average)
    deviation = builder.op("Sqrt", builder.op("Add", variance, builder.constant(EPSILON)))
    return builder.affine(builder.op("Div", centred, deviation), gain.detach().numpy(), offset.detach().numpy())
