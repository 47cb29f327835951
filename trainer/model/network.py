"""The trainable network: layers of cells over whole histories, heads on the last one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from trainer.config import Config
from trainer.model.cells import CELLS
from trainer.model.cells.cell import Cell, Multiply, plainly
from trainer.model.features import n_inputs
from trainer.model.heads import Answers, Heads


class Learner(nn.Module):
    """What the loop trains: inputs float32 [T, n, I] to `Answers` [T, n], by heads on some recurrent layers."""

    heads: Heads

    def forward(
        self,
        inputs: Tensor,
        states: Sequence[Tensor] = (),
        multiply: Multiply = plainly,
        real: Tensor | None = None,
    ) -> tuple[Answers, list[Tensor]]:
        """Answers to rows that follow `states`, [n, S] a layer (none = zeros), and the states after the last row.

        `real` bool [T, n] says which rows are no padding (None = all); answers to padding mean nothing.
        """
        raise NotImplementedError

    def taught_apart(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The weights that answer for the remaining life, and those that read hazards off the states."""
        hazards = dict(self.heads.hazard.named_parameters(prefix="heads.hazard"))
        return [one for name, one in self.named_parameters() if name not in hazards], [*hazards.values()]

    @property
    def n_weights(self) -> int:
        return sum(one.numel() for one in self.parameters())


class Network(Learner):
    """The streaming network. It looks back only, and padding comes after a life: it need not know where."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        model, train = config.model, config.train
        make, widths = CELLS[model.cell], [n_inputs(config)]
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
        multiply: Multiply = plainly,
        real: Tensor | None = None,
    ) -> tuple[Answers, list[Tensor]]:
        hidden, after = inputs, []
        for index, cell in enumerate(self.layers):
            if index:
                hidden = functional.dropout(hidden, self.dropout, self.training)
            state = states[index] if states else inputs.new_zeros(inputs.shape[1], cell.size)
            if index == 0 and multiply is not plainly:
                hidden, state = in_units_of(self.reach, cell, hidden, state, multiply)
            else:
                hidden, state = cell(hidden, state, multiply)
            after.append(state)
        answers = self.heads(hidden)
        assert isinstance(answers, Answers)
        return answers, after


def in_units_of(reach: float, cell: Cell, inputs: Tensor, state: Tensor, multiply: Multiply) -> tuple[Tensor, Tensor]:
    """The same with inputs within +-1 instead of +-`reach`, as the streaming graph has them, and larger weights."""
    read = cell.input_weight()
    weights = {name: weight * reach if weight is read else weight for name, weight in cell.named_parameters()}
    told: tuple[Tensor, Tensor] = functional_call(cell, weights, (inputs / reach, state, multiply))
    return told


def fix_seed(seed: int, device: str = "cpu") -> None:
    """One thread and deterministic kernels: the same seed gives the same weights on one machine's CPU. cuBLAS has none
    that torch would accept.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(device == "cpu")
