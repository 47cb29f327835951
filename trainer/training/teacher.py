"""A teacher: a large network that hears lives both ways in time and says of each row what a small one should answer.

Looking ahead it knows a row's wear better than a network that may not (Hinton, Vinyals and Dean, arXiv 1503.02531,
2015, for teachers; Lopez-Paz et al., ICLR 2016, for teachers that see more). The trap: a recorded life ends in the
failure, so whoever hears the end need only count rows back to it. Then a teacher says what the truth says, and nothing
is learnt from it. So it is trained on lives that end at a random row, and it teaches from such ones: a life is cut at
`CUTS` rows, and a row is answered from what was heard until the next cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.config import Config, Distill
from trainer.model.cells.cell import Multiply, plainly
from trainer.model.cells.lstm import Lstm
from trainer.model.features import Life, n_inputs
from trainer.model.heads import Answers, Heads
from trainer.model.network import Learner, Network
from trainer.training.augment import ROWS_MIN, until
from trainer.training.loop import Beside, Teacher

CUTS = 4
"""Cuts of a life that is taught from, evenly apart from a random first one; the rest is heard to its end."""


class BothWays(Learner):
    """Layers of two LSTM cells, one forward and one backward in time, each hearing both of the layer below (Schuster
    and Paliwal, IEEE Trans. Signal Process. 45, 1997). A life is turned within its own rows: padding is never heard.
    """

    def __init__(self, config: Config, settings: Distill) -> None:
        super().__init__()
        hidden, width = settings.teacher_hidden, n_inputs(config)
        self.ahead, self.back = nn.ModuleList(), nn.ModuleList()
        for _ in range(settings.teacher_layers):
            for direction in (self.ahead, self.back):
                cell = Lstm(width, hidden)
                cell.start(config.train.init, config.train.chrono_max)
                direction.append(cell)
            width = 2 * hidden
        self.hidden, self.dropout = hidden, config.train.dropout
        self.heads = Heads(width, len(config.risk.horizons), config.train.multi_task)

    def forward(
        self,
        inputs: Tensor,
        states: Sequence[Tensor] = (),
        multiply: Multiply = plainly,
        real: Tensor | None = None,
    ) -> tuple[Answers, list[Tensor]]:
        """It hears whole lives, so there are no states to go on from."""
        if states:
            raise ValueError("a network that hears lives both ways in time cannot go on from states")
        real = torch.ones_like(inputs[..., 0], dtype=torch.bool) if real is None else real
        start, rows = inputs.new_zeros(inputs.shape[1], 2 * self.hidden), inputs
        for index, (ahead, back) in enumerate(zip(self.ahead, self.back, strict=True)):
            if index:
                rows = functional.dropout(rows, self.dropout, self.training)
            forward, backward = ahead(rows, start, multiply)[0], back(turned(rows, real), start, multiply)[0]
            rows = torch.cat((forward, turned(backward, real)), dim=2)  # [T, n, 2H]
        answers: Answers = self.heads(rows)
        return answers, []


class Distilled(msgspec.Struct, frozen=True):
    """What report.json says of a teacher; its RMSE is over rows of the calibration devices, answered as it teaches."""

    teacher_sha256: str
    teacher_weights: int
    student_weights: int
    teacher_watched_rmse: float


@dataclass(frozen=True, slots=True)
class Lesson:
    """A trained teacher and how much it counts."""

    network: BothWays
    sha256: str
    watched_rmse: float

    def beside(self, config: Config) -> Beside:
        assert config.distill is not None
        return Beside(teaching(self.network.to(config.train.device)), config.distill.share)

    def told(self, config: Config) -> Distilled:
        return Distilled(self.sha256, self.network.n_weights, Network(config).n_weights, self.watched_rmse)


def turned(rows: Tensor, real: Tensor) -> Tensor:
    """[T, n, W] with each life back to front; its padding stays where it is."""
    row = torch.arange(len(rows), device=rows.device)[:, None]
    return rows.gather(0, torch.where(real, real.sum(dim=0) - 1 - row, row)[..., None].expand_as(rows))


def teaching(network: BothWays) -> Teacher:
    """What a trained teacher says of the remaining life / cap; torch's random numbers place the cuts."""

    @torch.no_grad()
    def answer(inputs: Tensor, real: Tensor) -> Tensor:
        row = torch.arange(len(inputs), device=inputs.device)[:, None]
        told = torch.zeros_like(real, dtype=inputs.dtype)
        begin = torch.zeros_like(real.sum(dim=0))
        for end in cuts_of(real.sum(dim=0)):
            heard = row[: int(end.max())] < end
            answers, _ = network(inputs[: len(heard)], real=heard)
            told[: len(heard)] = torch.where(heard & (row[: len(heard)] >= begin), answers.estimate, told[: len(heard)])
            begin = end
        return told.clamp(0, 1)

    return answer


def cuts_of(n_rows: Tensor) -> list[Tensor]:
    """int64 [n] each, rising: the rows until which lives of `n_rows` int64 [n] are heard, to their ends at the last."""
    first = torch.rand(len(n_rows)).to(n_rows.device)
    least = n_rows.clamp(max=ROWS_MIN)
    cuts = [torch.maximum((n_rows * (first + cut) / CUTS).long(), least) for cut in range(CUTS)]
    return [*cuts, n_rows]


def ended(lives: Sequence[Life]) -> list[Life]:
    """The lives, each heard until another share of its rows, so that a teacher may be watched on them."""
    shares = np.linspace(0, 1, len(lives) + 2)[1:-1]
    return [until(life, max(ROWS_MIN, round(len(life.z) * share))) for life, share in zip(lives, shares, strict=True)]


def teachers(config: Config, settings: Distill) -> Config:
    """The config that a teacher is trained by: lives that end anywhere, never in pieces, nothing that int8 needs."""
    train = {"epochs": settings.teacher_epochs, "truncate": 0, "rounded_epochs": 0, "patience": 0}
    return config.model_copy(
        update={
            "train": config.train.model_copy(update=train),
            "augment": config.augment.model_copy(update={"cut_share": 1.0}),
        }
    )
