"""The LSTM cell, its equation in the open. Whole histories go through torch's fused one with the same weights."""

import torch
from torch import Tensor, nn

from trainer.graph.builder import GraphBuilder, GraphProduct
from trainer.model.cells.cell import Cell, Equation, Product, Start, dense, layer, xavier_and_orthogonal


def lstm_step(x: Tensor, state: Tensor, weight: Tensor, bias: Tensor, product: Product = dense) -> Tensor:
    """One LSTM step with forget gate (Gers, Schmidhuber and Cummins, Neural Computation 12, 2000).

    x float32 [b, I]; state float32 [b, 2H], h then c; weight [I + H, 4H] and bias [4H] in gate order i, f, g, o.
    Returns the new state, float32 [b, 2H].
    """
    h, c = state.chunk(2, dim=1)  # each [b, H]
    i, f, g, o = product(torch.cat((x, h), dim=1), weight, bias).chunk(4, dim=1)  # each [b, H]
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return torch.cat((o.sigmoid() * c.tanh(), c), dim=1)


class Lstm(Cell):
    """State h [H], c [H]; the output is h."""

    def __init__(self, n_inputs: int, hidden: int) -> None:
        super().__init__()
        self.n_inputs, self.width = n_inputs, hidden
        self.blocks = (("h", hidden), ("c", hidden))
        self.fused = nn.LSTM(n_inputs, hidden)

    def start(self, how: Start, memory_max: float) -> None:
        """`torch`: as nn.LSTM starts; else as `start_gates` says."""
        start_lstm(self.fused, how, memory_max)

    def equation(self, product: Product) -> Equation:
        weight, bias = weights_of(self.fused)

        def row(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            state = lstm_step(x, state, weight, bias, product)
            return state[:, : self.width], state

        return row

    def forward(self, inputs: Tensor, state: Tensor, product: Product = dense) -> tuple[Tensor, Tensor]:
        if product is not dense:
            return super().forward(inputs, state, product)
        h, c = (part.contiguous()[None] for part in state.chunk(2, dim=1))
        output, (h, c) = self.fused(inputs, (h, c))
        return output, torch.cat((h[0], c[0]), dim=1)

    def input_weight(self) -> Tensor:
        return self.fused.all_weights[0][0]

    def export(self, builder: GraphBuilder, product: GraphProduct, x: str, state: list[str]) -> tuple[str, list[str]]:
        h, c = state
        gates = product(builder, builder.op("Concat", x, h, axis=1), layer(*weights_of(self.fused)))  # [b, 4H]
        h, c = lstm_nodes(builder, gates, c)
        return h, [h, c]


def weights_of(lstm: nn.LSTM) -> tuple[Tensor, Tensor]:
    """Weight [I + W, 4H] and bias [4H] as `lstm_step` takes them; W is the projection's width where there is one."""
    from_input, from_state, bias, more, *_ = lstm.all_weights[0]
    return torch.cat((from_input, from_state), dim=1).T, bias + more


def lstm_nodes(builder: GraphBuilder, gates: str, c: str) -> tuple[str, str]:
    """`lstm_step` after its product: gates [b, 4H] and c [b, H] to the new h and c."""
    i, f, g, o = builder.ops("Split", 4, gates, axis=1)
    kept = builder.op("Mul", builder.op("Sigmoid", f), c)
    c = builder.op("Add", kept, builder.op("Mul", builder.op("Sigmoid", i), builder.op("Tanh", g)))
    return builder.op("Mul", builder.op("Sigmoid", o), builder.op("Tanh", c)), c


def start_lstm(lstm: nn.LSTM, how: Start, memory_max: float) -> None:
    """Draw the weights of a layer of torch's anew, in place."""
    lstm.reset_parameters()
    if how != "torch":
        from_input, from_state, bias, more, *_ = lstm.all_weights[0]
        nn.init.zeros_(more)
        start_gates(from_input, from_state, bias, how, memory_max)


@torch.no_grad()
def start_gates(from_input: Tensor, from_state: Tensor, bias: Tensor, how: Start, memory_max: float) -> None:
    """Xavier and orthogonal weights [4H, I] and [4H, W], gates i, f, g, o, and their biases [4H], in place.

    `forget_one`: forget bias 1 (Jozefowicz, Zaremba and Sutskever, ICML 2015), the others 0. `chrono`: forget bias
    log U(1, memory_max - 1), input bias its negative (Tallec and Ollivier, ICLR 2018), so that units start with
    memories of 1 to `memory_max` rows.
    """
    for gate in zip(from_input.chunk(4), from_state.chunk(4), strict=True):
        xavier_and_orthogonal(*gate)
    i, f, _, _ = nn.init.zeros_(bias).chunk(4)
    if how == "forget_one":
        f.fill_(1.0)
    else:
        f.uniform_(1.0, memory_max - 1).log_()
        i.copy_(-f)
