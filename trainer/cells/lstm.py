"""The LSTM cell, its equation in the open. Whole histories go through torch's fused one with the same weights."""

from copy import deepcopy
from typing import Self

import torch
from torch import Tensor, nn

from trainer.cells.cell import Cell, Multiply, Start, plainly, xavier_and_orthogonal
from trainer.tape import Linear, Product, Tape


def lstm_step(x: Tensor, state: Tensor, weight: Tensor, bias: Tensor, multiply: Multiply = plainly) -> Tensor:
    """One LSTM step with forget gate (Gers, Schmidhuber and Cummins, Neural Computation 12, 2000).

    x float32 [b, I]; state float32 [b, 2H], h then c; weight [I + H, 4H] and bias [4H] in gate order i, f, g, o.
    Returns the new state, float32 [b, 2H].
    """
    h, c = state.chunk(2, dim=1)  # each [b, H]
    i, f, g, o = multiply(torch.cat((x, h), dim=1), weight, bias).chunk(4, dim=1)  # each [b, H]
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return torch.cat((o.sigmoid() * c.tanh(), c), dim=1)


class Lstm(Cell):
    """State h [H], c [H]; h goes up."""

    def __init__(self, n_inputs: int, hidden: int) -> None:
        super().__init__()
        self.n_inputs, self.width = n_inputs, hidden
        self.blocks = (("h", hidden), ("c", hidden))
        self.fused = nn.LSTM(n_inputs, hidden)

    def start(self, how: Start, memory_max: float) -> None:
        """`torch`: as nn.LSTM starts. `forget_one`: Xavier and orthogonal weights, forget bias 1 (Jozefowicz, Zaremba
        and Sutskever, ICML 2015), the others 0. `chrono`: the same weights, forget bias log U(1, memory_max - 1), input
        bias its negative (Tallec and Ollivier, ICLR 2018), so that units start with memories of 1 to `memory_max` rows.
        """
        self.fused.reset_parameters()
        if how == "torch":
            return
        from_input, from_state, bias, other_bias = self.parts()
        with torch.no_grad():
            for x_rows, h_rows in zip(from_input.chunk(4), from_state.chunk(4), strict=True):
                xavier_and_orthogonal(x_rows, h_rows)
            other_bias.zero_()
            i, f, _, _ = bias.zero_().chunk(4)
            if how == "forget_one":
                f.fill_(1.0)
            else:
                f.uniform_(1.0, memory_max - 1).log_()
                i.copy_(-f)

    def parts(self) -> tuple[Tensor, ...]:
        """Weights [4H, I] and [4H, H] and the two biases [4H], as torch keeps them."""
        return tuple(getattr(self.fused, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))

    def weights(self) -> tuple[Tensor, Tensor]:
        """Weight [I + H, 4H] and bias [4H] as `lstm_step` takes them."""
        from_input, from_state, bias, other_bias = self.parts()
        return torch.cat((from_input, from_state), dim=1).T, bias + other_bias

    def step(self, x: Tensor, state: Tensor, multiply: Multiply = plainly) -> tuple[Tensor, Tensor]:
        state = lstm_step(x, state, *self.weights(), multiply)
        return state[:, : self.width], state

    def forward(self, inputs: Tensor, state: Tensor, multiply: Multiply = plainly) -> tuple[Tensor, Tensor]:
        if multiply is not plainly:
            return super().forward(inputs, state, multiply)
        h, c = (part.contiguous()[None] for part in state.chunk(2, dim=1))
        told, (h, c) = self.fused(inputs, (h, c))
        return told, torch.cat((h[0], c[0]), dim=1)

    def scaled(self, factor: float) -> Self:
        made = deepcopy(self).requires_grad_(False)
        made.parts()[0].mul_(factor)
        return made

    def export(self, tape: Tape, product: Product, x: str, state: list[str]) -> tuple[str, list[str]]:
        h, c = state
        weight, bias = (part.detach().numpy().copy() for part in self.weights())
        gates = product(tape, tape.op("Concat", x, h, axis=1), Linear(weight, bias))  # [b, 4H]
        i, f, g, o = tape.ops("Split", 4, gates, axis=1)
        kept = tape.op("Mul", tape.op("Sigmoid", f), c)
        c = tape.op("Add", kept, tape.op("Mul", tape.op("Sigmoid", i), tape.op("Tanh", g)))
        h = tape.op("Mul", tape.op("Sigmoid", o), tape.op("Tanh", c))
        return h, [h, c]
