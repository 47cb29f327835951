"""The LSTM that expects the next rows of a device from those so far, in units of the device's own normal.

It learns from stretches of the fit devices' normal rows, with a state carried in from the rows before each (Williams
and Peng, Neural Computation 2, 1990), by a Gaussian likelihood whose rows are weighted by the square root of the
variance, so that the mean is learnt where the noise is large too (Seitzer et al., ICLR 2022). The spread only helps the
learning: the charts have their own, of each device.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from agent.errors import DataRefused, ForewarnError
from agent.words import Bool, Float32
from trainer.anomaly.model import Forecaster
from trainer.anomaly.moments import Z_MAX
from trainer.data.history import Float64
from trainer.graph.builder import Linear
from trainer.model.cells.cell import layer
from trainer.model.cells.lstm import Lstm
from trainer.model.network import fix_seed

Kind = TypeVar("Kind", bound=np.generic)

CARRY_ROWS = 32
"""Rows before a stretch over which its state is carried in, where the device has them."""
STRETCH_ROWS = 64
WEIGHT_DECAY = 1e-3
CLIP_NORM = 1.0
BETA = 0.5
LOG_VARIANCE = (-8.0, 4.0)
MEMORY_MAX = 100.0


@dataclass(frozen=True, slots=True)
class Rows:
    """One history: z float32 [T, F], and bool [T, F] which of them may be learnt from, as values to expect."""

    z: Float32
    usable: Bool


class Network(nn.Module):
    """z / 6 to mean and logarithm of the variance of each channel's z, `ahead` rows on."""

    def __init__(self, n_channels: int, hidden: int, aheads: Sequence[int]) -> None:
        super().__init__()
        self.cell = Lstm(n_channels, hidden)
        self.readouts = nn.ModuleDict({str(ahead): nn.Linear(n_channels + hidden, n_channels) for ahead in aheads})
        self.spreads = nn.ModuleDict({str(ahead): nn.Linear(n_channels + hidden, n_channels) for ahead in aheads})

    def forward(self, z: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """z [T, b, F] and state [b, 2H] to what the readouts take, [T, b, F + H], and the state after the last row."""
        inputs = z / Z_MAX
        h, state = self.cell(inputs, state)
        return torch.cat((inputs, h), dim=2), state


def train_forecaster(
    histories: Sequence[Rows], aheads: Sequence[int], *, hidden: int, steps: int, batch: int, rate: float, seed: int
) -> tuple[Forecaster, list[float]]:
    """Learn to expect rows so many `aheads`; returns the frozen forecaster and the loss of each step.

    Raises DataRefused where no row can be learnt from, ForewarnError where the weights become infinite.
    """
    check(histories, aheads)
    fix_seed(seed)
    rng = np.random.default_rng(seed)
    network = Network(histories[0].z.shape[1], hidden, aheads)
    network.cell.start("forget_one", MEMORY_MAX)
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    share = np.array([one.usable.sum() for one in histories], np.float64)
    share /= share.sum()
    losses: list[float] = []
    for _ in tqdm(range(steps), "forecast", disable=not sys.stderr.isatty()):
        stretches = [stretch(histories[index], aheads, rng) for index in rng.choice(len(histories), batch, p=share)]
        loss = likelihood(network, stretches)
        if not torch.isfinite(loss):
            what = f"the forecaster's loss is {loss.item()} after {len(losses)} steps"
            raise ForewarnError("anomaly", what, next_step="Lower anomaly.learning_rate.")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return frozen(network, aheads), losses


def untrained(n_channels: int, hidden: int, aheads: Sequence[int]) -> Forecaster:
    """A forecaster that has learnt nothing, of the sizes that the trained one will have."""
    return frozen(Network(n_channels, hidden, aheads), aheads)


def check(histories: Sequence[Rows], aheads: Sequence[int]) -> None:
    """Raises DataRefused where no row can be learnt from."""
    if not any(one.usable[min(aheads) :].any() for one in histories):
        what = f"no fit device has a normal row {min(aheads)} rows after another once it is learnt"
        raise DataRefused("anomaly.learning", what, next_step="Record for longer, or shorten it.")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of one history: z float32 [W, F]; by ahead what came later, [W, F], and whether that counts, bool [W, F]."""

    z: Float32
    later: Mapping[int, Float32]
    counts: Mapping[int, Bool]


def stretch(rows: Rows, aheads: Sequence[int], rng: np.random.Generator) -> Stretch:
    """A stretch that starts at random, zeros where the history is shorter."""
    width, n_rows = CARRY_ROWS + STRETCH_ROWS, len(rows.z)
    start = int(rng.integers(0, max(n_rows - width, 0) + 1))
    first = CARRY_ROWS if start else 0

    later = {ahead: padded(rows.z, start + ahead, width) for ahead in aheads}
    counts = {ahead: padded(rows.usable, start + ahead, width) for ahead in aheads}
    for one in counts.values():
        one[:first] = False
    return Stretch(padded(rows.z, start, width), later, counts)


def padded(of: npt.NDArray[Kind], start: int, width: int) -> npt.NDArray[Kind]:
    """`width` rows from `start` on, zeros after the last one."""
    found = of[start : start + width]
    return np.concatenate((found, np.zeros((width - len(found), of.shape[1]), of.dtype)))


def likelihood(network: Network, stretches: Sequence[Stretch]) -> Tensor:
    """Mean weighted negative log likelihood of what came later; scalar."""
    z = torch.from_numpy(np.stack([one.z for one in stretches], axis=1))
    both, _ = network(z, torch.zeros(z.shape[1], network.cell.size))
    total, n = torch.zeros(()), 0.0
    for ahead in map(int, network.readouts):
        later, counts = (
            torch.from_numpy(np.stack([getattr(one, name)[ahead] for one in stretches], axis=1))
            for name in ("later", "counts")
        )
        log_variance = network.spreads[str(ahead)](both).clamp(*LOG_VARIANCE)
        off = later - network.readouts[str(ahead)](both)
        weighted = (log_variance + off.square() * (-log_variance).exp()) * (BETA * log_variance).detach().exp()
        total = total + (weighted * counts).sum()
        n += float(counts.sum())
    return total / max(n, 1.0)


def frozen(network: Network, aheads: Sequence[int]) -> Forecaster:
    """The same with no gradients; int8 comes with the export."""
    return Forecaster(network.cell.scaled(1.0), {ahead: readout(network, ahead) for ahead in aheads})


def readout(network: Network, ahead: int) -> Linear:
    weights = network.readouts[str(ahead)].state_dict()
    return layer(weights["weight"].T, weights["bias"])


@torch.no_grad()
def forecasts_of(forecaster: Forecaster, z: Float32 | Float64, history_lost: Bool) -> dict[int, Float64]:
    """By ahead, float64 [T, F]: what was expected of each row's z, at that row; NaN where nothing was.

    z [T, F]; history_lost bool [T]: rows before which history was lost, so that the state begins anew.
    """
    expected = {ahead: np.full(z.shape, np.nan) for ahead in forecaster.readouts}
    starts = np.unique(np.concatenate(([0], np.flatnonzero(history_lost), [len(z)])))
    inputs = torch.from_numpy(np.asarray(z, np.float32)) / Z_MAX
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        rows = inputs[start:end, None]
        h, _ = forecaster.cell(rows, torch.zeros(1, forecaster.cell.size))
        both = torch.cat((rows, h), dim=2)[:, 0]
        for ahead, linear in forecaster.readouts.items():
            if end - start > ahead:
                expected[ahead][start + ahead : end] = read(both[:-ahead], linear).numpy()
    return expected


def read(both: Tensor, linear: Linear) -> Tensor:
    return both @ torch.from_numpy(linear.weight) + torch.from_numpy(linear.bias)
