"""How each cell starts: what its weights are drawn from, and how long a memory it begins with."""

import pytest
import torch
from torch import Tensor

from trainer.model.cells import CELLS
from trainer.model.cells.cell import Cell, Start
from trainer.model.cells.gru import Gru
from trainer.model.cells.rnn import Rnn


def started(made: Cell, how: Start, memory_max: float = 100.0) -> dict[str, Tensor]:
    torch.manual_seed(3)
    made.start(how, memory_max)
    return {part: value.detach() for part, value in made.named_parameters()}


GATES = {"rnn": 1, "gru": 3}
FED = ("weight_hh_l0", "from_state")
GIVEN = ("weight_ih_l0", "from_input")


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("how", ["forget_one", "chrono"])
def test_each_gate_starts_xavier_and_orthogonal(name: str, how: Start) -> None:
    weights = started(CELLS[name](30, 16), how)
    (given,) = (value for part, value in weights.items() if part.endswith(GIVEN))
    (fed,) = (value for part, value in weights.items() if part.endswith(FED))
    bound = (6 / (30 + 16)) ** 0.5
    n_gates = GATES.get(name, 4)
    assert len(given) == 16 * n_gates
    for gate, back in zip(given.chunk(n_gates), fed.chunk(n_gates), strict=True):
        assert 0.9 * bound < gate.abs().max() <= bound
        torch.testing.assert_close(back.T @ back, torch.eye(back.shape[1]), atol=1e-5, rtol=0)


def bias_of(name: str, weights: dict[str, Tensor]) -> Tensor:
    """What stands in the place of the gates' bias."""
    parts = {"peephole": ["bias"], "layer_norm": ["gates.1"]}.get(name, ["fused.bias_ih_l0", "fused.bias_hh_l0"])
    return torch.stack([weights[part] for part in parts]).sum(dim=0)


@pytest.mark.parametrize("name", [name for name in CELLS if name not in GATES])
def test_forget_one_keeps_and_chrono_spreads_memories_to_the_longest(name: str) -> None:
    """A forget bias of log(T - 1) keeps a cell for about T rows; the input gate takes in what is forgotten."""
    made = CELLS[name](4, 256)
    assert bias_of(name, started(made, "forget_one")).tolist() == [0.0] * 256 + [1.0] * 256 + [0.0] * 512
    bias = bias_of(name, started(made, "chrono"))
    rows = 1 + bias[256:512].exp()
    assert 2.0 <= rows.min() < 5.0
    assert 90.0 < rows.max() <= 100.0
    assert torch.equal(bias[:256], -bias[256:512])
    assert not bias[512:].any()


def test_a_gru_starts_so_at_its_update_gate() -> None:
    made = Gru(4, 256)
    assert bias_of("gru", started(made, "forget_one")).tolist() == [0.0] * 256 + [1.0] * 256 + [0.0] * 256
    bias = bias_of("gru", started(made, "chrono"))
    rows = 1 + bias[256:512].exp()
    assert 2.0 <= rows.min() < 5.0
    assert 90.0 < rows.max() <= 100.0
    assert not bias[:256].any()
    assert not bias[512:].any()


def test_a_plain_cell_has_no_memory_to_set() -> None:
    made = Rnn(4, 16)
    one, other = started(made, "forget_one"), started(made, "chrono")
    for part, value in one.items():
        assert torch.equal(value, other[part])
    assert not bias_of("rnn", one).any()


@pytest.mark.parametrize("name", CELLS)
def test_torch_start_is_within_the_bound_of_torch(name: str) -> None:
    """U(-1, 1) / sqrt(H) for whatever torch has in nn.LSTM; a normalization starts as nn.LayerNorm does."""
    weights = started(CELLS[name](30, 16), "torch")
    for part, value in weights.items():
        if part.startswith(("gates.", "cell.")):
            assert torch.equal(value, torch.full_like(value, float(part.endswith("0"))))
        elif not part.startswith(("query", "out")):
            assert value.abs().max() <= 0.25
            assert value.std() > 0.08


def test_peepholes_start_closed() -> None:
    assert not started(CELLS["peephole"](4, 16), "chrono")["peepholes"].any()


def test_a_projection_starts_orthogonal() -> None:
    project = started(CELLS["projection"](4, 16), "chrono")["fused.weight_hr_l0"]
    torch.testing.assert_close(project @ project.T, torch.eye(8), atol=1e-5, rtol=0)
