"""The cells by name: each can be trained, quantized and streamed in the place of any other.

docs/cells.md says how to add one; `tests/trainer/model/cells/test_contract.py` loops over the dict.
"""

from collections.abc import Callable

from agent.errors import ConfigurationRefused
from agent.near import nearest
from trainer.model.cells.attention import Attention
from trainer.model.cells.cell import Cell
from trainer.model.cells.gru import Gru
from trainer.model.cells.layer_norm import LayerNorm
from trainer.model.cells.lstm import Lstm
from trainer.model.cells.peephole import Peephole
from trainer.model.cells.projection import Projection
from trainer.model.cells.rnn import Rnn

MakeCell = Callable[[int, int], Cell]
"""Number of inputs and hidden width to a cell."""

CELLS: dict[str, MakeCell] = {
    "rnn": Rnn,
    "lstm": Lstm,
    "gru": Gru,
    "peephole": Peephole,
    "projection": Projection,
    "layer_norm": LayerNorm,
    "attention": Attention,
}


def cell_named(name: str) -> MakeCell:
    """The cell that `model.cell` names. Raises ConfigurationRefused where there is none."""
    if name not in CELLS:
        near = nearest(name, CELLS)
        next_step = (f"Did you mean {near}? " if near else "") + f"There are {', '.join(CELLS)}."
        raise ConfigurationRefused("model.cell", f"there is no cell {name!r}", next_step=next_step)
    return CELLS[name]
