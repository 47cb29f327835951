"""A cell started by a seed of its own, and the bias of its gates."""

import torch
from torch import Tensor

from trainer.model.cells.cell import Cell, Start


def started(cell: Cell, how: Start, memory_max: float = 100.0) -> dict[str, Tensor]:
    """Its weights by name."""
    torch.manual_seed(3)
    cell.start(how, memory_max)
    return {name: value.detach() for name, value in cell.named_parameters()}


def bias_of(weights: dict[str, Tensor], *names: str) -> Tensor:
    """The bias of the gates; torch's fused layers have it in two parts."""
    return torch.stack([weights[name] for name in names or ("fused.bias_ih_l0", "fused.bias_hh_l0")]).sum(dim=0)
