"""What is fine-tuned is what runs: the torch forward with rounded products is the exported int8 graph."""

from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from agent.words import Float32
from tests.trainer.fleet import fleet, small_config
from trainer.config import Augment, Model, Train
from trainer.export.onnx_graph import export
from trainer.export.streaming import Streaming, streaming_of
from trainer.graph.builder import GraphBuilder, Linear, integer_product
from trainer.graph.fake_quantize import fake_quantized
from trainer.model.cells import CELLS
from trainer.model.features import Features, batch_of, features_of, fit_scaling
from trainer.model.heads import risk_of
from trainer.model.network import Network, fix_seed
from trainer.training.loop import train

AGREES = 1e-5
"""What float32 sums in another order leave of a state after one row."""
TIES = 0.02
"""Share of rows in which a value may lie between two steps to the last bit, and fall to the other side."""


def int8_product(x: Float32, layer: Linear) -> Float32:
    """`integer_product` in ONNX Runtime."""
    builder = GraphBuilder()
    builder.named("y", integer_product(builder, "x", layer))
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", size])]
        for name, size in (("x", x.shape[1]), ("y", len(layer.bias)))
    )
    graph = helper.make_graph(builder.nodes, "g", inputs, outputs, list(builder.constants.values()))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    found: Float32 = ort.InferenceSession(made.SerializeToString()).run(None, {"x": x})[0]
    return found


def test_a_rounded_product_is_that_of_the_graph_saturation_included() -> None:
    """Values on steps, within +-1, and beyond: the byte of an activation ends at -128/127 and at 1."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (64, 9)).astype(np.float32)
    x[:3] = np.array([[-5.0], [5.0], [-1.006]])
    x[3] = np.arange(-4, 5) / np.float32(127)
    weight, bias = rng.normal(size=(9, 6)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    weight[:, 4] = 0
    found = fake_quantized(*(torch.from_numpy(part) for part in (x, weight, bias))).numpy()
    np.testing.assert_allclose(found, int8_product(x, Linear(weight, bias)), atol=2e-6)
    assert np.abs(found[4:] - (x[4:] @ weight + bias)).max() > 1e-3, "it does round"
    assert np.abs(found[3, 4] - bias[4]) < 1e-7


def test_gradients_pass_straight_through() -> None:
    """Those of the product at the rounded values, for what saturates too."""
    x = torch.tensor([[0.3, -0.7, 5.0]], requires_grad=True)
    weight = torch.tensor([[1.0, 0.1], [-0.5, 0.33], [0.2, -1.7]], requires_grad=True)
    bias, pull = torch.zeros(2, requires_grad=True), torch.tensor([[2.0, -1.0]])
    fake_quantized(x, weight, bias).backward(pull)
    scale = torch.tensor([1.0, 1.7]) / 63
    with torch.no_grad():
        torch.testing.assert_close(x.grad, pull @ ((weight / scale).round() * scale).T)
        read = torch.tensor([[38.0, -89.0, 127.0]]) / 127
        torch.testing.assert_close(weight.grad, read.T @ pull)
        torch.testing.assert_close(bias.grad, pull[0])


def lives(cell: str) -> tuple[Network, list[Features], Streaming]:
    config = small_config(model=Model(cell=cell, hidden=8, age_unit=5), augment=Augment(join_share=0.5))
    scaling = fit_scaling(fleet(4), config)
    fix_seed(0)
    network = Network(config)
    for parameter in network.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    some = [replace(features_of(history, scaling, config.model), new=False) for history in fleet(4)]
    return network.eval(), some, streaming_of(network, scaling, config)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_rounded_forward_is_the_int8_graph_row_by_row(cell: str) -> None:
    """Fifty rows of four lives, once from the same states at each row and once each by itself."""
    network, some, model = lives(cell)
    session = ort.InferenceSession(export(model, "int8"), providers=["CPUExecutionProvider"])
    inputs = torch.from_numpy(batch_of(some, small_config().model.model_copy(update={"age_unit": 5})).inputs)
    size = sum(one.size for one in network.layers)
    given = alone = np.zeros((4, sum(block.size for block in model.blocks)), np.float32)
    states: list[torch.Tensor] = []
    plain: list[torch.Tensor] = []
    apart, off, off_plain = [], [], []
    for t in range(50):
        x = np.stack([history.x[t] for history in fleet(4)])
        dt = np.full(4, min(t, 1), np.float32)
        with torch.no_grad():
            outputs, states = network(inputs[t : t + 1], states, fake_quantized)
            unrounded, plain = network(inputs[t : t + 1], plain)
        given, risk, _ = session.run(None, {"x": x, "dt": dt, "state": given})
        alone, own_risk, _ = session.run(None, {"x": x, "dt": dt, "state": alone})
        mine, wanted = torch.cat(states, dim=1).numpy(), risk_of(outputs.hazard[0]).numpy()
        apart.append(np.maximum(np.abs(given[:, :size] - mine).max(axis=1), np.abs(risk - wanted).max(axis=1)))
        off.append(np.abs(own_risk - wanted).max())
        off_plain.append(np.abs(own_risk - risk_of(unrounded.hazard[0]).numpy()).max())
        given[:, :size] = mine
    assert (np.array(apart) > AGREES).mean() <= TIES
    assert np.median(off) < AGREES
    assert max(off) < 0.5 * max(off_plain), "the plain forward is what it is better than"


@pytest.mark.slow
def test_only_the_last_epochs_are_rounded() -> None:
    some = lives("lstm")[1]

    def losses(n: int, precision: str = "fp32") -> list[float]:
        settings = Train(epochs=3, batch=4).model_copy(update={"rounded_epochs": n, "precision": precision})
        return train(Network, some, some, small_config(train=settings))[1].loss

    plain, last = losses(0), losses(1)
    assert last[:2] == plain[:2]
    assert last[2] != plain[2]
    assert losses(2)[1] != plain[1]
    assert losses(3, "bf16") == losses(3), "int8 has no use for bf16: what is rounded is float32"
