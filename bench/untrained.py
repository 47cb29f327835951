"""A bundle of the demo's shape with random weights: what it says is noise, what it costs is real.

    python bench/untrained.py build/bench/untrained.fwb --hidden 64

The int8 graph is written by the trainer's own exporter, and the agent checks and runs it like any other.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from agent.bundle import file
from agent.bundle.golden import Golden, concatenated
from agent.bundle.manifest import (
    SCHEMA_VERSION,
    Cadence,
    Channel,
    CreatedFrom,
    JudgePolicy,
    Manifest,
    Numerics,
    RiskHead,
    RulHead,
    ThresholdRow,
    ThresholdTable,
)
from agent.step.engine import Engine
from trainer.export.onnx_graph import export
from trainer.export.streaming import Streaming
from trainer.graph.builder import Linear
from trainer.model.cells.lstm import Lstm

CHANNELS = ("speed", "flow", "p_in", "p_out", "t_de", "t_nde", "amps", "vib")
HORIZONS_S = (15.0, 30.0, 60.0)
GOLDEN_ROWS = 24


def write(path: Path, *, hidden: int = 64, layers: int = 2, seed: int = 0) -> Path:
    """Write a bundle of `layers` LSTM layers of width `hidden` over eight channels and three horizons."""
    model = untrained(hidden, layers, seed)
    manifest = manifest_of(model)
    int8 = export(model, "int8")
    members = {
        "model.onnx": int8,
        "model.fp32.onnx": export(model, "fp32"),
        "golden.npz": golden(int8, manifest, seed).pack(),
        "report.json": b"{}",
        "MODEL_CARD.md": b"# Random weights, for measurements of speed\n",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    file.write(path, manifest, members)
    return path


def untrained(hidden: int, layers: int, seed: int) -> Streaming:
    """Weights as torch's LSTM layers start with; heads that answer about 1e-4, so that nobody is warned."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    n_channels = len(CHANNELS)

    def linear(n_in: int, n_out: int) -> Linear:
        bound = 1 / np.sqrt(hidden)
        weight, bias = rng.uniform(-bound, bound, (n_in, n_out)), rng.uniform(-bound, bound, n_out)
        return Linear(weight.astype(np.float32), bias.astype(np.float32))

    hazard = linear(hidden, len(HORIZONS_S))
    return Streaming(
        scale=np.full((1, n_channels), 0.25, np.float32),
        offset=np.zeros((1, n_channels), np.float32),
        regimes=None,
        types=None,
        mean_rates=(0.05, 0.02),
        reads_means=True,
        age_scale=1 / 800,
        cadence_s=1.0,
        flag=0.25,
        all_new=False,
        cells=tuple(Lstm(hidden if layer else 3 * n_channels + 2, hidden) for layer in range(layers)),
        estimate=linear(hidden, 1),
        spread=linear(hidden, 2),
        stretch=np.ones(2, np.float32),
        hazard=Linear(hazard.weight, hazard.bias - np.float32(9)),
        cap_s=125.0,
    )


def manifest_of(model: Streaming) -> Manifest:
    """Ranges of a standard normal channel; every row is `ok` from the first on."""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name="untrained",
        version="0.0.0",
        created_from=CreatedFrom(
            data_sha256="0" * 64,
            config="",
            code_version="bench",
            seed=0,
            fit_devices=(),
            calibrate_devices=(),
            play_devices=(),
        ),
        trained_for="joined",
        time_unit="s",
        channels=tuple(
            Channel(name=name, unit="-", description="", low=-6.0, high=6.0, steady_max_s=10.0, absent_max_s=0.0)
            for name in CHANNELS
        ),
        out_of_domain_margin=0.25,
        cadence=Cadence(
            every_s=1.0, dt_max_s=60.0, least_s=1e-6
        ),  # every row of a bench is stepped, however fast it comes
        state=model.blocks,
        warmup_rows=0,
        numerics=Numerics(kind="exact", tolerance=0.01),
        risk=RiskHead(horizons_s=HORIZONS_S),
        rul=RulHead(quantiles=(0.05, 0.5, 0.95), cap_s=model.cap_s),
        judge=JudgePolicy(horizon=1, m=2, n=3, clear_ratio=0.8, clear_after_s=10.0, severity_risk=0.5),
        thresholds=ThresholdTable(60.0, 5.0, 10_000.0, 10, (ThresholdRow(0.5, 0, 3e-4, 10, 30.0),)),
        lives_s=(200.0,),
        metrics={},
        members={},
    )


def golden(model: bytes, manifest: Manifest, seed: int) -> Golden:
    """One device's history as the engine of this machine steps it."""
    engine = Engine(model, manifest)
    rows = np.random.default_rng(seed).normal(0, 1, (GOLDEN_ROWS, len(CHANNELS))).astype(np.float32)
    state = np.zeros((1, manifest.state_size), np.float32)
    kept: list[Golden] = []
    for row in range(GOLDEN_ROWS):
        x, dt = rows[row : row + 1], np.array([float(row > 0)], np.float32)
        after, outputs = engine.run(x, dt, state)
        kept.append(Golden(x, dt, state, after, outputs))
        state = after
    return concatenated(kept)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--hidden", type=int, default=64)
    chosen = parser.parse_args()
    print(write(chosen.path, hidden=chosen.hidden))
