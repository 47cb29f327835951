"""What every cell of the family keeps, so that any of them can stand in the place of any other."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from agent.bundle import onnx_graph as agent_graph
from agent.bundle.manifest import RiskHead, StateBlock
from agent.errors import ConfigurationRefused
from agent.words import Float32
from bench.cells import OneCell, graph
from tests.small_bundle import small_manifest
from tests.trainer.export.test_export import CONFIG, HISTORIES, make
from tests.trainer.fleet import small_config
from trainer.config import Model
from trainer.graph.builder import Form
from trainer.model.cells import CELLS, cell_named
from trainer.model.cells.cell import Cell, Start, dense
from trainer.model.features import batch_of, features_of
from trainer.model.heads import risk_of
from trainer.model.network import Network

pytestmark = pytest.mark.slow

each_cell = pytest.mark.parametrize("name", CELLS)
each_form = pytest.mark.parametrize("form", ["fp32", "int8"])
INPUTS, HIDDEN = 5, 8
STARTS: tuple[Start, ...] = ("torch", "forget_one", "chrono")


def cell(name: str, n_inputs: int = INPUTS, hidden: int = HIDDEN, how: Start = "forget_one", loud: float = 0.2) -> Cell:
    """Started by a fixed seed, every weight then moved by `loud` normals, so that none is 0 or 1 as it began."""
    torch.manual_seed(7)
    made = CELLS[name](n_inputs, hidden)
    made.start(how, 50.0)
    for parameter in made.parameters():
        parameter.data += loud * torch.randn_like(parameter)
    return made


def reference(name: str) -> ModuleType:
    """Equation and bound of a cell, from the folder of its name."""
    return importlib.import_module(f"tests.trainer.model.cells.{name}.equation")


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def fake_quantized(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Another product than the plain one, so that a cell cannot take its short cut."""
    return dense(x, weight, bias)


def test_every_cell_can_be_named_in_a_configuration_and_no_other() -> None:
    for name in CELLS:
        assert cell_named(name) is CELLS[name]
    config = small_config(model=Model(cell="lstn", hidden=8))
    with pytest.raises(ConfigurationRefused, match=r"model\.cell: there is no cell 'lstn'\n  Did you mean lstm\? "):
        Network(config)


@each_cell
def test_every_cell_is_described(name: str) -> None:
    page = (Path(__file__).parents[4] / "docs/cells.md").read_text()
    assert f"- **`{name}`**" in page


@each_cell
def test_a_cell_is_its_papers_equation(name: str) -> None:
    """Written again in plain numpy. Every weight drawn at random, so large that bounds are reached."""
    rng = np.random.default_rng(0)
    made = CELLS[name](3, 6).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(size=parameter.shape)))
    xs = rng.normal(size=(40, 4, 3))
    weights = {part: value.detach().numpy() for part, value in made.named_parameters()}
    state, outputs = torch.zeros(4, made.size, dtype=torch.float64), []
    with torch.no_grad():
        for x in torch.from_numpy(xs):
            output, state = made.step(x, state)
            outputs.append(output.numpy())
    np.testing.assert_allclose(np.stack(outputs), reference(name).equation(weights, xs, 6), atol=1e-12, rtol=0)


@each_cell
def test_blocks_and_width_are_what_comes_out(name: str) -> None:
    made = cell(name).double()
    assert made.n_inputs == INPUTS
    assert made.size == sum(size for _, size in made.blocks)
    assert len({block for block, _ in made.blocks}) == len(made.blocks)
    up, state = made.step(normals(3, INPUTS), torch.zeros(3, made.size, dtype=torch.float64))
    assert up.shape == (3, made.width)
    assert state.shape == (3, made.size)


@each_cell
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_whole_history_is_row_by_row_and_in_two_chunks(name: str, start: float) -> None:
    """The fused pass, the loop, and both halves with the state carried between; rows enough to fill and turn a ring."""
    made = cell(name).double()
    inputs, state = normals(41, 3, INPUTS), torch.full((3, made.size), start, dtype=torch.float64)
    whole, last = made(inputs, state)
    looped, looped_last = made(inputs, state, fake_quantized)
    first, between = made(inputs[:9], state)
    second, after = made(inputs[9:], between)
    for told, end in ((looped, looped_last), (torch.cat((first, second)), after)):
        torch.testing.assert_close(told, whole, atol=1e-12, rtol=0)
        torch.testing.assert_close(end, last, atol=1e-12, rtol=0)
    for x, wanted in zip(inputs, whole, strict=True):
        up, state = made.step(x, state)
        torch.testing.assert_close(up, wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(state, last, atol=1e-12, rtol=0)


@each_cell
def test_gradients_are_those_of_differences(name: str) -> None:
    """Inputs, state and every weight, through the fused pass and through the loop; five rows."""
    made = cell(name, n_inputs=2, hidden=4).double()
    names = [parameter for parameter, _ in made.named_parameters()]
    inputs = normals(5, 2, 2).requires_grad_()
    state = torch.full((2, made.size), 0.3, dtype=torch.float64).requires_grad_()
    weights = [parameter.detach().clone().requires_grad_() for parameter in made.parameters()]
    for product in (dense, fake_quantized):

        def told(inputs: Tensor, state: Tensor, *weights: Tensor) -> Tensor:
            given = dict(zip(names, weights, strict=True))
            return torch.func.functional_call(made, given, (inputs, state, product))[0]  # noqa: B023

        assert torch.autograd.gradcheck(told, (inputs, state, *weights), fast_mode=True)


@each_cell
def test_scaled_says_the_same_of_smaller_inputs_and_leaves_the_cell_as_it_is(name: str) -> None:
    made = cell(name).double()
    inputs, state = normals(20, 3, INPUTS), torch.full((3, made.size), 0.3, dtype=torch.float64)
    wanted, _ = made(inputs, state)
    frozen = made.scaled(4.0)
    found, _ = frozen(inputs / 4.0, state)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    torch.testing.assert_close(made(inputs, state)[0], wanted, atol=0, rtol=0)
    assert all(parameter.requires_grad for parameter in made.parameters())


@each_cell
@pytest.mark.parametrize("how", STARTS)
def test_a_start_draws_every_weight_anew_and_by_the_seed_alone(name: str, how: Start) -> None:
    """Whatever the weights were before; and no two seeds alike."""
    made, drawn = cell(name), []
    for seed in (1, 1, 2):
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.fill_(9.0)
        torch.manual_seed(seed)
        made.start(how, 50.0)
        drawn.append(torch.cat([parameter.detach().flatten() for parameter in made.parameters()]))
    assert drawn[0].isfinite().all()
    assert drawn[0].abs().max() < 4.0  # log 49 is the largest
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def walk(rows: int, devices: int, n_inputs: int) -> Float32:
    """Inputs as a bundle's are, within +-1: slow walks with noise on them."""
    rng = np.random.default_rng(3)
    slow = np.cumsum(rng.normal(size=(rows, devices, n_inputs)), axis=0) * 0.03
    return np.clip(np.sin(slow) * 0.7 + 0.2 * rng.normal(size=slow.shape), -1, 1).astype(np.float32)


@each_cell
def test_fp32_graph_is_the_cell_over_a_thousand_rows(name: str) -> None:
    """Each side carries its own state."""
    made = cell(name, n_inputs=13, hidden=24, loud=0.1).requires_grad_(False)
    run, inputs = OneCell(made, "fp32"), walk(1000, 4, 13)
    ours, reference = np.zeros((4, made.size), np.float32), torch.zeros(4, made.size)
    for x in inputs:
        up, ours = run.step(x, ours)
        wanted, reference = made.step(torch.from_numpy(x), reference)
        np.testing.assert_allclose(up, wanted.numpy(), atol=1e-5, rtol=0)
    np.testing.assert_allclose(ours, reference.numpy(), atol=1e-4, rtol=0)


@each_cell
def test_int8_stays_within_its_bound_over_a_thousand_rows(name: str) -> None:
    made = cell(name, n_inputs=13, hidden=64, loud=0.0).requires_grad_(False)
    runs, inputs = [OneCell(made, form) for form in ("fp32", "int8")], walk(1000, 16, 13)
    states, furthest = [np.zeros((16, made.size), np.float32)] * 2, []
    for x in inputs:
        ups = []
        for side, run in enumerate(runs):
            up, states[side] = run.step(x, states[side])
            ups.append(up)
        furthest.append(np.abs(ups[0] - ups[1]).max())
    assert 0 < max(furthest) <= reference(name).INT8_WITHIN


@each_cell
@each_form
def test_the_agent_accepts_the_graph(name: str, form: Form) -> None:
    """Its own check of a bundle's bytes: operators, shapes, and that rows stay apart."""
    made = cell(name)
    manifest = msgspec.structs.replace(
        small_manifest(),
        channels=small_manifest().channels[:1] * INPUTS,
        state=tuple(StateBlock(name=block, size=size) for block, size in made.blocks),
        risk=RiskHead(horizons_s=tuple(float(1 + index) for index in range(made.width))),
        rul=None,
    )
    agent_graph.check(graph(made, form), manifest)
    assert graph(made, form) == graph(made, form)


@each_cell
def test_a_network_of_it_streams_as_it_was_trained(name: str) -> None:
    """Two layers over whole histories, and the bundle's fp32 graph row by row."""
    made = make(CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"cell": name})}), HISTORIES)
    lives = [replace(features_of(history, made.scaling, made.config.model), new=False) for history in HISTORIES]
    with torch.no_grad():
        outputs, _ = made.network(torch.from_numpy(batch_of(lives, made.config.model).inputs))
    state = made.zeros(len(HISTORIES))
    for t, wanted in enumerate(risk_of(outputs.hazard).numpy()[:30]):
        x, dt = np.stack([history.x[t] for history in HISTORIES]), np.full(len(HISTORIES), min(t, 1), np.float32)
        state, risk, _ = made.run("fp32", x, dt, state)
        np.testing.assert_allclose(risk, wanted, atol=2e-5)


RUNS: dict[tuple[str, str], Callable[[Float32, Float32], tuple[Float32, Float32]]] = {
    (name, form): OneCell(cell(name), form).step for name in CELLS for form in ("fp32", "int8")
}
SIZES = {name: cell(name).size for name in CELLS}
ORDINARY = st.floats(-1, 1, width=32)
HUGE = st.sampled_from(np.float32([1e30, -1e30, 7.5]).tolist())
NOT_FINITE = st.sampled_from(np.float32([np.nan, np.inf, -np.inf]).tolist())


@each_cell
@each_form
@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float32, (20, 2, INPUTS), elements=ORDINARY),
    arrays(np.float32, (20, 40, INPUTS), elements=ORDINARY | HUGE | NOT_FINITE),
    st.sampled_from([1, 2, 15, 40]),
)
def test_a_device_has_the_same_bits_alone_and_among_hostile_neighbours(
    name: str, form: Form, rows: Float32, others: Float32, n_others: int
) -> None:
    """Law 2. Twenty rows of two devices, each alone, then in front of up to forty others; compare bytes."""
    run, n = RUNS[name, form], 2 + n_others
    together, alone = np.zeros((n, SIZES[name]), np.float32), [np.zeros((1, SIZES[name]), np.float32)] * 2
    for mine, theirs in zip(rows, others, strict=True):
        up, together = run(np.concatenate([mine, theirs[:n_others]]), together)
        for device in range(2):
            one = slice(device, device + 1)
            own, alone[device] = run(mine[one], alone[device])
            assert up[one].tobytes() == own.tobytes()
            assert together[one].tobytes() == alone[device].tobytes()


@each_cell
@each_form
@settings(max_examples=25, deadline=None)
@given(arrays(np.float32, (30, 4, INPUTS), elements=ORDINARY | HUGE))
def test_outputs_stay_within_one_whatever_comes_in(name: str, form: Form, rows: Float32) -> None:
    """To two roundings: ONNX Runtime's Tanh goes as far as 1.0000002."""
    state = np.zeros((4, SIZES[name]), np.float32)
    for row in rows:
        up, state = RUNS[name, form](row, state)
        assert (np.abs(up) <= 1 + 2.5e-7).all()
        assert np.isfinite(state).all()
