"""The GRU cell in torch's form: two gates and no cell beside h, three quarters of an LSTM's weights."""

import torch
from torch import Tensor, nn

from trainer.graph.builder import GraphBuilder, GraphProduct
from trainer.model.cells.cell import Cell, Equation, Product, Start, dense, layer, xavier_and_orthogonal


def gru_step(
    x: Tensor, h: Tensor, from_input: tuple[Tensor, Tensor], from_state: tuple[Tensor, Tensor], product: Product
) -> Tensor:
    """One GRU step (Cho et al., EMNLP 2014), h' = (1 - z) tanh(x W + b + r (h U + c)) + z h.

    The reset gate r works on the product h U + c, as in torch and cuDNN, not on h before it: one product serves all.
    x float32 [b, I]; h float32 [b, H]; from_input is W [I, 3H] and b [3H], from_state U [H, 3H] and c [3H], in the
    order r, z, n. Returns h', float32 [b, H]; in this form rounding cannot carry it beyond +-1.
    """
    given_r, given_z, given_n = product(x, *from_input).chunk(3, dim=1)  # each [b, H]
    fed_r, fed_z, fed_n = product(h, *from_state).chunk(3, dim=1)
    r, z = (given_r + fed_r).sigmoid(), (given_z + fed_z).sigmoid()
    n = (given_n + r * fed_n).tanh()
    return (1 - z) * n + z * h


class Gru(Cell):
    """State h [H]; the output is h."""

    def __init__(self, n_inputs: int, hidden: int) -> None:
        super().__init__()
        self.n_inputs, self.width = n_inputs, hidden
        self.blocks = (("h", hidden),)
        self.fused = nn.GRU(n_inputs, hidden)

    def start(self, how: Start, memory_max: float) -> None:
        """`torch`: as nn.GRU starts. Else Xavier and orthogonal weights, and the bias of the update gate z, which
        keeps h here as f keeps c in an LSTM: 1 in `forget_one`, log U(1, memory_max - 1) in `chrono` (Tallec and
        Ollivier, ICLR 2018); the others 0.
        """
        self.fused.reset_parameters()
        if how == "torch":
            return
        with torch.no_grad():
            from_input, from_state, given, fed = self.fused.all_weights[0]
            for gate in zip(from_input.chunk(3), from_state.chunk(3), strict=True):
                xavier_and_orthogonal(*gate)
            nn.init.zeros_(fed)
            _, z, _ = nn.init.zeros_(given).chunk(3)
            if how == "forget_one":
                z.fill_(1.0)
            else:
                z.uniform_(1.0, memory_max - 1).log_()

    def weights(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """(W, b) and (U, c) as `gru_step` takes them."""
        from_input, from_state, given, fed = self.fused.all_weights[0]
        return (from_input.T, given), (from_state.T, fed)

    def equation(self, product: Product) -> Equation:
        from_input, from_state = self.weights()

        def row(x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            h = gru_step(x, h, from_input, from_state, product)
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
        from_input, from_state = (layer(*part) for part in self.weights())
        given_r, given_z, given_n = builder.ops("Split", 3, product(builder, x, from_input), axis=1)
        fed_r, fed_z, fed_n = builder.ops("Split", 3, product(builder, h, from_state), axis=1)
        r, z = (builder.op("Sigmoid", builder.op("Add", *parts)) for parts in ((given_r, fed_r), (given_z, fed_z)))
        n = builder.op("Tanh", builder.op("Add", given_n, builder.op("Mul", r, fed_n)))
        new = builder.op("Mul", builder.op("Sub", builder.constant(1.0), z), n)
        h = builder.op("Add", new, builder.op("Mul", z, h))
        return h, [h]
