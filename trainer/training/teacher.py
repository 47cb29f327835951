"""A teacher: a large network that reads lives in both directions of time; a small network learns its estimates.

A teacher may look ahead, so it knows the wear of a row better than a network that looks back only (Hinton, Vinyals and
Dean, arXiv 1503.02531, 2015, for teachers; Lopez-Paz et al., ICLR 2016, for teachers that see more). The trap: a
recorded life ends in the failure, so a network that sees the last row can count rows back from it. Such a teacher
repeats the truth, and nothing is gained. So a teacher is trained on lives that end at a random row, and it teaches from
such lives: a life is cut at `CUTS` rows, and the estimate of a row comes from the rows until the next cut.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.config import Config, Distill
from trainer.model.cells.cell import Product, dense
from trainer.model.cells.lstm import Lstm
from trainer.model.features import Features, n_inputs
from trainer.model.heads import Heads, Outputs
from trainer.model.network import Learner, Network
from trainer.training.augment import ROWS_MIN, until_row
from trainer.training.loop import Teacher

CUTS = 4
"""Cuts of a life, evenly apart from a random first one; the rows after the last cut are read to the end of the life."""


class BidirectionalLstm(Learner):
    """Layers of two LSTM cells, one forward and one backward in time, each reading both of the layer below (Schuster
    and Paliwal, IEEE Trans. Signal Process. 45, 1997). A life is reversed within its own rows: padding is never read.
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
        product: Product = dense,
        real: Tensor | None = None,
    ) -> tuple[Outputs, list[Tensor]]:
        """Reads whole lives, so it cannot go on from states: raises ValueError where some are given."""
        if states:
            raise ValueError("a network that reads lives in both directions of time cannot go on from states")
        real = torch.ones_like(inputs[..., 0], dtype=torch.bool) if real is None else real
        start, rows = inputs.new_zeros(inputs.shape[1], 2 * self.hidden), inputs
        for index, (ahead, back) in enumerate(zip(self.ahead, self.back, strict=True)):
            if index:
                rows = functional.dropout(rows, self.dropout, self.training)
            forward = ahead(rows, start, product)[0]
            backward = back(time_reversed(rows, real), start, product)[0]
            rows = torch.cat((forward, time_reversed(backward, real)), dim=2)  # [T, n, 2H]
        outputs: Outputs = self.heads(rows)
        return outputs, []


class Distilled(msgspec.Struct, frozen=True):
    """What report.json says of a teacher; its RMSE is over rows of the calibration devices, estimated as it teaches."""

    teacher_sha256: str
    teacher_weights: int
    student_weights: int
    teacher_watched_rmse: float


@dataclass(frozen=True, slots=True)
class TrainedTeacher:
    """A teacher's network, the SHA-256 of its weights, and its error on the validation lives in seconds."""

    network: BidirectionalLstm
    sha256: str
    validation_rmse: float

    def for_loop(self, config: Config) -> Teacher:
        """As the training loop takes it, on the device of `config.train`, with the share of `config.distill`."""
        assert config.distill is not None
        return Teacher(estimates_of(self.network.to(config.train.device)), config.distill.share)

    def report(self, config: Config) -> Distilled:
        return Distilled(self.sha256, self.network.n_weights, Network(config).n_weights, self.validation_rmse)


def time_reversed(rows: Tensor, real: Tensor) -> Tensor:
    """[T, n, W] with each life back to front; its padding stays where it is."""
    row = torch.arange(len(rows), device=rows.device)[:, None]
    return rows.gather(0, torch.where(real, real.sum(dim=0) - 1 - row, row)[..., None].expand_as(rows))


def estimates_of(network: BidirectionalLstm) -> Callable[[Tensor, Tensor], Tensor]:
    """`Teacher.estimate` of a trained network; torch's random numbers place the cuts."""

    @torch.no_grad()
    def estimate(inputs: Tensor, real: Tensor) -> Tensor:
        row = torch.arange(len(inputs), device=inputs.device)[:, None]
        estimates = torch.zeros_like(real, dtype=inputs.dtype)
        begin = torch.zeros_like(real.sum(dim=0))
        for end in cuts_of(real.sum(dim=0)):
            rows = row[: int(end.max())]
            is_read = rows < end
            outputs, _ = network(inputs[: len(rows)], real=is_read)
            is_new = is_read & (rows >= begin)  # estimated from the rows until this cut
            estimates[: len(rows)] = torch.where(is_new, outputs.estimate, estimates[: len(rows)])
            begin = end
        return estimates.clamp(0, 1)

    return estimate


def cuts_of(n_rows: Tensor) -> list[Tensor]:
    """int64 [n] each, rising: the rows until which lives of `n_rows` int64 [n] are read, whole at the last."""
    first = torch.rand(len(n_rows)).to(n_rows.device)
    least = n_rows.clamp(max=ROWS_MIN)
    cuts = [torch.maximum((n_rows * (first + cut) / CUTS).long(), least) for cut in range(CUTS)]
    return [*cuts, n_rows]


def cut_evenly(lives: Sequence[Features]) -> list[Features]:
    """Each life until another share of its rows: validation lives for a teacher, which must not see their ends."""
    shares = np.linspace(0, 1, len(lives) + 2)[1:-1]
    return [
        until_row(life, max(ROWS_MIN, round(len(life.z) * share))) for life, share in zip(lives, shares, strict=True)
    ]


def teacher_config(config: Config, settings: Distill) -> Config:
    """The config that a teacher is trained by: lives that end anywhere, never in chunks, nothing that int8 needs."""
    train = {"epochs": settings.teacher_epochs, "truncate": 0, "rounded_epochs": 0, "patience": 0}
    return config.model_copy(
        update={
            "train": config.train.model_copy(update=train),
            "augment": config.augment.model_copy(update={"cut_share": 1.0}),
        }
    )
