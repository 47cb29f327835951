"""The cell: its equation against plain numpy, the fused layers against the equation, and its starts."""

import numpy as np
import pytest
import torch

from trainer.cells.cell import Start
from trainer.cells.lstm import Lstm, lstm_step


def numpy_step(x: np.ndarray, h: np.ndarray, c: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Gers, Schmidhuber and Cummins (2000), written again: h', c'."""

    def sigmoid(v: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-v))

    n = h.shape[1]
    net = np.concatenate([x, h], axis=1) @ weight + bias
    i, f, g, o = (net[:, k * n : (k + 1) * n] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


def test_step_is_the_equation() -> None:
    rng = np.random.default_rng(0)
    x, h, c = rng.normal(size=(4, 3)), rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    weight, bias = rng.normal(size=(8, 20)), rng.normal(size=20)
    state = torch.from_numpy(np.concatenate([h, c], axis=1))
    found = lstm_step(torch.from_numpy(x), state, torch.from_numpy(weight), torch.from_numpy(bias))
    np.testing.assert_allclose(found.numpy(), np.concatenate(numpy_step(x, h, c, weight, bias), axis=1), atol=1e-12)


@pytest.mark.parametrize("biases", ["forget_one", "chrono"])
def test_fused_layers_are_the_equation_over_a_whole_history(biases: Start) -> None:
    torch.manual_seed(1)
    cell = Lstm(6, 5)
    cell.start(biases, 100.0)
    x = torch.randn(40, 3, 6)
    fused, last = cell(x, torch.zeros(3, 10))
    state = torch.zeros(3, 10)
    for row, wanted in zip(x, fused, strict=True):
        up, state = cell.step(row, state)
        torch.testing.assert_close(up, wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(state, last, atol=1e-6, rtol=0)


def test_start_is_xavier_orthogonal_and_remembers() -> None:
    torch.manual_seed(2)
    cell = Lstm(30, 16)
    cell.start("forget_one", 100.0)
    weight, bias = (part.detach() for part in cell.weights())
    bound = (6 / (30 + 16)) ** 0.5
    assert 0.9 * bound < weight[:30].abs().max() <= bound
    for gate in range(4):
        block = weight[30:, 16 * gate : 16 * (gate + 1)]
        torch.testing.assert_close(block @ block.T, torch.eye(16), atol=1e-5, rtol=0)
    assert bias.tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32


def test_chrono_start_spreads_memories_from_one_row_to_the_longest() -> None:
    """A forget bias of log(T - 1) keeps a cell for about T rows; the input gate takes in what is forgotten."""
    torch.manual_seed(3)
    cell = Lstm(4, 256)
    cell.start("chrono", 100.0)
    bias = cell.weights()[1].detach()
    rows = 1 + bias[256:512].exp()
    assert 2.0 <= rows.min() < 5.0
    assert 90.0 < rows.max() <= 100.0
    assert torch.equal(bias[:256], -bias[256:512])
