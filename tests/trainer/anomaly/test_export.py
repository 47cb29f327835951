"""The graph of the `anomaly` head says what `charts.py` says, and a row's bits depend on that row alone."""

from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agent.words import Bool, Float32
from trainer.anomaly.charts import Bank, Channels, ChartSpec, Pool, anomaly, chart_rows, recursion, residual_of
from trainer.anomaly.forecaster import forecasts_of
from trainer.anomaly.model import PREFIX, AnomalyModel, Forecaster, float32
from trainer.anomaly.moments import Learning, moments_of
from trainer.data.history import Float64
from trainer.export.onnx_graph import export
from trainer.graph.builder import Form, Linear
from trainer.model.cells.lstm import Lstm
from trainer.model.network import fix_seed
from trainer.model.regimes import Groups

F, N = 5, 24
SCALE = np.array([1.0, 0.5, 2.0, 0.0, 0.0])
OFFSET = np.array([0.0, -1.0, 3.0, 0.0, 0.0])
EVENTS = np.array([False, False, False, False, True])  # the fourth was constant over the fit devices
CHARTS = (
    ChartSpec("level", 0, 0.05, "max"),
    ChartSpec("forecast", 4, 0.2, "max"),
    ChartSpec("smoothing", 0, 1.0, "mean"),
    ChartSpec("forecast", 1, 1.0, "mean"),
    ChartSpec("event", 3, 0.1, "max"),
)


def forecaster() -> Forecaster:
    fix_seed(0)
    rng = np.random.default_rng(0)
    cell = Lstm(F, 8)
    cell.start("forget_one", 20.0)
    readouts = {
        ahead: Linear(rng.normal(0, 0.5, (F + 8, F)).astype(np.float32), np.zeros(F, np.float32)) for ahead in (1, 4)
    }
    return Forecaster(cell.scaled(1.0), readouts)


def model_of(*charts: ChartSpec, pools: tuple[Pool, ...] = ()) -> AnomalyModel:
    bank = Bank(charts, Learning(N), Channels(SCALE, OFFSET, EVENTS), pools or (Pool.unused(F),) * len(charts))
    scale, offset = SCALE[None].astype(np.float32), OFFSET[None].astype(np.float32)
    nets = forecaster() if any(chart.residual == "forecast" for chart in charts) else None
    scales = tuple(1.5 + index for index in range(len(charts)))
    return AnomalyModel(bank, scale, offset, None, F, scales, 2.0, nets)


def session(model: AnomalyModel, form: Form) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(export(None, form, model), options, providers=["CPUExecutionProvider"])


MODEL = model_of(*CHARTS)
SESSIONS: dict[Form, ort.InferenceSession] = {"fp32": session(MODEL, "fp32"), "int8": session(MODEL, "int8")}
SIZE = sum(block.size for block in MODEL.blocks)
LOST = np.repeat([not block.kept for block in MODEL.blocks], [block.size for block in MODEL.blocks])


def histories(n: int, rows: int, seed: int) -> Float32:
    """float32 [rows, n, F]: noise, a step late in two of them, values missing, a channel that comes late, events."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, n, F)) + rng.normal(size=(n, F))
    x[rows // 2 :, ::2, 0] += 2
    x[..., 3] = 7.0
    x[..., 4] = rng.random((rows, n)) < 0.1
    x[rng.random(x.shape) < 0.1] = np.nan
    x[: N + 5, 1, 1] = np.nan
    x[:10, 2, 2] = np.nan
    x[:, 3, 0] = 1.25
    return x.astype(np.float32)


def streamed(
    model: AnomalyModel, run: ort.InferenceSession, x: Float32, lost: Bool
) -> tuple[Float32, Float32, Float32]:
    """anomaly [T, n], contribution [T, n, F], learned [T, n] of rows [T, n, F], row by row as an agent steps them."""
    state = np.zeros((x.shape[1], sum(block.size for block in model.blocks)), np.float32)
    is_lost = np.repeat([not block.kept for block in model.blocks], [block.size for block in model.blocks])
    found = []
    for row, begins in zip(x, lost, strict=True):
        if begins:
            state[:, is_lost] = 0
        dt = np.zeros(len(row), np.float32)
        state, *outputs = run.run(None, {"x": row, "dt": dt, "state": state})
        assert np.isfinite(state).all()
        found.append(outputs)
    score, share, learned = (np.stack(parts) for parts in zip(*found, strict=True))
    return score[..., 0], share, learned[..., 0]


def expected(model: AnomalyModel, x: Float32, lost: Bool) -> tuple[Float64, Float64, Float64]:
    """The same of one device's rows [T, F] by the reference."""
    bank = model.bank
    moments = moments_of(x, bank.channels.scale, bank.channels.offset, bank.learning)
    forecasts = forecasts_of(model.forecaster, moments.z, lost) if model.forecaster is not None else {}
    rows = chart_rows(bank, x, forecasts, lost)
    score, share = anomaly(rows, model.scales)
    return score, share, rows.distance / model.unit


@pytest.mark.parametrize("charts", [CHARTS, CHARTS[:1], CHARTS[2:3], (CHARTS[4],), (CHARTS[1],)])
def test_the_fp32_graph_is_the_reference_row_by_row(charts: tuple[ChartSpec, ...]) -> None:
    """With missing values, a constant channel, one that comes after the learning, events, and lost history."""
    model = model_of(*charts)
    x = histories(6, 120, seed=1)
    lost = np.zeros(len(x), np.bool_)
    lost[[15, 70]] = True
    score, share, learned = streamed(model, session(model, "fp32"), x, lost)
    for device in range(x.shape[1]):
        want, want_share, want_learned = expected(model, x[:, device], lost)
        np.testing.assert_allclose(score[:, device], want, rtol=2e-3, atol=1e-4)
        np.testing.assert_allclose(share[:, device], want_share, atol=2e-3)
        np.testing.assert_allclose(learned[:, device], want_learned, rtol=1e-3)
    assert (score[:N] < 0).all()
    assert (score[N + 8 : 70] >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_pool_judges_what_a_device_had_no_values_to_learn_from(seed: int) -> None:
    """Channels that come long after the learning, one channel alone, huge values, and history lost before and after."""
    rng = np.random.default_rng(seed)
    pools = tuple(
        Pool(rng.normal(0, 0.3, F), rng.uniform(0.01, 2, F), *np.full((2, F), 1.0 * (index == seed)))
        for index in range(len(CHARTS))
    )
    model = model_of(*CHARTS, pools=pools)
    x = histories(4, 120, seed)
    x[:60, 0] = np.nan
    x[:60, 0, 0] = 0  # so that the row has a value
    x[:, 1, 1:] = np.nan
    x[rng.random(x.shape) < 0.02] = 1e38
    lost = np.isin(np.arange(len(x)), [10, 40, 65, 90])
    score, share, _ = streamed(model, session(model, "fp32"), x, lost)
    for device in range(x.shape[1]):
        want, want_share, _ = expected(model, x[:, device], lost)
        np.testing.assert_allclose(score[:, device], want, rtol=2e-3, atol=1e-3)
        np.testing.assert_allclose(share[:, device], want_share, atol=3e-3)
        np.testing.assert_allclose(share[score[:, device] >= 0, device].sum(axis=1), 1, atol=1e-5)


def test_rows_are_scaled_by_their_regime_in_the_graph_too() -> None:
    """Two regimes, told by one setting beside the channels, with a scale and an offset each."""
    scale, offset = np.stack((SCALE, 3 * SCALE)), np.stack((OFFSET, OFFSET - 1))
    groups = Groups(*(np.asarray(one, np.float32) for one in ([1.0], [0.0], [[-0.5], [0.5]])))
    plain = model_of(*CHARTS)
    model = replace(plain, scale=float32(scale), offset=float32(offset), regimes=groups, n_x=F + 1)
    x = histories(4, 90, seed=3)
    regime = np.random.default_rng(3).integers(0, 2, x.shape[:2])
    lost = np.zeros(len(x), np.bool_)
    rows = np.concatenate((x, (regime - 0.5)[..., None]), axis=2).astype(np.float32)
    score, share, _ = streamed(model, session(model, "fp32"), rows, lost)
    assert share.shape[2] == F + 1
    assert not share[..., F:].any()
    for device in range(x.shape[1]):
        of = regime[:, device]
        channels = Channels(scale[of], offset[of], EVENTS)
        want, _, _ = expected(replace(plain, bank=replace(plain.bank, channels=channels)), x[:, device], lost)
        np.testing.assert_allclose(score[:, device], want, rtol=2e-3, atol=1e-4)


def test_int8_differs_by_the_forecasts_alone() -> None:
    x = histories(6, 120, seed=2)
    lost = np.zeros(len(x), np.bool_)
    score = {form: streamed(MODEL, run, x, lost)[0] for form, run in SESSIONS.items()}
    judged = score["fp32"] > 0
    assert (judged == (score["int8"] > 0)).all()
    assert np.median(np.abs(score["int8"][judged] / score["fp32"][judged] - 1)) < 0.02
    plain = model_of(CHARTS[0], CHARTS[2])
    assert export(None, "int8", plain) == export(None, "fp32", plain)


ORDINARY = st.floats(-4, 4, width=32)
HOSTILE = st.sampled_from(np.float32([np.nan, np.inf, -np.inf, 1e38, -1e38]).tolist())


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    arrays(np.float32, (8, 3, F), elements=ORDINARY),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 3, 17, 256]),
    st.sampled_from([0, N - 4, N // 2 - 3]),
)
def test_a_device_has_the_same_bits_alone_and_among_hostile_neighbours(
    rows: Float32, seed: int, batch: int, learnt: int
) -> None:
    """Law 2. Rows of up to three devices, each alone, then last in a batch of hostile ones; compare bytes."""
    rng = np.random.default_rng(seed)
    hostile = np.float32([np.nan, np.inf, -np.inf, 1e38, -1e38, 0, 1, -2])
    others = rng.choice(hostile, (8, 256, F))
    mine = min(3, batch)
    start = np.zeros((1, SIZE), np.float32)
    dt = np.zeros(batch, np.float32)
    for row in histories(4, N + 8, seed % 7)[:learnt, :1]:
        start = SESSIONS["int8"].run(None, {"x": row, "dt": dt[:1], "state": start})[0]
    together, alone = np.repeat(start, batch, axis=0), [start] * mine
    together[: batch - mine] = rng.choice(hostile, (batch - mine, SIZE))
    for row, neighbours in zip(rows, others, strict=True):
        x = np.concatenate((neighbours[: batch - mine], row[:mine]))
        together, *outputs = SESSIONS["int8"].run(None, {"x": x, "dt": dt, "state": together})
        for device in range(mine):
            place = slice(batch - mine + device, batch - mine + device + 1)
            alone[device], *own = SESSIONS["int8"].run(None, {"x": x[place], "dt": dt[:1], "state": alone[device]})
            for found, wanted in zip([together, *outputs], [alone[device], *own], strict=True):
                assert found[place].tobytes() == wanted.tobytes()


def test_hostile_rows_leave_a_finite_state_and_an_answer() -> None:
    """Infinite and huge values, and none at all, from the first row on."""
    rng = np.random.default_rng(0)
    x = rng.choice(np.float32([np.nan, np.inf, -np.inf, 1e38, -1e38, 0]), (3 * N, 7, F))
    score, share, learned = streamed(MODEL, SESSIONS["int8"], x, np.zeros(3 * N, np.bool_))
    assert np.isfinite(score).all()
    assert np.isfinite(learned).all()
    assert (score[N + 4 :] >= 0).all()
    np.testing.assert_allclose(share[N + 4 :].sum(axis=2), 1, atol=1e-5)
    assert not share[:N].any()


@pytest.mark.slow
def test_what_a_long_learning_sums_up_in_float32_does_not_drift() -> None:
    """Two days of rows each 3 s: all that is learnt, as in float64, of a channel far from zero, too.

    It lies 25 pooled deviations away and varies by 0.003 of one on the first device, more slowly on the second, and
    between two levels of the machine on the third.
    """
    n_rows, charts = 60_000, (CHARTS[0], CHARTS[2])
    model = replace(model_of(*charts), bank=replace(model_of(*charts).bank, learning=Learning(n_rows)))
    run, rng, t = session(model, "int8"), np.random.default_rng(0), np.arange(n_rows)
    x = rng.normal(size=(n_rows, 3, F))
    x[..., 0] = 25 + 0.003 * x[..., 0]
    x[:, 1, 0] += 0.01 * np.sin(2 * np.pi * t / 28_800)
    x[:, 2, 0] += np.where(t < n_rows // 2, 0.0, 0.01)
    x = x.astype(np.float32)
    state, dt = np.zeros((3, sum(block.size for block in model.blocks)), np.float32), np.zeros(3, np.float32)
    for row in x:
        (state,) = run.run(["state_out"], {"x": row, "dt": dt, "state": state})
    names = [block.name.removeprefix(PREFIX) for block in model.blocks]
    parts = np.split(state, np.cumsum([block.size for block in model.blocks])[:-1], axis=1)
    learnt = dict(zip(names, parts, strict=True))
    assert (learnt["rows"] == n_rows).all()
    for device in range(3):
        moments = moments_of(x[:, device], SCALE, OFFSET, model.bank.learning)
        sensors = slice(0, 3)
        own, squares = moments.mean[-1, sensors], n_rows * moments.y[:, sensors].var(axis=0)
        np.testing.assert_allclose(learnt["squares"][device, sensors], squares, rtol=1e-3)
        for index, (chart, bias) in enumerate(zip(charts, ("mean", "bias"), strict=True)):
            spread, centre = chart_of(chart, model, x[:, device])
            np.testing.assert_allclose(learnt[f"spread{index}"][device, sensors], n_rows * spread[sensors], rtol=1e-3)
            off = learnt[bias][device, sensors] - centre[sensors]
            assert (np.abs(off) < 0.01 * np.sqrt(spread[sensors])).all(), "of what the chart varies by"
        assert (np.abs(learnt["mean"][device, sensors] - own) < 0.01 * np.sqrt(squares / n_rows)).all()


def chart_of(chart: ChartSpec, model: AnomalyModel, x: Float32) -> tuple[Float64, Float64]:
    """Mean square of a chart and mean of its residual, float64 [F], over rows [T, F] that all teach."""
    learning, fresh = model.bank.learning, np.arange(len(x)) == 0
    residual, _ = residual_of(chart, learning, moments_of(x, SCALE, OFFSET, learning), fresh, None)
    own = np.cumsum(residual, axis=0) / np.arange(1, len(x) + 1)[:, None]
    keeps = np.broadcast_to(np.where(fresh, 0.0, 1 - chart.rate)[:, None], residual.shape)
    e = recursion(keeps, chart.rate * (residual - own))
    return (e**2).mean(axis=0), own[-1]
