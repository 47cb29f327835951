"""Two pictures of a comparison: how far ahead each method warns, and whether the budget is kept."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from trainer.comparison.compare import Comparison


def plot_lead(comparison: Comparison, path: Path) -> None:
    """A bar a method, with its interval over devices."""
    unit, rows = comparison.unit, comparison.rows[::-1]
    leads = np.nan_to_num([unit.of(row.mean_lead_s) for row in rows])
    ends = np.nan_to_num([(unit.of(row.mean_lead_s_95.low), unit.of(row.mean_lead_s_95.high)) for row in rows])
    figure = Figure(figsize=(8, 0.4 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    axes.barh([row.method for row in rows], leads, color="tab:blue", alpha=0.7)
    axes.hlines(range(len(rows)), ends[:, 0], ends[:, 1], color="black")
    axes.set(
        xlabel=f"mean lead, {unit.plural}; a miss counts as 0", title=f"{comparison.name}, {comparison.budget.text}"
    )
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=120)


def plot_rate(comparison: Comparison, path: Path) -> None:
    """What was asked, what the devices that chose the threshold gave, and what the played ones did."""
    unit, rows = comparison.unit, comparison.rows[::-1]
    figure = Figure(figsize=(8, 0.4 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    axes.plot([unit.rate(row.calibrated_per_s) for row in rows], places, "o", color="tab:gray", label="where chosen")
    axes.plot([unit.rate(row.false_alarms_per_s) for row in rows], places, "o", color="tab:red", label="played")
    axes.axvline(unit.rate(comparison.budget.rate_per_s), color="black", linestyle="--", label="asked")
    axes.set(xlabel=f"false alarms per {unit.exposure}", xlim=(0, None))
    axes.set_yticks(places, [row.method for row in rows])
    axes.grid(axis="x", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
