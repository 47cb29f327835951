"""How much work a model is, counted on its graph before anything runs, and the bound on the work of verification.

The unit is one multiply-add of a product, about half a nanosecond on a gateway's core. What else takes time is counted
in the same unit, roughly and never as nothing, so that no graph is cheap only by this account.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from agent.bundle.operators import PRODUCTS, ROWS, Value

VERIFY_WORK_MAX = 20 * 10**9  # ten seconds or so; a start that takes longer looks like one that hangs
NUMBER_WORK = 32  # a number that a node computes: a sum takes less, an exponential as much
NODE_WORK = 4_000  # what ONNX Runtime does around a node at each call


@dataclass(frozen=True, slots=True)
class Work:
    """Of a model: `per_row` of a batch, and `per_call` whatever the batch."""

    per_row: int
    per_call: int

    def of(self, n_calls: int, n_rows: int) -> int:
        """The work of `n_calls` calls that step `n_rows` rows in all."""
        return n_calls * self.per_call + n_rows * self.per_row

    def __add__(self, other: "Work") -> "Work":
        return Work(self.per_row + other.per_row, self.per_call + other.per_call)


NO_WORK = Work(0, 0)


def work_of(operator: str, inputs: Sequence[Value | None], outputs: Sequence[Value]) -> Work:
    """The work of one node that has passed its operator's rule; what it computes of constants is work of each call."""
    rows = sum(prod(dim for dim in one.shape if dim != ROWS) for one in outputs if not one.is_constant)
    constants = sum(prod(one.shape) for one in outputs if one.is_constant)
    weight = inputs[1] if operator in PRODUCTS else None
    products = prod(weight.shape) if weight is not None else 0
    return Work(products + NUMBER_WORK * rows, NODE_WORK + NUMBER_WORK * constants)
