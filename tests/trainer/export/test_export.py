"""The streaming graph: fp32 equals the torch reference row by row, and a row's bits depend on that row alone."""

from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agent.bundle import onnx_graph
from agent.words import Float32
from tests.trainer.fleet import fleet, small_config
from tests.trainer.model.test_regimes import BY, flying
from trainer.bundle.assemble import new_bundle
from trainer.config import Augment, Config, Grouping, Model
from trainer.data.cmapss import CHANNELS
from trainer.data.history import History
from trainer.data.split import Parts
from trainer.export.onnx_graph import export
from trainer.export.streaming import Streaming, step, streaming_of
from trainer.graph.builder import Form
from trainer.graph.quantize import quantize
from trainer.model.features import Scaling, batch_of, features_of, fit_scaling
from trainer.model.heads import risk_of
from trainer.model.network import Network, fix_seed

SHIPPED = tuple(channel.name for channel in CHANNELS[4:18])
CONFIG = small_config(  # age is clipped from row 20 on
    model=Model(hidden=8, age_unit=5), augment=Augment(join_share=0.5)
)


def with_gaps(history: History, seed: int) -> History:
    """One value in ten missing, among them one of the first row."""
    missing = np.random.default_rng(seed).random(history.x.shape) < 0.1
    missing[0, seed % 3] = True
    return replace(history, x=np.where(missing, np.float32(np.nan), history.x))


HISTORIES = [with_gaps(history, seed) for seed, history in enumerate(fleet(4))]
FLYING = [with_gaps(flying(history, seed), seed) for seed, history in enumerate(fleet(4))]


@dataclass(frozen=True)
class Made:
    """A random network of one config, and its graphs."""

    config: Config
    histories: list[History]
    scaling: Scaling
    network: Network
    model: Streaming
    sessions: dict[Form, ort.InferenceSession]

    @property
    def size(self) -> int:
        return sum(block.size for block in self.model.blocks)

    def zeros(self, n: int) -> Float32:
        return np.zeros((n, self.size), np.float32)

    def run(self, form: Form, x: Float32, dt: Float32, state: Float32) -> list[Float32]:
        found: list[Float32] = self.sessions[form].run(None, {"x": x, "dt": dt, "state": state})
        return found

    def column(self, block: str) -> slice:
        """Where a block is in the state."""
        names = [one.name for one in self.model.blocks]
        start = sum(one.size for one in self.model.blocks[: names.index(block)])
        return slice(start, start + self.model.blocks[names.index(block)].size)


def make(config: Config, histories: list[History]) -> Made:
    scaling = fit_scaling(histories, config)
    fix_seed(0)
    network = Network(config)
    for parameter in network.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    model = streaming_of(network.eval(), scaling, config)
    model = replace(model, stretch=np.array([0.7, 1.3], np.float32))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    forms: tuple[Form, Form] = ("fp32", "int8")
    sessions = {
        form: ort.InferenceSession(export(model, form), options, providers=["CPUExecutionProvider"]) for form in forms
    }
    return Made(config, histories, scaling, network, model, sessions)


PLAIN = make(CONFIG, HISTORIES)
GROUPED = make(
    CONFIG.model_copy(update={"regimes": Grouping(by=BY, count=4), "types": Grouping(by=("part",), count=2)}), FLYING
)
NO_MEANS = make(CONFIG.model_copy(update={"model": Model(hidden=8, age_unit=5, reads_means=False)}), HISTORIES)
EACH = pytest.mark.parametrize("made", [PLAIN, GROUPED, NO_MEANS], ids=["plain", "grouped", "no means"])


def raw(made: Made, z: Float32) -> Float32:
    """Engineering units of scaled columns, of which the last are settings."""
    scaling, n = made.scaling, made.scaling.n_channels
    scale, offset = [scaling.scale[0]], [scaling.offset[0]]
    for groups in made.model.groups:
        scale.append(4 * groups.scale)
        offset.append(4 * groups.offset)
    n = sum(made.model.x_sizes)
    return ((z[:, :n] - np.concatenate(offset)) / np.concatenate(scale)).astype(np.float32)


@EACH
def test_fp32_graph_is_the_torch_reference_row_by_row(made: Made) -> None:
    """Four whole histories with missing and hostile values and uneven steps, state carried by each side itself."""
    rows = min(len(history.x) for history in made.histories)
    x = np.stack([history.x[:rows] for history in made.histories], axis=1).copy()  # [T, b, F]
    x[0, 0, 0] = x[7:9, 1, 1] = x[20, 2] = np.nan
    x[11, 3, 0], x[12, 3, 1], x[13, 3, 2] = np.inf, -1e30, -np.inf
    x[14, 3, -1], x[15, 3, -2], x[30:32, 2, -2] = np.inf, -np.inf, np.nan
    ours, reference = made.zeros(4), torch.zeros(4, made.size)
    for t in range(rows):
        dt = np.array([0, 0, 0, 0] if t == 0 else [1, 2, 0.5, 1], np.float32)
        ours, risk, rul = made.run("fp32", x[t], dt, ours)
        reference, wanted_risk, wanted_rul = step(made.model, torch.from_numpy(x[t]), torch.from_numpy(dt), reference)
        for found, wanted in ((ours, reference), (risk, wanted_risk), (rul / 40, wanted_rul / 40)):
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5, rtol=0)
    age = ours[:, made.column("age")].ravel().tolist()
    assert age == [rows, 1 + 2 * (rows - 1), 1 + 0.5 * (rows - 1), rows]


@EACH
@pytest.mark.parametrize("new", [False, True])
def test_streaming_row_by_row_is_training_over_the_whole_history(made: Made, new: bool) -> None:
    """With values and settings missing, rows beyond the age where it is clipped, and devices known to be new or not."""
    model = made.config.model
    lives = [replace(features_of(history, made.scaling, model), new=new) for history in made.histories]
    with torch.no_grad():
        outputs, _ = made.network(torch.from_numpy(batch_of(lives, model).inputs))
    risk, estimate = risk_of(outputs.hazard).numpy(), outputs.estimate.clamp(0, 1).numpy() * 40
    low = (outputs.estimate - 0.7 * outputs.spread[..., 0]).clamp(0, 1).numpy() * 40
    high = (outputs.estimate + 1.3 * outputs.spread[..., 1]).clamp(0, 1).numpy() * 40
    state = made.zeros(4)
    state[:, made.column("new")] = new
    for t in range(50):
        x = np.stack([history.x[t] for history in made.histories])
        state, found_risk, found_rul = made.run("fp32", x, np.full(4, min(t, 1), np.float32), state)
        np.testing.assert_allclose(found_risk, risk[t], atol=1e-5)
        np.testing.assert_allclose(found_rul, np.stack([low[t], estimate[t], high[t]], axis=1), atol=4e-4)


def test_a_device_known_to_be_new_is_scored_otherwise() -> None:
    zeros = PLAIN.zeros(1)
    new = zeros.copy()
    new[:, PLAIN.column("new")] = 1
    x, dt = HISTORIES[1].x[1:2], np.zeros(1, np.float32)
    assert PLAIN.run("int8", x, dt, new)[1].tobytes() != PLAIN.run("int8", x, dt, zeros)[1].tobytes()
    assert PLAIN.run("int8", x, dt, new)[0][:, PLAIN.column("new")] == 1, "it stays so"


def test_a_model_of_new_devices_alone_takes_every_device_for_one() -> None:
    """Training showed it no other, so what it would say of one is chance."""
    made = make(CONFIG.model_copy(update={"augment": Augment(join_share=0)}), HISTORIES)
    lives = [features_of(history, made.scaling, made.config.model) for history in HISTORIES]
    with torch.no_grad():
        outputs, _ = made.network(torch.from_numpy(batch_of(lives, made.config.model).inputs))
    x = np.stack([history.x[0] for history in HISTORIES])
    for new in (0, 1):
        state = made.zeros(4)
        state[:, made.column("new")] = new
        after, risk, _ = made.run("fp32", x, np.zeros(4, np.float32), state)
        np.testing.assert_allclose(risk, risk_of(outputs.hazard)[0].numpy(), atol=1e-5)
        assert (after[:, made.column("new")] == new).all()
        reference = step(made.model, torch.from_numpy(x), torch.zeros(4), torch.from_numpy(state))[1]
        np.testing.assert_allclose(risk, reference.numpy(), atol=1e-5)


@EACH
def test_int8_follows_fp32(made: Made) -> None:
    state = {form: made.zeros(4) for form in made.sessions}
    for t in range(50):
        x = np.stack([history.x[t] for history in made.histories])
        found = {}
        for form in made.sessions:
            state[form], found[form], _ = made.run(form, x, np.full(4, min(t, 1), np.float32), state[form])
        assert np.abs(found["int8"] - found["fp32"]).max() < 0.05
    assert found["int8"].tobytes() != found["fp32"].tobytes()


ORDINARY = st.floats(-4, 4, width=32)
HOSTILE = st.sampled_from(np.float32([np.nan, np.inf, -np.inf, 1e30, -1e30]).tolist())


@pytest.mark.slow
@EACH
@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (6, 3, 7), elements=ORDINARY),
    arrays(np.float32, (6, 40, 7), elements=ORDINARY | HOSTILE),
    st.sampled_from(["int8", "fp32"]),
    st.sampled_from([1, 2, 16, 40]),
)
def test_a_device_has_the_same_bits_alone_and_among_hostile_neighbours(
    made: Made, rows: Float32, others: Float32, form: Form, n_others: int
) -> None:
    """Law 2. Six rows of three devices, each alone, then in front of up to forty others; compare bytes."""
    n = 3 + n_others
    together, alone = made.zeros(n), [made.zeros(1)] * 3
    for t, (mine, theirs) in enumerate(zip(rows, others, strict=True)):
        x = raw(made, np.concatenate([mine, theirs[:n_others]]))
        dt = np.full(n, min(t, 1), np.float32)
        together, risk, rul = made.run(form, x, dt, together)
        for device in range(3):
            one = slice(device, device + 1)
            alone[device], own_risk, own_rul = made.run(form, x[one], dt[one], alone[device])
            assert risk[one].tobytes() == own_risk.tobytes()
            assert rul[one].tobytes() == own_rul.tobytes()
            assert together[one].tobytes() == alone[device].tobytes()


@pytest.mark.slow
@EACH
@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (12, 5, 7), elements=ORDINARY | HOSTILE), st.sampled_from(["int8", "fp32"]))
def test_hostile_rows_leave_finite_ordered_answers(made: Made, rows: Float32, form: Form) -> None:
    state = made.zeros(5)
    for t, row in enumerate(rows):
        state, risk, rul = made.run(form, raw(made, row), np.full(5, min(t, 1), np.float32), state)
        assert np.isfinite(state).all()
        assert (np.diff(risk, axis=1) >= 0).all()
        assert ((risk >= 0) & (risk <= 1)).all()
        assert (np.diff(rul, axis=1) >= 0).all()
        assert ((rul >= 0) & (rul <= 40)).all()


@EACH
def test_the_agent_accepts_the_graph(made: Made) -> None:
    """As it does before a session is made: operators, types, shapes, and that rows are kept apart."""
    parts = Parts(tuple(made.histories), tuple(made.histories), tuple(made.histories))
    bundle = new_bundle(made.config, parts, made.model, "0" * 64)
    for model in (bundle.model, bundle.model_fp32):
        onnx_graph.check(model, bundle.manifest)


def test_graph_is_plain_and_int8_is_small_at_full_width() -> None:
    wide = small_config(model=Model(hidden=64), data=CONFIG.data.model_copy(update={"channels": SHIPPED}))
    fix_seed(0)
    scaling = replace(PLAIN.scaling, scale=np.ones((1, 14), np.float32), offset=np.zeros((1, 14), np.float32))
    made = streaming_of(Network(wide), scaling, wide)
    fp32, int8 = export(made, "fp32"), export(made, "int8")
    assert len(int8) <= 0.30 * len(fp32)
    assert export(made, "int8") == int8, "the same model gives the same bytes"
    loaded = onnx.load_from_string(int8)
    assert loaded.ir_version == 9
    assert [(opset.domain, opset.version) for opset in loaded.opset_import] == [("", 17)]
    assert {node.domain for node in loaded.graph.node} == {""}
    assert not any(attribute.HasField("g") for node in loaded.graph.node for attribute in node.attribute)


def test_weights_keep_to_seven_bits_and_half_a_step() -> None:
    weight = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    weight[:, 3] = 0
    found = quantize(weight)
    assert np.abs(found.values).max() == 63
    assert (np.abs(found.values * found.scale - weight) <= found.scale / 2 * 1.0001).all()
    assert found.scale[3] == 1
    with pytest.raises(ValueError, match="not finite"):
        quantize(np.full((2, 2), np.nan, np.float32))
