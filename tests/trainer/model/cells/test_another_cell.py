"""What a new cell costs, shown with a toy: one file, one line in CELLS, one folder of tests, one section of docs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
CONTRACT = "tests/trainer/model/cells/test_contract.py"
CELL = '''"""A cell that keeps half of its state and adds half of what is new: a memory of a few rows without a gate."""

import torch
from torch import Tensor, nn

from trainer.graph.builder import GraphBuilder, GraphProduct
from trainer.model.cells.cell import Cell, Equation, Product, Start, layer, uniform, xavier_and_orthogonal


def leaky_step(x: Tensor, h: Tensor, weight: Tensor, bias: Tensor, product: Product) -> Tensor:
    """One step h' = (h + tanh([x; h] W + b)) / 2 (Jaeger et al., Neural Networks 20, 2007, with a leak of 1/2)."""
    return (h + product(torch.cat((x, h), dim=1), weight, bias).tanh()) / 2


class Leaky(Cell):
    """State h [H]; the output is h."""

    def __init__(self, n_inputs: int, hidden: int) -> None:
        super().__init__()
        self.n_inputs, self.width = n_inputs, hidden
        self.blocks = (("h", hidden),)
        self.from_input = nn.Parameter(torch.empty(hidden, n_inputs))
        self.from_state = nn.Parameter(torch.empty(hidden, hidden))
        self.bias = nn.Parameter(torch.empty(hidden))
        uniform(self, hidden)

    def start(self, how: Start, memory_max: float) -> None:
        uniform(self, self.width)
        if how != "torch":
            xavier_and_orthogonal(self.from_input, self.from_state)
            nn.init.zeros_(self.bias)

    def weights(self) -> tuple[Tensor, Tensor]:
        return torch.cat((self.from_input, self.from_state), dim=1).T, self.bias

    def equation(self, product: Product) -> Equation:
        weight, bias = self.weights()

        def row(x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            h = leaky_step(x, h, weight, bias, product)
            return h, h

        return row

    def input_weight(self) -> Tensor:
        return self.from_input

    def export(
        self, builder: GraphBuilder, product: GraphProduct, x: str, state: list[str]
    ) -> tuple[str, list[str]]:
        (h,) = state
        new = builder.op("Tanh", product(builder, builder.op("Concat", x, h, axis=1), layer(*self.weights())))
        h = builder.op("Mul", builder.op("Add", h, new), builder.constant(0.5))
        return h, [h]
'''
EQUATION = '''"""Jaeger et al. (2007), with a leak of 1/2."""

import numpy as np

from tests.trainer.model.cells.plain_numpy import Array, Weights

INT8_WITHIN = 0.09


def equation(w: Weights, xs: Array, hidden: int) -> Array:
    h, outputs = np.zeros((xs.shape[1], hidden)), []
    for x in xs:
        h = 0.5 * h + 0.5 * np.tanh(x @ w["from_input"].T + h @ w["from_state"].T + w["bias"])
        outputs.append(h)
    return np.stack(outputs)
'''


def insert(path: Path, before: str, new: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, new + before, 1))


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_cell_is_one_file_one_line_one_folder_of_tests_and_one_section(tmp_path: Path) -> None:
    """In a copy of the project; the contract tests of the copy run over the toy, and a configuration may name it."""
    for part in ("agent", "trainer", "bench", "tests", "docs"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    before = content(tmp_path)
    (tmp_path / "trainer/model/cells/leaky.py").write_text(CELL)
    names = tmp_path / "trainer/model/cells/__init__.py"
    insert(names, "from trainer.model.cells.lstm ", "from trainer.model.cells.leaky import Leaky\n")
    insert(names, '    "attention": Attention,\n', '    "leaky": Leaky,\n')
    folder = tmp_path / "tests/trainer/model/cells/leaky"
    folder.mkdir()
    (folder / "equation.py").write_text(EQUATION)
    insert(tmp_path / "docs/cells.md", "- **`attention`**", "- **`leaky`** (Jaeger et al., 2007).\n")
    after = content(tmp_path)
    assert {name for name in after if after[name] != before.get(name)} == {
        "trainer/model/cells/leaky.py",
        "trainer/model/cells/__init__.py",
        "tests/trainer/model/cells/leaky/equation.py",
        "docs/cells.md",
    }

    options = ["-c", "/dev/null", f"--rootdir={tmp_path}", "--import-mode=importlib", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", "-k", "leaky or configuration", *options, CONTRACT]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) >= 15, "the contract is more than a few tests"
