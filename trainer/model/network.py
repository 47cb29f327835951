"""The trainable network: layers of cells over whole histories, heads on the last one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from trainer.config import Config
from trainer.model.cells import cell_named
from trainer.model.cells.cell import Cell, Product, dense
from trainer.model.features import n_inputs
from trainer.model.heads import Heads, Outputs


class Learner(nn.Module):
    """What the loop trains: inputs float32 [T, n, I] to `Outputs` [T, n], by heads on recurrent layers."""

    heads: Heads

    def forward(
        self,
        inputs: Tensor,
        states: Sequence[Tensor] = (),
        product: Product = dense,
        real: Tensor | None = None,
    ) -> tuple[Outputs, list[Tensor]]:
        """Outputs of rows that follow `states`, [n, S] a layer (none = zeros), and the states after the last row.

        `real` bool [T, n] is False where a row is padding (None = none is); outputs of padding mean nothing.
        """
        raise NotImplementedError

    def parameter_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """All weights but those of the hazards, and those of the hazards: the loop treats them apart."""
        hazards = dict(self.heads.hazard.named_parameters(prefix="heads.hazard"))
        return [weight for name, weight in self.named_parameters() if name not in hazards], [*hazards.values()]

    @property
    def n_weights(self) -> int:
        return sum(weight.numel() for weight in self.parameters())


class Network(Learner):
    """The streaming network. It looks back only and padding comes after a life, so it needs no `real`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        model, train = config.model, config.train
        make, widths = cell_named(model.cell), [n_inputs(config)]
        layers = []
        for _ in range(model.layers):
            layers.append(make(widths[-1], model.hidden))
            layers[-1].start(train.init, train.chrono_max)
            widths.append(layers[-1].width)
        self.cells = nn.ModuleList(layers)
        self.dropout, self.reach = train.dropout, model.clip_sigma
        self.heads = Heads(widths[-1], len(config.risk.horizons), train.multi_task)

    @property
    def layers(self) -> Sequence[Cell]:
        return [cell for cell in self.cells if isinstance(cell, Cell)]

    def forward(
        self,
        inputs: Tensor,
        states: Sequence[Tensor] = (),
        product: Product = dense,
        real: Tensor | None = None,
    ) -> tuple[Outputs, list[Tensor]]:
        hidden, after = inputs, []
        for index, cell in enumerate(self.layers):
            if index:
                hidden = functional.dropout(hidden, self.dropout, self.training)
            state = states[index] if states else inputs.new_zeros(inputs.shape[1], cell.size)
            if index == 0 and product is not dense:
                hidden, state = in_units_of(self.reach, cell, hidden, state, product)
            else:
                hidden, state = cell(hidden, state, product)
            after.append(state)
        outputs = self.heads(hidden)
        assert isinstance(outputs, Outputs)
        return outputs, after


def in_units_of(reach: float, cell: Cell, inputs: Tensor, state: Tensor, product: Product) -> tuple[Tensor, Tensor]:
    """The same with inputs within +-1 instead of +-`reach`, as the streaming graph has them, and larger weights."""
    read = cell.input_weight()
    weights = {name: weight * reach if weight is read else weight for name, weight in cell.named_parameters()}
    output_and_state: tuple[Tensor, Tensor] = functional_call(cell, weights, (inputs / reach, state, product))
    return output_and_state


def fix_seed(seed: int, device: str = "cpu") -> None:
    """One thread and deterministic kernels: the same seed gives the same weights on one machine's CPU.

    On CUDA the kernels stay free, since cuBLAS has no deterministic ones that torch accepts.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(device == "cpu")
