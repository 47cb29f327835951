"""Each cell's equation against plain numpy, written again from its paper, and against torch's cell where it has one."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from trainer.model.cells import CELLS
from trainer.model.cells.attention import SLOTS, Attention
from trainer.model.cells.projection import Projection

Array = npt.NDArray[np.float64]
Weights = dict[str, Array]
I, H, ROWS, DEVICES = 3, 6, 40, 4  # noqa: E741


def sigmoid(v: Array) -> Array:
    return 1 / (1 + np.exp(-v))


def gated(w: Weights, x: Array, h: Array, n_gates: int) -> list[Array]:
    """Summed inputs of each gate from torch's four parts."""
    net = x @ w["fused.weight_ih_l0"].T + w["fused.bias_ih_l0"] + h @ w["fused.weight_hh_l0"].T + w["fused.bias_hh_l0"]
    return np.split(net, n_gates, axis=1)


def elman(w: Weights, xs: Array) -> Array:
    """Elman (1990)."""
    h, told = np.zeros((DEVICES, H)), []
    for x in xs:
        h = np.tanh(
            x @ w["fused.weight_ih_l0"].T
            + h @ w["fused.weight_hh_l0"].T
            + w["fused.bias_ih_l0"]
            + w["fused.bias_hh_l0"]
        )
        told.append(h)
    return np.stack(told)


def lstm(w: Weights, xs: Array) -> Array:
    """Gers, Schmidhuber and Cummins (2000)."""
    h, c, told = np.zeros((DEVICES, H)), np.zeros((DEVICES, H)), []
    for x in xs:
        i, f, g, o = gated(w, x, h, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        told.append(h)
    return np.stack(told)


def gru(w: Weights, xs: Array) -> Array:
    """Cho et al. (2014) with the reset gate after the product."""
    h, told = np.zeros((DEVICES, H)), []
    for x in xs:
        given = x @ w["fused.weight_ih_l0"].T + w["fused.bias_ih_l0"]
        fed = h @ w["fused.weight_hh_l0"].T + w["fused.bias_hh_l0"]
        r = sigmoid(given[:, :H] + fed[:, :H])
        z = sigmoid(given[:, H : 2 * H] + fed[:, H : 2 * H])
        new = np.tanh(given[:, 2 * H :] + r * fed[:, 2 * H :])
        h = z * h + (1 - z) * new
        told.append(h)
    return np.stack(told)


def peephole(w: Weights, xs: Array) -> Array:
    """Gers, Schraudolph and Schmidhuber (2002): o looks at the cell of its own row."""
    h, c, told = np.zeros((DEVICES, H)), np.zeros((DEVICES, H)), []
    for x in xs:
        i, f, g, o = np.split(x @ w["from_input"].T + h @ w["from_state"].T + w["bias"], 4, axis=1)
        input_gate, forget_gate = sigmoid(i + c * w["peepholes"][0]), sigmoid(f + c * w["peepholes"][1])
        c = forget_gate * c + input_gate * np.tanh(g)
        h = sigmoid(o + c * w["peepholes"][2]) * np.tanh(c)
        told.append(h)
    return np.stack(told)


def projection(w: Weights, xs: Array) -> Array:
    """Sak, Senior and Beaufays (2014), clipped."""
    r, c, told = np.zeros((DEVICES, H // 2)), np.zeros((DEVICES, H)), []
    for x in xs:
        i, f, g, o = gated(w, x, r, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        r = np.clip((sigmoid(o) * np.tanh(c)) @ w["fused.weight_hr_l0"].T, -1, 1)
        told.append(r)
    return np.stack(told)


def layer_norm(w: Weights, xs: Array) -> Array:
    """Ba, Kiros and Hinton (2016), equations 4 and 22."""

    def normalized(a: Array, gain: Array, offset: Array) -> Array:
        mean = a.mean(axis=1, keepdims=True)
        variance = ((a - mean) ** 2).mean(axis=1, keepdims=True)
        return (a - mean) / np.sqrt(variance + 1e-5) * gain + offset

    h, c, told = np.zeros((DEVICES, H)), np.zeros((DEVICES, H)), []
    for x in xs:
        net = x @ w["from_input"].T + h @ w["from_state"].T
        i, f, g, o = np.split(normalized(net, w["gates.0"], w["gates.1"]), 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(normalized(c, w["cell.0"], w["cell.1"]))
        told.append(h)
    return np.stack(told)


def attention(w: Weights, xs: Array) -> Array:
    """Over the last 16 hidden states, the row's own among them, fewer at the start."""
    hidden, told = lstm(w, xs), []
    for t, h in enumerate(hidden):
        past = hidden[max(0, t - 15) : t + 1]  # [n, b, H]
        query = h @ w["query.weight"].T + w["query.bias"]
        score = np.exp(np.einsum("bh,nbh->nb", query, past) / np.sqrt(H))
        found = np.einsum("nb,nbh->bh", score / score.sum(axis=0), past)
        told.append(np.tanh(np.concatenate([found, h], axis=1) @ w["out.weight"].T + w["out.bias"]))
    return np.stack(told)


EQUATIONS: dict[str, Callable[[Weights, Array], Array]] = {
    "rnn": elman,
    "lstm": lstm,
    "gru": gru,
    "peephole": peephole,
    "projection": projection,
    "layer_norm": layer_norm,
    "attention": attention,
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_its_paper_equation(name: str) -> None:
    """Every weight drawn at random, projections so large that some reach the clip and some do not."""
    rng = np.random.default_rng(0)
    made = CELLS[name](I, H).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(size=parameter.shape)))
    xs = rng.normal(size=(ROWS, DEVICES, I))
    weights = {part: value.detach().numpy() for part, value in made.named_parameters()}
    wanted = EQUATIONS[name](weights, xs)
    state, told = torch.zeros(DEVICES, made.size, dtype=torch.float64), []
    with torch.no_grad():
        for x in torch.from_numpy(xs):
            up, state = made.step(x, state)
            told.append(up.numpy())
    np.testing.assert_allclose(np.stack(told), wanted, atol=1e-12, rtol=0)


def test_the_projections_of_the_test_above_reach_the_clip_and_do_not() -> None:
    rng = np.random.default_rng(0)
    shapes = {part: tuple(value.shape) for part, value in Projection(I, H).named_parameters()}
    weights = {part: rng.normal(size=shape) for part, shape in shapes.items()}
    clipped = np.abs(projection(weights, rng.normal(size=(ROWS, DEVICES, I)))) == 1
    assert 0.01 < clipped.mean() < 0.5


@pytest.mark.parametrize(
    ("name", "peer"), [("rnn", nn.RNNCell), ("gru", nn.GRUCell), ("lstm", nn.LSTMCell)], ids=["rnn", "gru", "lstm"]
)
def test_one_step_is_that_of_torch(name: str, peer: type[nn.RNNCellBase]) -> None:
    torch.manual_seed(0)
    made, theirs = CELLS[name](I, H), peer(I, H)
    state = torch.rand(DEVICES, made.size)
    theirs.load_state_dict(
        {part.removeprefix("fused.").removesuffix("_l0"): w for part, w in made.state_dict().items()}
    )
    x = torch.randn(DEVICES, I)
    _, found = made.step(x, state)
    wanted = torch.cat(theirs(x, state.chunk(2, dim=1)), dim=1) if name == "lstm" else theirs(x, state)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


def test_a_projection_without_clip_is_that_of_torch() -> None:
    torch.manual_seed(0)
    made = Projection(I, H)
    theirs = nn.LSTM(I, H, proj_size=H // 2)
    theirs.load_state_dict(made.fused.state_dict())
    xs, state = torch.randn(ROWS, DEVICES, I), torch.zeros(DEVICES, made.size)
    wanted, _ = theirs(xs)
    for x, row in zip(xs, wanted, strict=True):
        up, state = made.step(x, state)
        torch.testing.assert_close(up, row, atol=1e-6, rtol=0)


def test_an_attention_with_one_past_row_looks_at_that_row() -> None:
    """An empty slot weighs nothing at all, however little the filled one is asked for."""
    made = Attention(I, H).double()
    with torch.no_grad():
        made.query.bias.fill_(-1e6)
        made.fused.bias_ih_l0.fill_(3.0)
    x = torch.ones(1, I, dtype=torch.float64)
    up, state = made.step(x, torch.zeros(1, made.size, dtype=torch.float64))
    h = state[:, :H]
    wanted = (torch.cat((h, h), dim=1) @ made.out.weight.T + made.out.bias).tanh()
    torch.testing.assert_close(up, wanted, atol=1e-12, rtol=0)
    assert state[0, -1] == 1
    assert not state[:, H : SLOTS * H].any()


def test_a_fused_pass_is_used_only_where_it_is_the_same() -> None:
    """A projection that reaches the clip goes row by row, and the state says so too."""
    torch.manual_seed(0)
    made = Projection(I, H).double()
    with torch.no_grad():
        made.fused.weight_hr_l0.mul_(20.0)
    xs, state = torch.randn(ROWS, DEVICES, I, dtype=torch.float64), torch.zeros(DEVICES, made.size, dtype=torch.float64)
    told, last = made(xs, state)
    assert told.abs().max() == 1
    for x, wanted in zip(xs, told, strict=True):
        up, state = made.step(x, state)
        torch.testing.assert_close(up, wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(last, state, atol=1e-12, rtol=0)
