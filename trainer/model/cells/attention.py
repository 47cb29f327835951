"""An LSTM that looks back: attention over its last hidden states, which are kept in the state as a ring.

The past is bounded and causal, so a row costs the same for ever, and streaming is training to the last rows.
"""

from functools import partial, reduce

import torch
from torch import Tensor, nn

from trainer.graph.builder import Product, Tape
from trainer.model.cells.cell import Cell, Equation, Multiply, Start, layer, plainly
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
    filled = rows > torch.arange(SLOTS, device=rows.device)  # [..., SLOTS]
    weights = torch.where(filled, scores, NEVER).softmax(dim=-1).chunk(SLOTS, dim=-1)
    return torch.stack([weight * slot for weight, slot in zip(weights, slots, strict=True)]).sum(dim=0)


class Attention(Cell):
    """State ring [SLOTS H], the newest hidden state first; c [H]; rows [1] since the start, at most SLOTS.

    h, the newest of the ring, asks it: query h Q + q, `attend`, and tanh([found; h] V + v) goes up (Luong, Pham and
    Manning, EMNLP 2015, equation 5, and their "general" score). The LSTM itself doesn't see what was found.
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

    def look_back(self, slots: list[Tensor], rows: Tensor, multiply: Multiply) -> Tensor:
        """What goes up, [..., H], of rows whose last hidden states are `slots`."""
        h = slots[0]
        found = attend(multiply(h, self.query.weight.T, self.query.bias), slots, rows)
        return multiply(torch.cat((found, h), dim=-1), self.out.weight.T, self.out.bias).tanh()

    def equation(self, multiply: Multiply) -> Equation:
        weight, bias = weights_of(self.fused)

        def row(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            *slots, c, rows = torch.split(state, [self.width] * (SLOTS + 1) + [1], dim=1)
            h, c = lstm_step(x, torch.cat((slots[0], c), dim=1), weight, bias, multiply).chunk(2, dim=1)
            slots, rows = [h, *slots[:-1]], (rows + 1).clamp(max=SLOTS)
            return self.look_back(slots, rows, multiply), torch.cat((*slots, c, rows), dim=1)

        return row

    def forward(self, inputs: Tensor, state: Tensor, multiply: Multiply = plainly) -> tuple[Tensor, Tensor]:
        if multiply is not plainly:
            return super().forward(inputs, state, multiply)
        *slots, c, rows = torch.split(state, [self.width] * (SLOTS + 1) + [1], dim=1)
        told, (_, last) = self.fused(inputs, (slots[0].contiguous()[None], c.contiguous()[None]))
        n = len(inputs)
        past = torch.cat((torch.stack(slots[::-1]), told))  # [SLOTS + T, b, H], the oldest first
        behind = [past[SLOTS - slot : SLOTS - slot + n] for slot in range(SLOTS)]  # each [T, b, H]
        seen = (rows + torch.arange(1, n + 1, device=rows.device)[:, None, None]).clamp(max=SLOTS)  # [T, b, 1]
        up = self.look_back(behind, seen, multiply)
        return up, torch.cat((*past[-SLOTS:].flip(0), last[0], seen[-1]), dim=1)

    def input_weight(self) -> Tensor:
        return self.fused.all_weights[0][0]

    def export(self, tape: Tape, product: Product, x: str, state: list[str]) -> tuple[str, list[str]]:
        ring, c, rows = state
        slots = tape.ops("Split", SLOTS, ring, axis=1)
        gates = product(tape, tape.op("Concat", x, slots[0], axis=1), layer(*weights_of(self.fused)))
        h, c = lstm_nodes(tape, gates, c)
        slots = [h, *slots[:-1]]
        rows = tape.op("Min", tape.op("Add", rows, tape.constant(1.0)), tape.constant(SLOTS))
        query = product(tape, h, layer(self.query.weight.T, self.query.bias))
        found = attend_nodes(tape, query, slots, rows, self.width)
        out = product(tape, tape.op("Concat", found, h, axis=1), layer(self.out.weight.T, self.out.bias))
        return tape.op("Tanh", out), [tape.op("Concat", *slots, axis=1), c, rows]


def attend_nodes(tape: Tape, query: str, slots: list[str], rows: str, width: int) -> str:
    """`attend` as nodes; a row's products with its own slots are summed by one column of 1 / sqrt(H)."""
    column = tape.constant([[width**-0.5]] * width)
    scores = [tape.op("MatMul", tape.op("Mul", query, slot), column) for slot in slots]
    filled = tape.op("Greater", rows, tape.constant(range(SLOTS)))
    masked = tape.op("Where", filled, tape.op("Concat", *scores, axis=1), tape.constant(NEVER))
    weights = tape.ops("Split", SLOTS, tape.op("Softmax", masked, axis=1), axis=1)
    parts = (tape.op("Mul", weight, slot) for weight, slot in zip(weights, slots, strict=True))
    return reduce(partial(tape.op, "Add"), parts)
