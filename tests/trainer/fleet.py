"""Small made-up engines in C-MAPSS's own columns, and a training config that learns them in a second."""

import lzma
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from agent.bundle.manifest import JudgePolicy, Manifest
from tests.small_bundle import small_manifest
from trainer.config import Augment, Config, Judge, Model, Risk, Rul, Train
from trainer.data.cmapss import Cmapss
from trainer.data.history import History
from trainer.data.split import Split

NAMES = ("T24", "T30", "Ps30")

SMALL_TOML = """
name = "small"
version = "0.1.0"
[data]
dataset = "cmapss"
subset = "FD001"
channels = ["T24", "T30", "Ps30"]
[split]
fit = 8
calibrate = 3
play = 3
[model]
hidden = 8
[train]
epochs = 2
batch = 4
[augment]
smooth_rows = 3
[risk]
horizons = [5, 10, 20]
[rul]
cap = 40
[judge]
horizon = 20
h_max = 20
h_min = 2
clear_after = 3
thresholds = 9
"""


def small_config(**sections: object) -> Config:
    """Eight fit engines, two epochs, eight units; `sections` replace whole sections."""
    config = Config(
        name="small",
        version="0.1.0",
        heads=("risk",),
        data=Cmapss(dataset="cmapss", subset="FD001", channels=NAMES),
        split=Split(fit=8, calibrate=3, play=3),
        model=Model(hidden=8, cadence=1),
        train=Train(epochs=2, batch=4),
        augment=Augment(smooth_rows=3, join_share=0),
        risk=Risk(horizons=(5, 10, 20)),
        rul=Rul(cap=40),
        judge=Judge(horizon=20, h_max=20, h_min=2, clear_after=3, thresholds=9),
    )
    return config.model_copy(update=sections)


def engine(device: str, n: int, *, seed: int = 0, noise: float = 0.3) -> History:
    """n cycles of wear that grows as a power of the life used, seen by three channels; fails at its last cycle."""
    wear = (np.arange(n) / (n - 1)) ** 3
    rows = np.stack([600 + 4 * wear, 1580 - 20 * wear, 47 + wear], axis=1)
    rows += noise * np.array([1.0, 5.0, 0.25]) * np.random.default_rng(seed).normal(size=rows.shape)
    t_s = np.arange(1, n + 1, dtype=np.float64)
    return History(device, t_s, rows.astype(np.float32), float(n))


def fleet(n_engines: int = 14) -> list[History]:
    return [engine(str(index + 1), 50 + 3 * index, seed=index) for index in range(n_engines)]


def fleet_manifest() -> Manifest:
    """Windows and a judge for the fleet."""
    manifest = small_manifest()
    return msgspec.structs.replace(
        manifest,
        judge=JudgePolicy(horizon=1, m=2, n=3, clear_ratio=0.8, clear_after_s=3.0, severity_risk=0.5),
        thresholds=msgspec.structs.replace(manifest.judging["risk"].thresholds, h_max_s=20.0, h_min_s=2.0),
    )


def write_cmapss(folder: Path, train: list[History], test: list[History]) -> None:
    """The fleet as FD001 files: other channels constant, test engines cut ten cycles before their failure."""
    folder.mkdir(parents=True, exist_ok=True)
    cut = [replace(history, t_s=history.t_s[:-10], x=history.x[:-10]) for history in test]
    for name, histories in (("train", train), ("test", cut)):
        lines = [
            " ".join([history.device, f"{t:g}", *(columns(row))])
            for history in histories
            for t, row in zip(history.t_s, history.x.tolist(), strict=True)
        ]
        (folder / f"{name}_FD001.txt.xz").write_bytes(lzma.compress("\n".join(lines).encode()))
    (folder / "RUL_FD001.txt").write_text("10\n" * len(test))


def columns(row: list[float]) -> list[str]:
    """24 columns of which T24, T30 and Ps30 (the 5th, 6th and 14th) are the row's."""
    found = ["1"] * 24
    for column, value in zip((4, 5, 13), row, strict=True):
        found[column] = repr(value)
    return found
