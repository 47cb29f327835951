"""The `anomaly` head as it will run: constants of its one-row graph, and the layout of its state.

`charts.py` has its equations over whole histories; `export.py` writes them as a graph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from agent.bundle.manifest import StateBlock
from agent.words import Bool, Float32
from trainer.anomaly.charts import Bank, ChartSpec
from trainer.graph.builder import Linear
from trainer.model.cells.lstm import Lstm
from trainer.model.regimes import Groups

PREFIX = "anomaly_"
"""Of its state's blocks, beside those of the risk."""


@dataclass(frozen=True, slots=True)
class Forecaster:
    """The frozen LSTM: z / 6 to its hidden state, and of both a forecast of each channel's z, so many rows ahead.

    cell      reads F columns
    readouts  by `ahead`: weight float32 [F + H, F] and bias [F]
    """

    cell: Lstm
    readouts: Mapping[int, Linear]


@dataclass(frozen=True, slots=True)
class AnomalyModel:
    """Everything the head's graph computes with.

    bank           charts, learning, events and pools
    scale, offset  float32 [R, F], a regime a row; y = clip(x * scale + offset, -30, 30), 0 for a channel held still
    regimes        None where there are none; their settings are columns of `x` after the F channels
    n_x            columns of `x`, which the risk may read more of
    scales         q of each chart, > 0
    unit           the distance of a device's own normal from the pool's that is told as 1, > 0
    forecaster     None where no chart looks at forecasts
    """

    bank: Bank
    scale: Float32
    offset: Float32
    regimes: Groups | None
    n_x: int
    scales: tuple[float, ...]
    unit: float
    forecaster: Forecaster | None

    def only(self, columns: Sequence[int]) -> Self:
        """The model with some of its charts, and with a net of what these read."""
        bank = replace(
            self.bank,
            charts=tuple(self.bank.charts[one] for one in columns),
            pools=tuple(self.bank.pools[one] for one in columns),
        )
        aheads = aheads_of(bank.charts, "forecast")
        forecaster = self.forecaster if aheads else None
        if forecaster is not None:
            forecaster = replace(forecaster, readouts={ahead: forecaster.readouts[ahead] for ahead in aheads})
        scales = tuple(self.scales[one] for one in columns)
        return replace(self, bank=bank, scales=scales, forecaster=forecaster)

    @property
    def n_channels(self) -> int:
        """F."""
        return int(self.scale.shape[1])

    @property
    def x_sizes(self) -> list[int]:
        """Columns of `x`: channels, settings of the regime, what is for the risk alone."""
        n_settings = 0 if self.regimes is None else self.regimes.n_settings
        sizes = (self.n_channels, n_settings, self.n_x - self.n_channels - n_settings)
        return [size for size in sizes if size]

    @property
    def sensors(self) -> Bool:
        """bool [F]: the channels that charts follow."""
        varies: Bool = (self.scale != 0).any(axis=0) & ~self.bank.channels.events
        return varies

    def aheads(self, residual: str) -> tuple[int, ...]:
        """How far the charts of a residual look, each once, rising."""
        return aheads_of(self.bank.charts, residual)

    @property
    def blocks(self) -> tuple[StateBlock, ...]:
        """Layout of the state. What is known of the device's own normal is kept when history is lost."""
        n, charts = self.n_channels, self.bank.charts
        kept = {"rows": 1, "count": n, "mean": n, "mean_rest": n, "squares": n}
        lost = {"since": 1}
        if self.aheads("smoothing"):
            kept["bias"] = lost["smooth"] = n
        if self.forecaster is not None:
            lost |= {"h": self.forecaster.cell.width, "c": self.forecaster.cell.width}
        for ahead in self.aheads("forecast"):
            kept |= {f"count{ahead}": n, f"bias{ahead}": n}
            lost[f"ring{ahead}"] = ahead * n
        for ahead in self.aheads("event"):
            lost[f"event{ahead}"] = n
        for index in range(len(charts)):
            kept[f"spread{index}"] = lost[f"chart{index}"] = n
        if self.regimes is not None:
            lost["settings"] = self.regimes.n_settings
        return (
            *(StateBlock(PREFIX + name, size, kept=True) for name, size in kept.items()),
            *(StateBlock(PREFIX + name, size) for name, size in lost.items()),
        )


def aheads_of(charts: tuple[ChartSpec, ...], residual: str) -> tuple[int, ...]:
    return tuple(sorted({chart.ahead for chart in charts if chart.residual == residual}))


def float32(values: object) -> Float32:
    return np.asarray(values, np.float32)
