"""The training curves as a PNG."""

from pathlib import Path

from matplotlib.figure import Figure

from trainer.checkpoint import Curves


def plot_curves(curves: Curves, path: Path) -> None:
    """Loss of the fit devices and RMSE of the watched ones, by epoch."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    left = figure.subplots()
    epochs = range(1, len(curves.loss) + 1)
    left.plot(epochs, curves.loss, color="tab:blue", label="loss, fit devices (varied)")
    left.set(xlabel="epoch", ylabel="loss", yscale="log")
    right = left.twinx()
    right.plot(epochs, curves.rmse, color="tab:red", label="RMSE of remaining life, calibrate devices")
    right.set(ylabel="RMSE", ylim=(0, None))
    figure.legend(loc="outside upper center", ncols=2)
    figure.savefig(path, dpi=120)
