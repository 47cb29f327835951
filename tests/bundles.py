"""The small bundle of `small_bundle.py` as a file."""

from pathlib import Path

import numpy as np

from agent.bundle import file
from agent.bundle.golden import Golden, concatenated
from agent.bundle.manifest import Manifest
from agent.step.engine import Engine
from tests.small_anomaly import graph_of
from tests.small_bundle import small_manifest


def small_golden(model: bytes, manifest: Manifest, n_rows: int = 12) -> Golden:
    """One device's history as the engine of this machine steps it."""
    engine = Engine(model, manifest)
    x = np.random.default_rng(1).normal(0, 1, (n_rows, manifest.n_channels)).astype(np.float32)
    x[3, 1] = np.nan
    dt = np.array([0.0] + [1.0] * (n_rows - 1), np.float32)
    states = [np.zeros((1, manifest.state_size), np.float32)]
    kept = []
    for row in range(n_rows):
        one = slice(row, row + 1)
        after, outputs = engine.run(x[one], dt[one], states[-1])
        kept.append(Golden(x[one], dt[one], states[-1], after, outputs))
        states.append(after)
    return concatenated(kept)


def small_members(manifest: Manifest | None = None) -> dict[str, bytes]:
    manifest = manifest or small_manifest()
    model = graph_of(manifest)
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
