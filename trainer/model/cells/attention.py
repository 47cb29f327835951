"""An LSTM that looks back: attention over its last hidden states, which are kept in the state as a ring.

The past is bounded and causal, so a row costs the same for ever, and streaming is training to the last rows.
"""

from functools import partial, reduce

import torch
from torch import Tensor, nn

from trainer.graph.builder import GraphBuilder, GraphProduct
from trainer.model.cells.cell import Cell, Equation, Product, Start, dense, layer
from trainer.model.cells.lstm import lstm_nodes, lstm_step, start_lstm, weights_of

SLOTS = 16
NEVER = -1e9
"""Score of a slot that holds nothing yet: its weight is exactly 0, since a row's own slot is never empty."""


def attend(query: Tensor, slots: list[Tensor], rows: Tensor) -> Tensor:
    """Scaled dot-product attention (Vaswani et al., NeurIPS 2017) of each row over its own past.

    query [..., H]; slots are SLOTS of [..., H], the newest first, of which the first `rows` [..., 1] hold something.
    Returns what they hold, weighed: [..., H], within +-1 if they are.
    """
    scores = torch.stack([(query * slot).sum(dim=-1) for slot in slots], dim=-1) * query.shape[-1] ** -0.5
    is_held = rows > torch.arange(SLOTS, device=rows.device)  # [..., SLOTS]
    weights = torch.where(is_held, scores, NEVER).softmax(dim=-1).chunk(SLOTS, dim=-1)
    return torch.stack([weight * slot for weight, slot in zip(weights, slots, strict=True)]).sum(dim=0)


class Attention(Cell):
    """State ring [SLOTS H], the newest hidden state first; c [H]; rows [1] since the start, at most SLOTS.

    The query is h Q + q with h, the newest of the ring; `attend` gives the context; the output is
    tanh([context; h] V + v) (Luong, Pham and Manning, EMNLP 2015, equation 5, and their "general" score). The LSTM
    itself does not read the context.
    """

    def __init__(self, n_inputs: int, hidden: int) -> None:
        super().__init__()
        self.n_inputs, self.width = n_inputs, hidden
        self.blocks = (("ring", SLOTS * hidden), ("c", hidden), ("rows", 1))
        self.fused = nn.LSTM(n_inputs, hidden)
        self.query = nn.Linear(hidden, hidden)
        self.out = nn.Linear(2 * hidden, hidden)

    def start(self, how: Start, memory_max: float) -> None:
        """The LSTM as `start_lstm` says; the two maps as nn.Linear's in `torch`, else Xavier, biases 0."""
        start_lstm(self.fused, how, memory_max)
        for linear in (self.query, self.out):
            linear.reset_parameters()
            if how != "torch":
                nn.init.xavier_uniform_(linear.weight)
                nn.init.zeros_(linear.bias)

    def look_back(self, slots: list[Tensor], rows: Tensor, product: Product) -> Tensor:
        """Output [..., H] of rows whose last hidden states are `slots`."""
        h = slots[0]
        context = attend(product(h, self.query.weight.T, self.query.bias), slots, rows)
        return product(torch.cat((context, h), dim=-1), self.out.weight.T, self.out.bias).tanh()

    def equation(self, product: Product) -> Equation:
        weight, bias = weights_of(self.fused)

        def row(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            *slots, c, rows = torch.split(state, [self.width] * (SLOTS + 1) + [1], dim=1)
            h, c = lstm_step(x, torch.cat((slots[0], c), dim=1), weight, bias, product).chunk(2, dim=1)
            slots, rows = [h, *slots[:-1]], (rows + 1).clamp(max=SLOTS)
            return self.look_back(slots, rows, product), torch.cat((*slots, c, rows), dim=1)

        return row

    def forward(self, inputs: Tensor, state: Tensor, product: Product = dense) -> tuple[Tensor, Tensor]:
        if product is not dense:
            return super().forward(inputs, state, product)
        *slots, c, rows = torch.split(state, [self.width] * (SLOTS + 1) + [1], dim=1)
        hidden, (_, last) = self.fused(inputs, (slots[0].contiguous()[None], c.contiguous()[None]))
        n = len(inputs)
        past = torch.cat((torch.stack(slots[::-1]), hidden))  # [SLOTS + T, b, H], the oldest first
        behind = [past[SLOTS - slot : SLOTS - slot + n] for slot in range(SLOTS)]  # each [T, b, H]
        seen = (rows + torch.arange(1, n + 1, device=rows.device)[:, None, None]).clamp(max=SLOTS)  # [T, b, 1]
        output = self.look_back(behind, seen, product)
        return output, torch.cat((*past[-SLOTS:].flip(0), last[0], seen[-1]), dim=1)

    def input_weight(self) -> Tensor:
        return self.fused.all_weights[0][0]

    def export(self, builder: GraphBuilder, product: GraphProduct, x: str, state: list[str]) -> tuple[str, list[str]]:
        ring, c, rows = state
        slots = builder.ops("Split", SLOTS, ring, axis=1)
        gates = product(builder, builder.op("Concat", x, slots[0], axis=1), layer(*weights_of(self.fused)))
        h, c = lstm_nodes(builder, gates, c)
        slots = [h, *slots[:-1]]
        rows = builder.op("Min", builder.op("Add", rows, builder.constant(1.0)), builder.constant(SLOTS))
        query = product(builder, h, layer(self.query.weight.T, self.query.bias))
        context = attend_nodes(builder, query, slots, rows, self.width)
        out = product(builder, builder.op("Concat", context, h, axis=1), layer(self.out.weight.T, self.out.bias))
        return builder.op("Tanh", out), [builder.op("Concat", *slots, axis=1), c, rows]


def attend_nodes(builder: GraphBuilder, query: str, slots: list[str], rows: str, width: int) -> str:
    """`attend` as nodes; the products of a row with its own slots are summed by a column of 1 / sqrt(H)."""
    column = builder.constant([[width**-0.5]] * width)
    scores = [builder.op("MatMul", builder.op("Mul", query, slot), column) for slot in slots]
    is_held = builder.op("Greater", rows, builder.constant(range(SLOTS)))
    masked = builder.op("Where", is_held, builder.op("Concat", *scores, axis=1), builder.constant(NEVER))
    weights = builder.ops("Split", SLOTS, builder.op("Softmax", masked, axis=1), axis=1)
    parts = (builder.op("Mul", weight, slot) for weight, slot in zip(weights, slots, strict=True))
    return reduce(partial(builder.op, "Add"), parts)
