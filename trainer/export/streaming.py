"""The trained model as it will run: constants of the one-row graph, and the graph's equations in torch.

`streaming_of` makes a `Streaming` of a trained network; calibration returns a changed one; `onnx_graph.py` writes it.
`step` here is the reference that the exported graph is tested against; nothing at run time uses it.
Channels are in units of the clip (z / clip, so within +-1), which the first layer's weights make good.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agent.bundle.manifest import StateBlock
from agent.words import Float32
from trainer.config import Config
from trainer.graph.builder import Linear
from trainer.model.cells.cell import Cell
from trainer.model.features import Scaling
from trainer.model.heads import risk_of
from trainer.model.network import Network
from trainer.model.regime_nodes import X_MAX
from trainer.model.regimes import Groups

WEIGHT_MIN = 1e-6
"""Divides an empty running mean, which is 0; a started one has a weight of at least its rate."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """Everything the streaming graph computes with.

    scale, offset  float32 [R, F], a regime a row; y = clip(x * scale + offset, -1, 1)
    regimes, types None where there are none; `x` has their settings after the F channels, in this order
    mean_rates     of the running means; the last one fills missing channels
    reads_means    the cells read them; where they do not, one is left, which fills
    age_scale      reading of one row's worth of time, so that age reaches 1 where it is clipped
    cadence_s      seconds between rows
    flag           reading of a flag that is set: the device was new, the row is of this regime or type
    all_new        every device counts as new, since training showed no other
    cells          frozen layers, the first of them reading units of the clip
    estimate       [W, 1] remaining life / cap; spread [W, 2] logit of the distances to low and high / cap
    stretch        float32 [2], conformal factor of the two distances
    hazard         [W, K] calibrated logits
    cap_s          seconds
    """

    scale: Float32
    offset: Float32
    regimes: Groups | None
    types: Groups | None
    mean_rates: tuple[float, ...]
    reads_means: bool
    age_scale: float
    cadence_s: float
    flag: float
    all_new: bool
    cells: Sequence[Cell]
    estimate: Linear
    spread: Linear
    stretch: Float32
    hazard: Linear
    cap_s: float

    @property
    def n_channels(self) -> int:
        """F, the channels that are scaled."""
        return int(self.scale.shape[1])

    @property
    def groups(self) -> tuple[Groups, ...]:
        return tuple(groups for groups in (self.regimes, self.types) if groups is not None)

    @property
    def x_sizes(self) -> list[int]:
        """Columns of `x`: channels, and the settings of each kind of groups."""
        return [self.n_channels, *(groups.n_settings for groups in self.groups)]

    @property
    def blocks(self) -> tuple[StateBlock, ...]:
        """Layout of the state: what each cell keeps, sums and weights of the running means, the time seen, whether the
        device was new, and its last settings.
        """
        cells = [StateBlock(f"{name}{layer}", n) for layer, cell in enumerate(self.cells) for name, n in cell.blocks]
        sums = [StateBlock(f"sum{index}", self.n_channels) for index in range(len(self.mean_rates))]
        weights = [StateBlock(f"weight{index}", 1) for index in range(len(self.mean_rates))]
        settings = [StateBlock(f"settings{index}", groups.n_settings) for index, groups in enumerate(self.groups)]
        return (*cells, *sums, *weights, StateBlock("age", 1), StateBlock("new", 1, new=1.0), *settings)


def streaming_of(network: Network, scaling: Scaling, config: Config) -> Streaming:
    """The constants of a trained network; the clip moves from the inputs into the first layer's weights."""
    clip, model = np.float32(scaling.clip), config.model
    first, *others = network.layers
    estimate, spread, hazard = (
        Linear(head.weight.detach().numpy().T.copy(), head.bias.detach().numpy().copy())
        for head in (network.heads.estimate, network.heads.spread, network.heads.hazard)
    )
    return Streaming(
        scale=scaling.scale / clip,
        offset=scaling.offset / clip,
        regimes=scaling.regimes,
        types=scaling.types,
        mean_rates=model.mean_rates if model.reads_means else model.mean_rates[-1:],
        reads_means=model.reads_means,
        age_scale=1 / (model.age_unit * scaling.clip),
        cadence_s=model.cadence,
        flag=1 / scaling.clip,
        all_new=config.augment.join_share == 0,
        cells=(first.scaled(scaling.clip), *(cell.scaled(1.0) for cell in others)),
        estimate=estimate,
        spread=spread,
        stretch=np.ones(2, np.float32),
        hazard=hazard,
        cap_s=config.rul.cap,
    )


@torch.no_grad()
def step(model: Streaming, x: Tensor, dt: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One row of each of b devices.

    x float32 [b, F + settings] raw, NaN = missing; dt float32 [b] seconds since the previous row, 0 for the first;
    state float32 [b, S] in the order of `blocks`, zeros for a device that is seen first.
    Returns state_out [b, S], risk [b, K], rul [b, 3] (low, estimate, high) in seconds. Row i depends on row i only.
    """
    names = [block.name for block in model.blocks]
    kept = dict(zip(names, torch.split(state, [block.size for block in model.blocks], dim=1), strict=True))
    x, *settings = torch.split(x, model.x_sizes, dim=1)
    one_hots = []
    for index, (groups, now) in enumerate(zip(model.groups, settings, strict=True)):
        one_hot, kept[f"settings{index}"] = group(groups, now, kept[f"settings{index}"])
        one_hots.append(one_hot)
    scale, offset = tensor(model.scale), tensor(model.offset)
    if model.regimes is not None:
        scale, offset = one_hots[0] @ scale, one_hots[0] @ offset  # each [b, F]
    missing = x.isnan()
    y = torch.where(missing, 0, bounded(x)) * scale + offset
    slowest = len(model.mean_rates) - 1
    mean = kept[f"sum{slowest}"] / kept[f"weight{slowest}"].clamp(min=WEIGHT_MIN)
    y = torch.where(missing, mean, y.clamp(-1, 1))  # [b, F]
    means = []
    for index, rate in enumerate(model.mean_rates):
        total, weight = kept[f"sum{index}"], kept[f"weight{index}"]
        kept[f"sum{index}"], kept[f"weight{index}"] = (1 - rate) * total + rate * y, (1 - rate) * weight + rate
        means.append(kept[f"sum{index}"] / kept[f"weight{index}"])
    kept["age"] = torch.where(kept["age"] == 0, 1, kept["age"] + dt[:, None] / model.cadence_s)
    seen = (kept["age"] * model.age_scale).clamp(max=1)
    new = torch.ones_like(kept["new"]) if model.all_new else kept["new"]
    flags = [model.flag * columns for columns in (new, *one_hots)]
    h = torch.cat((y, *(means if model.reads_means else ()), seen, *flags), dim=1)  # [b, 3F + 2 + G]
    after = []
    for layer, cell in enumerate(model.cells):
        h, now = cell.step(h, torch.cat([kept.pop(f"{name}{layer}") for name, _ in cell.blocks], dim=1))
        after.append(now)
    centre = linear(h, model.estimate)  # [b, 1]
    low, high = (linear(h, model.spread).sigmoid() * tensor(model.stretch)).chunk(2, dim=1)
    rul = torch.cat((centre - low, centre, centre + high), dim=1).clamp(0, 1) * model.cap_s
    return torch.cat((*after, *kept.values()), dim=1), risk_of(linear(h, model.hazard)), rul


def group(groups: Groups, settings: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """One-hot [b, G] of the nearest centre, and the settings [b, S] within +-1, the last ones where missing."""
    u = (bounded(settings) * tensor(groups.scale) + tensor(groups.offset)).clamp(-1, 1)
    u = torch.where(settings.isnan(), last, u)
    distance = u @ tensor(-2 * groups.centres.T.copy()) + tensor((groups.centres**2).sum(axis=1))
    return (distance <= distance.min(dim=1, keepdim=True).values).float(), u


def bounded(x: Tensor) -> Tensor:
    """Within +-X_MAX: infinity times 0, the scale of a channel that a regime holds still, would be NaN."""
    return x.clamp(-X_MAX, X_MAX)


def linear(h: Tensor, head: Linear) -> Tensor:
    return h @ tensor(head.weight) + tensor(head.bias)


def tensor(values: Float32) -> Tensor:
    return torch.from_numpy(values)
