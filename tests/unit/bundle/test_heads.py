"""What a new head touches: a file of its own, a line in HEADS, and nothing else between the model and the message."""

import json

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from agent.bundle import golden, heads, onnx_graph
from agent.bundle.golden import concatenated
from agent.bundle.head import Head
from agent.bundle.heads import HEADS, widths
from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.core.model import Model
from agent.publish.message import event_message, score_messages
from agent.publish.topic import Topics
from agent.step.engine import Engine
from tests.small_bundle import small_manifest, small_model
from tests.streams import SOURCE, CoreBundle, life

WEAR = Head(  # the toy: how worn the model thinks that a device is
    width=lambda manifest: 1,
    faults=lambda manifest: iter(()),
    members=lambda values, label: {"wear": round(values[0], 3)} if values else {},
)


@pytest.fixture
def toy(monkeypatch):
    """HEADS with one line more, and the small model with one output more: its first state column."""
    monkeypatch.setitem(HEADS, "wear", WEAR)
    model = onnx.ModelProto.FromString(small_model())
    weight = np.float32([[1.0], *[[0.0]] * (small_manifest().state_size - 1)])
    model.graph.initializer.append(numpy_helper.from_array(weight, "wear_weight"))
    model.graph.node.append(helper.make_node("MatMul", ["state_out", "wear_weight"], ["wear"]))
    model.graph.output.append(helper.make_tensor_value_info("wear", TensorProto.FLOAT, ["b", 1]))
    return model.SerializeToString()


def played(model: bytes):
    manifest = small_manifest()
    own = Model("main", CoreBundle(manifest, "d" * 64), Engine(model, manifest), {"risk": 0.5}, (0,), ((0, 1, 2),))
    core = Core((SOURCE,), (own,), Bounds())
    rows = life("p1", 60)
    arrived_ns = [10**9 + 10**7 * index for index in range(len(rows))]
    return core.apply(Messages([topic for topic, _ in rows], [payload for _, payload in rows], arrived_ns))


def test_a_head_in_the_dict_goes_from_the_model_to_the_messages(toy):
    assert widths(small_manifest()) == {"risk": 3, "rul": 3, "wear": 1}
    onnx_graph.check(toy, small_manifest())
    taken = played(toy)
    (scores,) = taken.scores
    assert scores.outputs["wear"].shape == (60, 1)
    topics = Topics.of("forewarn", "n")
    _, payload = next(score_messages(scores, [SOURCE], small_manifest(), topics))
    assert np.float32(json.loads(payload)["wear"]) == scores.outputs["wear"][0]
    raised = next(event for event in taken.alerts if event.kind == "raised")
    assert json.loads(event_message(raised))["wear"] == round(raised.outputs["wear"][0], 3)
    again = msgspec.json.decode(msgspec.json.encode(raised), type=type(raised))
    assert again == raised, "and through the alert table"


def test_what_the_other_heads_say_is_not_moved_by_it(toy, monkeypatch):
    with_toy = played(toy)
    monkeypatch.delitem(heads.HEADS, "wear")
    without = played(small_model())
    for name in ("risk", "rul"):
        assert with_toy.scores[0].outputs[name].tobytes() == without.scores[0].outputs[name].tobytes()
    assert [event.alert for event in with_toy.alerts] == [event.alert for event in without.alerts]


def test_its_golden_rows_are_kept_and_a_bundle_without_it_is_read_as_before(toy, monkeypatch):
    manifest = small_manifest()
    engine, state = Engine(toy, manifest), np.zeros((1, manifest.state_size), np.float32)
    x, dt = np.zeros((1, 3), np.float32), np.zeros(1, np.float32)
    after, outputs = engine.run(x, dt, state)
    rows = concatenated([golden.Golden(x, dt, state, after, outputs)])
    back = golden.unpack(rows.pack(), manifest)
    assert back.outputs["wear"].tobytes() == outputs["wear"].tobytes()
    monkeypatch.setitem(HEADS, "wear", Head(lambda manifest: 0, WEAR.faults, WEAR.members))
    without = golden.Golden(x, dt, state, after, {name: outputs[name] for name in ("risk", "rul")})
    assert [*golden.unpack(without.pack(), manifest).outputs] == ["risk", "rul"]


def test_a_model_without_a_promised_head_is_refused(toy):
    with pytest.raises(onnx_graph.Malformed, match="wear"):
        onnx_graph.check(small_model(), small_manifest())
