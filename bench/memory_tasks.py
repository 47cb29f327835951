"""What a cell can hold over 200 rows: the adding and the copy task, every cell beside the plain RNN.

    python -m bench.memory_tasks --seeds 0 1 2 3 4 --cells rnn lstm gru --json build/memory_tasks.json

Adding (Hochreiter and Schmidhuber, Neural Computation 9, 1997, experiment 4): two of 210 values are marked, one among
the first 10 rows and one after them; after the last row their sum is asked for. Always saying 1 errs by 1/6 (mean
square). Copy (the same; Arjovsky, Shah and Bengio, ICML 2016): three symbols of eight kinds, 200 blank rows, then they
are to be said again in order. Having forgotten them costs ln 8 = 2.08 a symbol (cross entropy, nats).

Histories are drawn anew for each batch, so that nothing can be learnt by heart, and those of the test by a seed of
their own. All cells have the same width, start, optimiser and number of batches: few enough for a minute or two of one
core, so this says who learns soon, not who never could. The learning rate falls to 0; held, it left plain RNNs that had
learnt nothing at up to twice the error of saying 1. Gates start by `chrono` with memories up to the delay; a plain RNN
has no place for that. Prints Markdown, progress on stderr; exits 0 whatever the figures are.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from bench.result import Ratio, markdown, ratio, write
from trainer.model.cells import CELLS
from trainer.model.network import fix_seed

DELAY = 200
FIRST = 10
SYMBOLS, KINDS = 3, 8
HIDDEN, BATCH = 64, 32
LEARNING_RATE, CLIP_NORM = 5e-3, 1.0
TEST_HISTORIES, TEST_SEED = 1000, 1_000_000


def adding(n: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Values and marks [T, n, 2], and the sum of the two marked values [1, n, 1]."""
    rows = FIRST + DELAY
    values, marks = torch.rand(rows, n, generator=draw), torch.zeros(rows, n)
    each = torch.arange(n)
    for low, high in ((0, FIRST), (FIRST, rows)):
        marks[torch.randint(low, high, (n,), generator=draw), each] = 1
    return torch.stack((values, marks), dim=2), (values * marks).sum(dim=0)[None, :, None]


def copy(n: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Symbols, blanks and, in the last rows, signs to say them, one-hot [T, n, KINDS + 2]; the symbols [SYMBOLS, n]."""
    symbols = torch.randint(KINDS, (SYMBOLS, n), generator=draw)
    blanks, signs = torch.full((DELAY, n), KINDS), torch.full((SYMBOLS, n), KINDS + 1)
    return one_hot(torch.cat((symbols, blanks, signs)), KINDS + 2).float(), symbols


@dataclass(frozen=True, slots=True)
class Task:
    """Inputs [T, n, I], the true outputs of the last rows, how many numbers a row they are, and the error."""

    draw: Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
    n_inputs: int
    n_outputs: int
    error: Callable[[Tensor, Tensor], Tensor]
    batches: int


def nats(said: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy of logits [n_last, n, KINDS] a symbol."""
    return cross_entropy(said.flatten(0, 1), wanted.flatten())


TASKS: Mapping[str, Task] = {
    "adding": Task(adding, 2, 1, mse_loss, 1000),
    "copy": Task(copy, KINDS + 2, KINDS, nats, 500),
}


class Reader(nn.Module):
    """One cell, and a linear map of its output in the last rows."""

    def __init__(self, cell: str, task: Task) -> None:
        super().__init__()
        self.cell = CELLS[cell](task.n_inputs, HIDDEN)
        self.cell.start("chrono", float(DELAY))
        self.out = nn.Linear(self.cell.width, task.n_outputs)

    def forward(self, inputs: Tensor, n_last: int) -> Tensor:
        """[T, n, I] to [n_last, n, O]."""
        up, _ = self.cell(inputs, inputs.new_zeros(inputs.shape[1], self.cell.size))
        said: Tensor = self.out(up[-n_last:])
        return said


def learn(cell: str, task: Task, seed: int) -> float:
    """Error over the test's histories after training."""
    fix_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    reader = Reader(cell, task)
    optimiser = torch.optim.Adam(reader.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, task.batches)
    for _ in range(task.batches):
        inputs, truth = task.draw(BATCH, draw)
        error = task.error(reader(inputs, len(truth)), truth)
        optimiser.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(reader.parameters(), CLIP_NORM)
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        inputs, truth = task.draw(TEST_HISTORIES, torch.Generator().manual_seed(TEST_SEED))
        return task.error(reader(inputs, len(truth)), truth).item()


Errors = dict[tuple[str, str], dict[int, float]]
"""Of each task and cell by seed."""


def beside_rnn(errors: Errors) -> dict[str, Ratio]:
    """Error over the plain RNN's of the same seed."""
    ratios = {}
    for (task, cell), by_seed in errors.items():
        plain = errors.get((task, "rnn"), {})
        shared = by_seed.keys() & plain.keys()
        ratios[f"{task}_{cell}_error_over_rnn"] = ratio([by_seed[seed] / plain[seed] for seed in sorted(shared)])
    return ratios


def table(errors: Errors) -> str:
    """Median error and its range over the seeds, and by how much the median ratio is below the plain RNN's."""
    rows = []
    for (task, cell), by_seed in errors.items():
        over = beside_rnn(errors)[f"{task}_{cell}_error_over_rnn"]["median"]
        found = ratio(list(by_seed.values()))
        below = "" if over is None else f"{1 - over:.1%}"
        rows.append([task, cell, len(by_seed), *(f"{found[part]:.4f}" for part in ("median", "min", "max")), below])
    return markdown(["task", "cell", "seeds", "error", "least", "most", "below RNN"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a cell can hold over 200 rows, beside the plain RNN.")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), help="default: both")
    parser.add_argument(
        "--cells", nargs="+", choices=list(CELLS), default=["rnn", "lstm", "gru"], help="rnn: the yardstick"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)), help="of weights and histories")
    parser.add_argument("--json", type=Path, help="where to write the figures, anew after each run")
    given = parser.parse_args()
    errors: Errors = {}
    rows = []
    for cell, task, seed in itertools.product(given.cells, given.tasks, given.seeds):
        began = time.process_time()
        error = learn(cell, TASKS[task], seed)
        taken_s = time.process_time() - began
        errors.setdefault((task, cell), {})[seed] = error
        rows.append({"task": task, "cell": cell, "seed": seed, "error": error, "cpu_s": round(taken_s, 1)})
        print(f"{task}, {cell}, seed {seed}: {error:.4f} after {taken_s:.0f} s of CPU", file=sys.stderr, flush=True)
        write(given.json, "memory_tasks", rows, beside_rnn(errors))
    print(table(errors))


if __name__ == "__main__":
    main()
