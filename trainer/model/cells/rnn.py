"""The plain recurrent cell: no gates, so what it remembers fades within tens of rows. The yardstick for the others."""

import torch
from torch import Tensor, nn

from trainer.graph.builder import Product, Tape
from trainer.model.cells.cell import Cell, Equation, Multiply, Start, layer, plainly, xavier_and_orthogonal


def rnn_step(x: Tensor, h: Tensor, weight: Tensor, bias: Tensor, multiply: Multiply = plainly) -> Tensor:
    """One step h' = tanh([x; h] W + b) (Elman, Cognitive Science 14, 1990).

    x float32 [b, I]; h float32 [b, H]; weight [I + H, H]; bias [H]. Returns h', float32 [b, H].
    """
    return multiply(torch.cat((x, h), dim=1), weight, bias).tanh()


class Rnn(Cell):
    """State h [H]; h goes up."""

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

    def equation(self, multiply: Multiply) -> Equation:
        weight, bias = self.weights()

        def row(x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            h = rnn_step(x, h, weight, bias, multiply)
            return h, h

        return row

    def forward(self, inputs: Tensor, state: Tensor, multiply: Multiply = plainly) -> tuple[Tensor, Tensor]:
        if multiply is not plainly:
            return super().forward(inputs, state, multiply)
        told, h = self.fused(inputs, state[None])
        return told, h[0]

    def input_weight(self) -> Tensor:
        return self.fused.all_weights[0][0]

    def export(self, tape: Tape, product: Product, x: str, state: list[str]) -> tuple[str, list[str]]:
        (h,) = state
        h = tape.op("Tanh", product(tape, tape.op("Concat", x, h, axis=1), layer(*self.weights())))
        return h, [h]
