"""The memory tasks ask for what was marked or shown 200 rows before, and tell each error beside the plain RNN's."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from bench.memory_tasks import DELAY, FIRST, KINDS, SYMBOLS, TASKS, adding, beside_rnn, copy, learn, nats, table

pytestmark = pytest.mark.slow


def test_adding_marks_one_of_the_first_values_and_one_later_and_asks_for_their_sum() -> None:
    inputs, wanted = adding(500, torch.Generator().manual_seed(0))
    values, marks = inputs.unbind(dim=2)
    assert inputs.shape == (FIRST + DELAY, 500, 2)
    assert (marks[:FIRST].sum(dim=0) == 1).all()
    assert (marks[FIRST:].sum(dim=0) == 1).all()
    assert marks[:FIRST].any(dim=1).all(), "each of the first rows is marked in some history"
    torch.testing.assert_close((values * marks).sum(dim=0), wanted[0, :, 0])
    assert ((wanted - 1) ** 2).mean() == pytest.approx(1 / 6, abs=0.02)


def test_copy_shows_the_symbols_before_the_delay_and_never_again() -> None:
    inputs, wanted = copy(50, torch.Generator().manual_seed(0))
    assert inputs.shape == (SYMBOLS + DELAY + SYMBOLS, 50, KINDS + 2)
    assert (inputs.sum(dim=2) == 1).all()
    assert torch.equal(inputs[:SYMBOLS].argmax(dim=2), wanted)
    assert (inputs[SYMBOLS:-SYMBOLS, :, KINDS] == 1).all()
    assert (inputs[-SYMBOLS:, :, KINDS + 1] == 1).all()


def test_an_error_is_what_the_tasks_say_it_is() -> None:
    wanted = torch.tensor([[3, 1], [0, 7]])
    assert nats(torch.zeros(2, 2, KINDS), wanted).item() == pytest.approx(2.0794, abs=1e-4)
    assert nats(100.0 * one_hot(wanted, KINDS), wanted).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_a_run_is_told_by_its_seed(task: str) -> None:
    short = replace(TASKS[task], batches=2)
    first, again, other = (learn("gru", short, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert learn("gru", replace(short, batches=6), 0) != first


def test_each_error_is_told_beside_the_plain_one_of_the_same_seed() -> None:
    errors = {
        ("adding", "rnn"): {0: 0.2, 1: 0.1, 2: 0.4},
        ("adding", "lstm"): {1: 0.01, 0: 0.1, 2: 0.1},
        ("copy", "lstm"): {0: 1.0},
    }
    found = beside_rnn(errors)
    assert found["adding_lstm_error_over_rnn"] == pytest.approx({"median": 0.25, "min": 0.1, "max": 0.5})
    assert found["copy_lstm_error_over_rnn"] == {"median": None, "min": None, "max": None}
    assert "| adding | lstm | 3 | 0.1000 | 0.0100 | 0.1000 | 75.0% |" in table(errors)
    assert "| copy | lstm | 1 | 1.0000 | 1.0000 | 1.0000 |  |" in table(errors)
