"""The course of training, and whether the risks come true, as PNGs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agent.score.time_unit import Unit
from trainer.evaluation.metrics import Figures, HorizonFigures
from trainer.evaluation.reliability import BINS


def plot_curves(loss: Sequence[float], rmse: Sequence[float], mean_lead: Sequence[float], path: Path) -> None:
    """Loss of the fit devices, RMSE of the validation ones and, with patience, their mean lead; by epoch."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    left = figure.subplots()
    epochs = range(1, len(loss) + 1)
    left.plot(epochs, loss, color="tab:blue", label="loss, fit devices (varied)")
    left.set(xlabel="epoch", ylabel="loss", yscale="log")
    right = left.twinx()
    right.plot(epochs, rmse, color="tab:red", label="RMSE of remaining life, calibrate devices")
    right.set(ylabel="RMSE", ylim=(0, None))
    if mean_lead:
        lead = left.twinx()
        lead.plot(epochs, mean_lead, color="tab:green", label="mean lead of warnings, calibrate devices")
        lead.set(ylabel="mean lead", ylim=(0, None))
        lead.spines["right"].set_position(("outward", 50))
    figure.legend(loc="outside upper center", ncols=2)
    figure.savefig(path, dpi=120)


def plot_reliability(held_out: Figures, unit: Unit, path: Path) -> None:
    """A column a horizon: how often the fault came, by what was said; below it, on how many devices that rests."""
    n = len(held_out.horizons)
    figure = Figure(figsize=(3.6 * n + 0.6, 5.4), layout="constrained")
    grid = figure.subplots(2, n, sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1))
    for column, horizon in enumerate(held_out.horizons):
        draw_reliability(grid[0, column], grid[1, column], horizon)
        error = f"{horizon.calibration_error:.3f}"
        grid[0, column].set_title(f"fault within {unit.text(horizon.horizon_s)}\nsaid and observed differ by {error}")
        grid[1, column].set_xlabel("risk that was said")
    grid[0, 0].set_ylabel("share of rows whose fault came")
    grid[1, 0].set_ylabel("rows, and above\nthem devices")
    grid[0, 0].legend(loc="upper left")
    figure.suptitle(f"Do the risks come true? {held_out.n_devices} devices that nothing was fitted to")
    figure.savefig(path, dpi=120)


def draw_reliability(above: Axes, below: Axes, horizon: HorizonFigures) -> None:
    """The curve with its intervals over devices, and the rows of each bin with the number of their devices."""
    risk, observed = ([getattr(bin, name) for bin in horizon.bins] for name in ("risk", "observed"))
    ends = np.array([(bin.observed_95.low, bin.observed_95.high) for bin in horizon.bins]).T  # [2, bins]
    above.plot([0, 1], [0, 1], color="tab:gray", linestyle="--", label="what was said")
    above.vlines(risk, *ends, color="tab:blue", alpha=0.5, linewidth=3, label="95 %, over devices")
    above.plot(risk, observed, "o", color="tab:blue", label="what came true")
    above.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    above.grid(alpha=0.3)
    bars = below.bar([bin.low for bin in horizon.bins], [bin.n_rows for bin in horizon.bins], 1 / BINS, align="edge")
    below.bar_label(bars, [f"{bin.n_devices}" for bin in horizon.bins], fontsize=8)
    below.set(yscale="log")
    below.margins(y=0.25)
