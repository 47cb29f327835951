"""A cell without a gate."""

import torch

from tests.trainer.model.cells.started import bias_of, started
from trainer.model.cells.rnn import Rnn


def test_a_plain_cell_has_no_memory_to_set() -> None:
    made = Rnn(4, 16)
    weights, other = started(made, "forget_one"), started(made, "chrono")
    for part, value in weights.items():
        assert torch.equal(value, other[part])
    assert not bias_of(weights).any()
