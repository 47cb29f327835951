"""The streaming graph: fp32 equals the torch reference row by row, and a row's bits depend on that row alone."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agent.words import Float32
from tests.trainer.fleet import fleet, small_config
from trainer import streaming
from trainer.config import Model
from trainer.data.cmapss import CHANNELS
from trainer.data.history import History
from trainer.export import export
from trainer.features import batch_of, fit_scaling, live
from trainer.heads import risk_of
from trainer.network import Network, fix_seed
from trainer.quantize import quantize
from trainer.streaming import Streaming
from trainer.tape import Form

SHIPPED = tuple(channel.name for channel in CHANNELS[4:18])
CONFIG = small_config(model=Model(hidden=8, age_unit=5))  # age is clipped from row 20 on


def with_gaps(history: History, seed: int) -> History:
    """One value in ten missing, among them one of the first row."""
    missing = np.random.default_rng(seed).random(history.x.shape) < 0.1
    missing[0, seed % 3] = True
    return replace(history, x=np.where(missing, np.float32(np.nan), history.x))


HISTORIES = [with_gaps(history, seed) for seed, history in enumerate(fleet(4))]
SCALING = fit_scaling(HISTORIES, CONFIG)


def network(seed: int = 0) -> Network:
    fix_seed(seed)
    made = Network(CONFIG)
    for parameter in made.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return made.eval()


def model(seed: int = 0) -> Streaming:
    made = streaming.of(network(seed), SCALING, CONFIG)
    return replace(made, stretch=np.array([0.7, 1.3], np.float32))


def session(form: Form, wanted: Streaming) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(export(wanted, form), options, providers=["CPUExecutionProvider"])


SESSIONS = {form: session(form, model()) for form in ("fp32", "int8")}
SIZE = sum(block.size for block in model().blocks)


def run(form: str, x: Float32, dt: Float32, state: Float32) -> list[Float32]:
    found: list[Float32] = SESSIONS[form].run(None, {"x": x, "dt": dt, "state": state})
    return found


def raw(z: Float32) -> Float32:
    """Engineering units of scaled rows."""
    return ((z - SCALING.offset) / SCALING.scale).astype(np.float32)


def test_fp32_graph_is_the_torch_reference_row_by_row() -> None:
    """Four whole histories with missing and hostile values and uneven steps, state carried by each side itself."""
    rows = min(len(history.x) for history in HISTORIES)
    x = np.stack([history.x[:rows] for history in HISTORIES], axis=1).copy()  # [T, b, F]
    x[0, 0, 0] = x[7:9, 1, 1] = x[20, 2] = np.nan
    x[11, 3, 0], x[12, 3, 1], x[13, 3, 2] = np.inf, -1e30, -np.inf
    ours, reference = np.zeros((4, SIZE), np.float32), torch.zeros(4, SIZE)
    for t in range(rows):
        dt = np.array([0, 0, 0, 0] if t == 0 else [1, 2, 0.5, 1], np.float32)
        ours, risk, rul = run("fp32", x[t], dt, ours)
        reference, wanted_risk, wanted_rul = streaming.step(
            model(), torch.from_numpy(x[t]), torch.from_numpy(dt), reference
        )
        for found, wanted in ((ours, reference), (risk, wanted_risk), (rul / 40, wanted_rul / 40)):
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5, rtol=0)
    assert ours[:, -2].tolist() == [rows, 1 + 2 * (rows - 1), 1 + 0.5 * (rows - 1), rows]


def test_streaming_row_by_row_is_training_over_the_whole_history() -> None:
    """With values missing, and rows beyond the age where it is clipped."""
    lives = [replace(live(history, SCALING, CONFIG.model), new=False) for history in HISTORIES]
    with torch.no_grad():
        answers, _ = network()(torch.from_numpy(batch_of(lives, CONFIG.model).inputs))
    risk, estimate = risk_of(answers.hazard).numpy(), answers.estimate.clamp(0, 1).numpy() * 40
    low = (answers.estimate - 0.7 * answers.spread[..., 0]).clamp(0, 1).numpy() * 40
    high = (answers.estimate + 1.3 * answers.spread[..., 1]).clamp(0, 1).numpy() * 40
    state = np.zeros((4, SIZE), np.float32)
    for t in range(50):
        x = np.stack([history.x[t] for history in HISTORIES])
        state, found_risk, found_rul = run("fp32", x, np.full(4, min(t, 1), np.float32), state)
        np.testing.assert_allclose(found_risk, risk[t], atol=1e-5)
        np.testing.assert_allclose(found_rul, np.stack([low[t], estimate[t], high[t]], axis=1), atol=4e-4)


def test_int8_follows_fp32() -> None:
    state = {form: np.zeros((4, SIZE), np.float32) for form in SESSIONS}
    for t in range(50):
        x = np.stack([history.x[t] for history in HISTORIES])
        found = {}
        for form in SESSIONS:
            state[form], found[form], _ = run(form, x, np.full(4, min(t, 1), np.float32), state[form])
        assert np.abs(found["int8"] - found["fp32"]).max() < 0.05
    assert found["int8"].tobytes() != found["fp32"].tobytes()


ORDINARY = st.floats(-4, 4, width=32)
HOSTILE = st.sampled_from(np.float32([np.nan, np.inf, -np.inf, 1e30, -1e30]).tolist())


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (6, 3, 3), elements=ORDINARY),
    arrays(np.float32, (6, 40, 3), elements=ORDINARY | HOSTILE),
    st.sampled_from(["int8", "fp32"]),
    st.sampled_from([1, 2, 16, 40]),
)
def test_a_device_has_the_same_bits_alone_and_among_hostile_neighbours(
    rows: Float32, others: Float32, form: str, n_others: int
) -> None:
    """Law 2. Six rows of three devices, each alone, then in front of up to forty others; compare bytes."""
    n = 3 + n_others
    together, alone = np.zeros((n, SIZE), np.float32), [np.zeros((1, SIZE), np.float32)] * 3
    for t, (mine, theirs) in enumerate(zip(rows, others, strict=True)):
        x = raw(np.concatenate([mine, theirs[:n_others]]))
        dt = np.full(n, min(t, 1), np.float32)
        together, risk, rul = run(form, x, dt, together)
        for device in range(3):
            one = slice(device, device + 1)
            alone[device], own_risk, own_rul = run(form, x[one], dt[one], alone[device])
            assert risk[one].tobytes() == own_risk.tobytes()
            assert rul[one].tobytes() == own_rul.tobytes()
            assert together[one].tobytes() == alone[device].tobytes()


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (12, 5, 3), elements=ORDINARY | HOSTILE), st.sampled_from(["int8", "fp32"]))
def test_hostile_rows_leave_finite_ordered_answers(rows: Float32, form: str) -> None:
    state = np.zeros((5, SIZE), np.float32)
    for t, row in enumerate(rows):
        state, risk, rul = run(form, raw(row), np.full(5, min(t, 1), np.float32), state)
        assert np.isfinite(state).all()
        assert (np.diff(risk, axis=1) >= 0).all()
        assert ((risk >= 0) & (risk <= 1)).all()
        assert (np.diff(rul, axis=1) >= 0).all()
        assert ((rul >= 0) & (rul <= 40)).all()


def test_graph_is_plain_and_int8_is_small_at_full_width() -> None:
    wide = small_config(model=Model(hidden=64), data=CONFIG.data.model_copy(update={"channels": SHIPPED}))
    fix_seed(0)
    scaling = replace(SCALING, scale=np.ones((1, 14), np.float32), offset=np.zeros((1, 14), np.float32))
    made = streaming.of(Network(wide), scaling, wide)
    fp32, int8 = export(made, "fp32"), export(made, "int8")
    assert len(int8) <= 0.30 * len(fp32)
    assert export(made, "int8") == int8, "the same model gives the same bytes"
    graph = onnx.load_from_string(int8)
    assert graph.ir_version == 9
    assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", 17)]
    assert {node.domain for node in graph.graph.node} == {""}
    assert not any(attribute.HasField("g") for node in graph.graph.node for attribute in node.attribute)


def test_weights_keep_to_seven_bits_and_half_a_step() -> None:
    weight = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    weight[:, 3] = 0
    found = quantize(weight)
    assert np.abs(found.values).max() == 63
    assert (np.abs(found.values * found.scale - weight) <= found.scale / 2 * 1.0001).all()
    assert found.scale[3] == 1
    with pytest.raises(ValueError, match="not finite"):
        quantize(np.full((2, 2), np.nan, np.float32))
