"""The family of cells: each of them can be trained, quantized and streamed in the place of any other."""

from collections.abc import Callable, Mapping

from trainer.cells.attention import Attention
from trainer.cells.cell import Cell
from trainer.cells.gru import Gru
from trainer.cells.layer_norm import LayerNorm
from trainer.cells.lstm import Lstm
from trainer.cells.peephole import Peephole
from trainer.cells.projection import Projection
from trainer.cells.rnn import Rnn

CELLS: Mapping[str, Callable[[int, int], Cell]] = {
    "rnn": Rnn,
    "lstm": Lstm,
    "gru": Gru,
    "peephole": Peephole,
    "projection": Projection,
    "layer_norm": LayerNorm,
    "attention": Attention,
}
"""Made of the number of inputs and the hidden width."""
