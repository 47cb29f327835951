"""The trainable network: stacked LSTM over whole histories, heads on the last layer."""

import torch
from torch import Tensor, nn

from trainer.cells.lstm import initialise
from trainer.config import Config
from trainer.heads import Answers, Heads


class Network(nn.Module):
    """Inputs float32 [T, n, I] from zero state to `Answers` [T, n]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        model, train = config.model, config.train
        n_inputs = 3 * len(config.data.channels) + 1
        dropout = train.dropout if model.layers > 1 else 0.0
        self.lstm = nn.LSTM(n_inputs, model.hidden, model.layers, dropout=dropout)
        self.heads = Heads(model.hidden, len(config.risk.horizons))
        initialise(self.lstm, train.init, train.chrono_max)

    def forward(self, inputs: Tensor) -> Answers:
        hidden, _ = self.lstm(inputs)
        answers = self.heads(hidden)
        assert isinstance(answers, Answers)
        return answers

    def taught_apart(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The weights that answer for the remaining life, and those that read hazards off the states."""
        life = [*self.lstm.parameters(), *self.heads.estimate.parameters(), *self.heads.spread.parameters()]
        return life, [*self.heads.hazard.parameters()]


def fix_seed(seed: int) -> None:
    """One thread and deterministic kernels: the same seed gives the same weights on one machine."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
