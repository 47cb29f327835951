"""The family of cells: each of them can be trained, quantized and streamed in the place of any other."""

from collections.abc import Callable, Mapping

from trainer.cells.cell import Cell
from trainer.cells.lstm import Lstm

CELLS: Mapping[str, Callable[[int, int], Cell]] = {
    "lstm": Lstm,
}
"""Made of the number of inputs and the hidden width."""
