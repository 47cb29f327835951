"""The plain recurrent cell: no gates, so what it remembers fades within tens of rows. The yardstick for the others."""

import torch
from torch import Tensor, nn

from trainer.graph.builder import GraphBuilder, GraphProduct
from trainer.model.cells.cell import Cell, Equation, Product, Start, dense, layer, xavier_and_orthogonal


def rnn_step(x: Tensor, h: Tensor, weight: Tensor, bias: Tensor, product: Product = dense) -> Tensor:
    """One step h' = tanh([x; h] W + b) (Elman, Cognitive Science 14, 1990).

    x float32 [b, I]; h float32 [b, H]; weight [I + H, H]; bias [H]. Returns h', float32 [b, H].
    """
    return product(torch.cat((x, h), dim=1), weight, bias).tanh()


class Rnn(Cell):
    """State h [H]; the output is h."""

    def __init__(self, n_inputs: int, hidden: int) -> None:
        super().__init__()
        self.n_inputs, self.width = n_inputs, hidden
        self.blocks = (("h", hidden),)
        self.fused = nn.RNN(n_inputs, hidden)

    def start(self, how: Start, memory_max: float) -> None:
        """`torch`: as nn.RNN starts. Without a gate there is no memory to set: `forget_one` and `chrono` are both
        Xavier and orthogonal weights, biases 0.
        """
        self.fused.reset_parameters()
        if how != "torch":
            from_input, from_state, *biases = self.fused.all_weights[0]
            xavier_and_orthogonal(from_input, from_state)
            for bias in biases:
                nn.init.zeros_(bias)

    def weights(self) -> tuple[Tensor, Tensor]:
        """Weight [I + H, H] and bias [H] as `rnn_step` takes them."""
        from_input, from_state, bias, more = self.fused.all_weights[0]
        return torch.cat((from_input, from_state), dim=1).T, bias + more

    def equation(self, product: Product) -> Equation:
        weight, bias = self.weights()

        def row(x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            h = rnn_step(x, h, weight, bias, product)
            return h, h

        return row

    def forward(self, inputs: Tensor, state: Tensor, product: Product = dense) -> tuple[Tensor, Tensor]:
        if product is not dense:
            return super().forward(inputs, state, product)
        output, h = self.fused(inputs, state[None])
        return output, h[0]

    def input_weight(self) -> Tensor:
        return self.fused.all_weights[0][0]

    def export(self, builder: GraphBuilder, product: GraphProduct, x: str, state: list[str]) -> tuple[str, list[str]]:
        (h,) = state
        h = builder.op("Tanh", product(builder, builder.op("Concat", x, h, axis=1), layer(*self.weights())))
        return h, [h]
