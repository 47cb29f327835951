"""The family of cells: each of them can be trained, quantized and streamed in the place of any other."""

from collections.abc import Callable, Mapping

from trainer.model.cells.attention import Attention
from trainer.model.cells.cell import Cell
from trainer.model.cells.gru import Gru
from trainer.model.cells.layer_norm import LayerNorm
from trainer.model.cells.lstm import Lstm
from trainer.model.cells.peephole import Peephole
from trainer.model.cells.projection import Projection
from trainer.model.cells.rnn import Rnn

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
