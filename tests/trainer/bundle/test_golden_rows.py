"""Golden rows are as many as a gateway may be asked to compute again: no finished training is refused for them."""

from pathlib import Path

import numpy as np
import pytest

from agent.bundle import file, onnx_graph
from agent.bundle.verify import rows_max, verify_work
from agent.core.model import load_engine
from tests.bundles import write_small_bundle
from trainer.bundle.golden_rows import GOLDEN_EVERY, golden
from trainer.data.history import History


def history(n_rows: int) -> History:
    x = np.random.default_rng(0).normal(0, 1, (n_rows, 3)).astype(np.float32)
    return History("e1", np.arange(n_rows, dtype=np.float64), x, float(n_rows))


def test_a_long_history_or_a_large_model_gives_fewer_rows_evenly_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = file.read(write_small_bundle(tmp_path / "small.fwb"))
    work = onnx_graph.check(bundle.model, bundle.manifest)
    whole = golden(bundle, [history(600)])
    assert len(whole.x) == 600 // GOLDEN_EVERY
    monkeypatch.setattr("agent.bundle.verify.VERIFY_WORK_MAX", verify_work(work, bundle.manifest, 20))
    few = golden(bundle, [history(600)])
    assert len(few.x) == rows_max(work, bundle.manifest) == 20
    assert np.array_equal(few.x[[0, -1]], whole.x[[0, -1]], equal_nan=True)
    assert np.isinf(few.x).any(), "hostile rows are among them"
    members = {"model.onnx": bundle.model, "model.fp32.onnx": bundle.model_fp32, "golden.npz": few.pack()}
    path = tmp_path / "few.fwb"
    file.write(path, bundle.manifest, members | {"report.json": bundle.report, "MODEL_CARD.md": bundle.card.encode()})
    load_engine(file.read(path))
