"""The cell: its equation against plain numpy, the fused layers against the equation, and its starts."""

import numpy as np
import pytest
import torch
from torch import nn

from trainer.cells.lstm import initialise, lstm_step, weights_of


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
def test_fused_layers_are_the_equation_over_a_whole_history(biases: str) -> None:
    torch.manual_seed(1)
    lstm = nn.LSTM(6, 5, 2)
    initialise(lstm, biases, 100.0)  # type: ignore[arg-type]
    x = torch.randn(40, 3, 6)
    fused, _ = lstm(x)
    states = [torch.zeros(3, 10), torch.zeros(3, 10)]
    for row, wanted in zip(x, fused, strict=True):
        for layer in range(2):
            states[layer] = lstm_step(row, states[layer], *weights_of(lstm, layer))
            row = states[layer][:, :5]
        torch.testing.assert_close(row, wanted, atol=1e-6, rtol=0)


def test_start_is_xavier_orthogonal_and_remembers() -> None:
    torch.manual_seed(2)
    lstm = nn.LSTM(30, 16, 2)
    initialise(lstm, "forget_one", 100.0)
    for layer in range(2):
        weight, bias = weights_of(lstm, layer)
        n_inputs = len(weight) - 16
        bound = (6 / (n_inputs + 16)) ** 0.5
        assert 0.9 * bound < weight[:n_inputs].abs().max() <= bound
        for gate in range(4):
            block = weight[n_inputs:, 16 * gate : 16 * (gate + 1)]
            torch.testing.assert_close(block @ block.T, torch.eye(16), atol=1e-5, rtol=0)
        assert bias.tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32


def test_chrono_start_spreads_memories_from_one_row_to_the_longest() -> None:
    """A forget bias of log(T - 1) keeps a cell for about T rows; the input gate takes in what is forgotten."""
    torch.manual_seed(3)
    lstm = nn.LSTM(4, 256, 1)
    initialise(lstm, "chrono", 100.0)
    _, bias = weights_of(lstm, 0)
    rows = 1 + bias[256:512].exp()
    assert 2.0 <= rows.min() < 5.0
    assert 90.0 < rows.max() <= 100.0
    assert torch.equal(bias[:256], -bias[256:512])
