"""How each cell starts: what its weights are drawn from, and how long a memory it begins with."""

import pytest
import torch

from tests.trainer.model.cells.started import bias_of, started
from trainer.model.cells import CELLS
from trainer.model.cells.cell import Start

GATES = {"rnn": 1, "lstm": 4, "gru": 3, "peephole": 4, "projection": 4, "layer_norm": 4, "attention": 4}
"""Cells whose weights torch's starts and `start_gates` draw, and their gates."""
BIAS = {"peephole": ["bias"], "layer_norm": ["gates.1"]}
FED = ("weight_hh_l0", "from_state")
GIVEN = ("weight_ih_l0", "from_input")


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("how", ["forget_one", "chrono"])
def test_each_gate_starts_xavier_and_orthogonal(name: str, how: Start) -> None:
    weights = started(CELLS[name](30, 16), how)
    (given,) = (value for part, value in weights.items() if part.endswith(GIVEN))
    (fed,) = (value for part, value in weights.items() if part.endswith(FED))
    bound = (6 / (30 + 16)) ** 0.5
    n_gates = GATES[name]
    assert len(given) == 16 * n_gates
    for gate, back in zip(given.chunk(n_gates), fed.chunk(n_gates), strict=True):
        assert 0.9 * bound < gate.abs().max() <= bound
        torch.testing.assert_close(back.T @ back, torch.eye(back.shape[1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name, n_gates in GATES.items() if n_gates == 4])
def test_forget_one_keeps_and_chrono_spreads_memories_to_the_longest(name: str) -> None:
    """A forget bias of log(T - 1) keeps a cell for about T rows; the input gate takes in what is forgotten."""
    made = CELLS[name](4, 256)
    assert bias_of(started(made, "forget_one"), *BIAS.get(name, ())).tolist() == [0.0] * 256 + [1.0] * 256 + [0.0] * 512
    bias = bias_of(started(made, "chrono"), *BIAS.get(name, ()))
    rows = 1 + bias[256:512].exp()
    assert 2.0 <= rows.min() < 5.0
    assert 90.0 < rows.max() <= 100.0
    assert torch.equal(bias[:256], -bias[256:512])
    assert not bias[512:].any()


@pytest.mark.parametrize("name", GATES)
def test_torch_start_is_within_the_bound_of_torch(name: str) -> None:
    """U(-1, 1) / sqrt(H) for whatever torch has in nn.LSTM; a normalization starts as nn.LayerNorm does."""
    weights = started(CELLS[name](30, 16), "torch")
    for part, value in weights.items():
        if part.startswith(("gates.", "cell.")):
            assert torch.equal(value, torch.full_like(value, float(part.endswith("0"))))
        elif not part.startswith(("query", "out")):
            assert value.abs().max() <= 0.25
            assert value.std() > 0.08
