"""The LSTM cell that hands on a narrower projection of its hidden state: many cells, few weights.

Nothing bounds a projection, but int8 needs inputs within +-1, and a projection is input to the next row and to the next
layer: so it is clipped there. As long as no projection of a history reaches the clip, torch's fused layer computes the
very same and is used; else the rows are computed one by one.
"""

import torch
from torch import Tensor, nn

from trainer.graph.builder import GraphBuilder, GraphProduct
from trainer.model.cells.cell import Cell, Equation, Product, Start, dense, layer
from trainer.model.cells.lstm import lstm_nodes, start_lstm, weights_of


def projection_step(
    x: Tensor, r: Tensor, c: Tensor, weight: Tensor, bias: Tensor, project: Tensor, product: Product
) -> tuple[Tensor, Tensor]:
    """One step with a recurrent projection r = clip(P h) (Sak, Senior and Beaufays, INTERSPEECH 2014).

    x float32 [b, I]; r [b, W] in the place of an LSTM's h; c [b, H]; weight [I + W, 4H]; bias [4H]; project is P,
    [H, W]. Returns the new r and c.
    """
    i, f, g, o = product(torch.cat((x, r), dim=1), weight, bias).chunk(4, dim=1)  # each [b, H]
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()  # [b, H]
    return product(h, project, project.new_zeros(project.shape[1])).clamp(-1, 1), c


class Projection(Cell):
    """State r [H // 2], c [H]; the output is r. Raises ValueError for a hidden width of 1."""

    def __init__(self, n_inputs: int, hidden: int) -> None:
        super().__init__()
        self.n_inputs, self.width = n_inputs, hidden // 2
        self.blocks = (("r", self.width), ("c", hidden))
        self.fused = nn.LSTM(n_inputs, hidden, proj_size=self.width)

    def start(self, how: Start, memory_max: float) -> None:
        """As an LSTM; the projection as nn.LSTM's in `torch`, else orthogonal."""
        start_lstm(self.fused, how, memory_max)
        if how != "torch":
            nn.init.orthogonal_(self.fused.all_weights[0][-1])

    def project(self) -> Tensor:
        """P, [H, W]."""
        return self.fused.all_weights[0][-1].T

    def equation(self, product: Product) -> Equation:
        (weight, bias), project = weights_of(self.fused), self.project()

        def row(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            r, c = torch.split(state, [size for _, size in self.blocks], dim=1)
            r, c = projection_step(x, r, c, weight, bias, project, product)
            return r, torch.cat((r, c), dim=1)

        return row

    def forward(self, inputs: Tensor, state: Tensor, product: Product = dense) -> tuple[Tensor, Tensor]:
        if product is dense:
            r, c = (part.contiguous()[None] for part in torch.split(state, [size for _, size in self.blocks], dim=1))
            output, (r, c) = self.fused(inputs, (r, c))
            if output.abs().max() <= 1:
                return output, torch.cat((r[0], c[0]), dim=1)
        return super().forward(inputs, state, product)

    def input_weight(self) -> Tensor:
        return self.fused.all_weights[0][0]

    def export(self, builder: GraphBuilder, product: GraphProduct, x: str, state: list[str]) -> tuple[str, list[str]]:
        r, c = state
        gates = product(builder, builder.op("Concat", x, r, axis=1), layer(*weights_of(self.fused)))  # [b, 4H]
        h, c = lstm_nodes(builder, gates, c)
        free = product(builder, h, layer(self.project(), torch.zeros(self.width)))
        r = builder.op("Clip", free, builder.scalar(-1.0), builder.scalar(1.0))
        return r, [r, c]
