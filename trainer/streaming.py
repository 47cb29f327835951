"""The trained model as it will run: constants of the one-row graph, and the graph's equations in torch.

`of` takes a trained network apart into a `Streaming`; calibration returns a changed one; `trainer/export.py` writes it
as ONNX. `step` here is the reference that the exported graph is tested against; nothing at run time uses it.
Channels are in units of the clip (z / clip, so within +-1), which the first layer's weights make good.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agent.bundle.manifest import StateBlock
from agent.words import Float32
from trainer.cells.lstm import lstm_step, weights_of
from trainer.config import Config
from trainer.features import Scaling
from trainer.heads import risk_of
from trainer.network import Network

WEIGHT_MIN = 1e-6
"""Divides an empty running mean, which is 0; a started one has a weight of at least its rate."""


@dataclass(frozen=True, slots=True)
class Linear:
    """weight float32 [H, n], bias float32 [n]."""

    weight: Float32
    bias: Float32


@dataclass(frozen=True, slots=True)
class Streaming:
    """Everything the streaming graph computes with.

    scale, offset  float32 [F]; y = clip(x * scale + offset, -1, 1)
    mean_rates     of the running means; the last one also fills missing channels
    age_scale      reading of one row's worth of time, so that age reaches 1 where it is clipped
    cadence_s      seconds between rows
    layers         weight [n + H, 4H], bias [4H] of each LSTM layer, gates i, f, g, o
    estimate       [H, 1] remaining life / cap; spread [H, 2] logit of the distances to low and high / cap
    stretch        float32 [2], conformal factor of the two distances
    hazard         [H, K] calibrated logits
    cap_s          seconds
    """

    scale: Float32
    offset: Float32
    mean_rates: tuple[float, float]
    age_scale: float
    cadence_s: float
    layers: tuple[Linear, ...]
    estimate: Linear
    spread: Linear
    stretch: Float32
    hazard: Linear
    cap_s: float

    @property
    def n_channels(self) -> int:
        return len(self.scale)

    @property
    def width(self) -> int:
        return len(self.estimate.weight)

    @property
    def blocks(self) -> tuple[StateBlock, ...]:
        """Layout of the state: h and c a layer, the sums and weights of the running means, the time seen."""
        cells = [StateBlock(f"{part}{layer}", self.width) for layer in range(len(self.layers)) for part in "hc"]
        sums = [StateBlock(f"sum{index}", self.n_channels) for index in range(len(self.mean_rates))]
        weights = [StateBlock(f"weight{index}", 1) for index in range(len(self.mean_rates))]
        return (*cells, *sums, *weights, StateBlock("age", 1))


def of(network: Network, scaling: Scaling, config: Config) -> Streaming:
    """Take a trained network apart; the clip moves from the inputs into the first layer's weights."""
    clip, model = np.float32(scaling.clip), config.model
    layers = []
    for layer in range(model.layers):
        weight, bias = (part.numpy().copy() for part in weights_of(network.lstm, layer))
        if layer == 0:
            weight[: -model.hidden] *= clip
        layers.append(Linear(weight, bias))
    estimate, spread, hazard = (
        Linear(head.weight.detach().numpy().T.copy(), head.bias.detach().numpy().copy())
        for head in (network.heads.estimate, network.heads.spread, network.heads.hazard)
    )
    return Streaming(
        scale=np.float32(1) / (scaling.std * clip),
        offset=-scaling.mean / (scaling.std * clip),
        mean_rates=model.mean_rates,
        age_scale=1 / (model.age_unit * scaling.clip),
        cadence_s=model.cadence,
        layers=tuple(layers),
        estimate=estimate,
        spread=spread,
        stretch=np.ones(2, np.float32),
        hazard=hazard,
        cap_s=config.rul.cap,
    )


def step(model: Streaming, x: Tensor, dt: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One row of each of b devices.

    x float32 [b, F] raw, NaN = missing; dt float32 [b] seconds since the previous row, 0 for the first;
    state float32 [b, S] in the order of `blocks`, zeros for a new device.
    Returns state_out [b, S], risk [b, K], rul [b, 3] (low, estimate, high) in seconds. Row i depends on row i only.
    """
    *cells, sum0, sum1, weight0, weight1, age = torch.split(state, [block.size for block in model.blocks], dim=1)
    missing = x.isnan()
    y = torch.where(missing, 0, x) * tensor(model.scale) + tensor(model.offset)
    y = torch.where(missing, sum1 / weight1.clamp(min=WEIGHT_MIN), y.clamp(-1, 1))  # [b, F]
    (rate0, rate1) = model.mean_rates
    sum0, weight0 = (1 - rate0) * sum0 + rate0 * y, (1 - rate0) * weight0 + rate0
    sum1, weight1 = (1 - rate1) * sum1 + rate1 * y, (1 - rate1) * weight1 + rate1
    age = torch.where(age == 0, 1, age + dt[:, None] / model.cadence_s)
    h = torch.cat((y, sum0 / weight0, sum1 / weight1, (age * model.age_scale).clamp(max=1)), dim=1)  # [b, 3F + 1]
    after = []
    for index, layer in enumerate(model.layers):
        cell = torch.cat(cells[2 * index : 2 * index + 2], dim=1)
        cell = lstm_step(h, cell, tensor(layer.weight), tensor(layer.bias))
        h = cell[:, : model.width]  # [b, H]
        after.append(cell)
    centre = linear(h, model.estimate)  # [b, 1]
    low, high = (linear(h, model.spread).sigmoid() * tensor(model.stretch)).chunk(2, dim=1)
    rul = torch.cat((centre - low, centre, centre + high), dim=1).clamp(0, 1) * model.cap_s
    return torch.cat((*after, sum0, sum1, weight0, weight1, age), dim=1), risk_of(linear(h, model.hazard)), rul


def linear(h: Tensor, head: Linear) -> Tensor:
    return h @ tensor(head.weight) + tensor(head.bias)


def tensor(values: Float32) -> Tensor:
    return torch.from_numpy(values)
