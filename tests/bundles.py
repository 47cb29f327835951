"""The small bundle of `small_bundle.py` as a file."""

from pathlib import Path

import numpy as np

from agent.bundle import file
from agent.bundle.golden import Golden
from agent.bundle.manifest import Manifest
from agent.step.engine import Engine
from tests.small_bundle import small_manifest, small_model


def small_golden(model: bytes, manifest: Manifest, n_rows: int = 12) -> Golden:
    """One device's history as the engine of this machine steps it."""
    engine = Engine(model, manifest)
    x = np.random.default_rng(1).normal(0, 1, (n_rows, manifest.n_channels)).astype(np.float32)
    x[3, 1] = np.nan
    dt = np.array([0.0] + [1.0] * (n_rows - 1), np.float32)
    states = [np.zeros((1, manifest.state_size), np.float32)]
    risk, rul = [], []
    for row in range(n_rows):
        after, row_risk, row_rul = engine.run(x[row : row + 1], dt[row : row + 1], states[-1])
        states.append(after)
        risk.append(row_risk)
        rul.append(row_rul)
    before, after = np.concatenate(states[:-1]), np.concatenate(states[1:])
    return Golden(x, dt, before, after, np.concatenate(risk), np.concatenate(rul))


def small_members(manifest: Manifest | None = None) -> dict[str, bytes]:
    manifest, model = manifest or small_manifest(), small_model()
    return {
        "model.onnx": model,
        "model.fp32.onnx": model,
        "golden.npz": small_golden(model, manifest).pack(),
        "report.json": b"{}",
        "MODEL_CARD.md": b"# small\n",
    }


def write_small_bundle(path: Path, manifest: Manifest | None = None) -> Path:
    file.write(path, manifest or small_manifest(), small_members(manifest))
    return path
