"""A model file is looked into on its bytes; what could surprise ONNX Runtime or the gateway is refused by name."""

import itertools
from contextlib import suppress

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from agent.bundle import onnx_graph
from agent.bundle.protobuf import Malformed
from agent.bundle.work import NODE_WORK, NUMBER_WORK, Work
from tests.small_bundle import small_manifest, small_model

MODEL = small_model()
MANIFEST = small_manifest()


def small() -> onnx.ModelProto:
    return onnx.ModelProto.FromString(MODEL)


def node_with(operator: str, **attributes: object) -> onnx.ModelProto:
    """The small model with one node more, which reads `x`."""
    model = small()
    model.graph.node.append(helper.make_node(operator, ["x"], ["more"], **attributes))
    return model


def test_the_small_model_is_accepted():
    onnx_graph.check(MODEL, MANIFEST)


def test_the_work_of_a_model_is_counted_on_its_nodes():
    """A product is work of each row, a constant that a node computes is work of each call, and a node costs a call."""
    work = onnx_graph.check(MODEL, MANIFEST)
    model = node_with("MatMul")
    model.graph.node[-1].input.append("w")  # [b, 3] by [3, 3]
    assert onnx_graph.check(model.SerializeToString(), MANIFEST) == work + Work(9 + 3 * NUMBER_WORK, NODE_WORK)
    model.graph.node.append(helper.make_node("Sqrt", ["w"], ["constant"]))
    more = Work(9 + 3 * NUMBER_WORK, 2 * NODE_WORK + 9 * NUMBER_WORK)
    assert onnx_graph.check(model.SerializeToString(), MANIFEST) == work + more


def test_a_model_without_rul_is_accepted_when_the_manifest_has_none():
    model = small()
    del model.graph.output[2]
    onnx_graph.check(model.SerializeToString(), msgspec.structs.replace(MANIFEST, rul=None))


def with_subgraph() -> onnx.ModelProto:
    branch = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "branch", [], [])
    model = node_with("Identity")
    model.graph.node[-1].attribute.append(helper.make_attribute("then_branch", branch))
    return model


def with_attribute_twice() -> onnx.ModelProto:
    model = node_with("Softmax", axis=1)
    model.graph.node[-1].attribute.append(helper.make_attribute("axis", 0))
    return model


def with_external_data() -> onnx.ModelProto:
    model = small()
    weights = model.graph.initializer[6]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="/etc/passwd")
    return model


def with_location_only() -> onnx.ModelProto:
    model = small()
    model.graph.initializer[6].data_location = TensorProto.EXTERNAL
    return model


def with_claim(*dims: int) -> onnx.ModelProto:
    model = small()
    model.graph.initializer[6].dims[:] = dims
    return model


def with_weight(value: float) -> onnx.ModelProto:
    model = small()
    model.graph.initializer[6].CopyFrom(numpy_helper.from_array(np.full((3, 3), value, np.float32), "w"))
    return model


def with_numbers_as_fields() -> onnx.ModelProto:
    model = small()
    model.graph.initializer[6].CopyFrom(helper.make_tensor("w", TensorProto.FLOAT, [3, 3], [1.0] * 9))
    return model


def with_weight_type(kind: int) -> onnx.ModelProto:
    model = small()
    model.graph.initializer[6].data_type = kind
    return model


def with_input(index: int, name: str, kind: int, shape: list[object]) -> onnx.ModelProto:
    model = small()
    model.graph.input[index].CopyFrom(helper.make_tensor_value_info(name, kind, shape))
    return model


def with_output(index: int, name: str, kind: int, shape: list[object]) -> onnx.ModelProto:
    model = small()
    model.graph.output[index].CopyFrom(helper.make_tensor_value_info(name, kind, shape))
    return model


def with_imports(*imports: tuple[str, int]) -> onnx.ModelProto:
    model = small()
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in imports)
    return model


def with_function() -> onnx.ModelProto:
    model = small()
    model.functions.add(name="f", domain="here")
    return model


def with_ir(version: int) -> onnx.ModelProto:
    model = small()
    model.ir_version = version
    return model


def with_output_undone() -> onnx.ModelProto:
    model = small()
    del model.graph.node[-1]
    return model


def with_order_reversed() -> onnx.ModelProto:
    model = small()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def with_input_overwritten() -> onnx.ModelProto:
    model = small()
    model.graph.node[0].output[0] = "state"
    return model


def with_another_width() -> onnx.ModelProto:
    """`risk` is promised and declared as [b, 3], and computed as [b, 5]."""
    model = small()
    model.graph.node[19].output[0] = "unused"
    model.graph.node.append(helper.make_node("Identity", ["state"], ["risk"]))
    return model


def with_doubling(n_nodes: int) -> onnx.ModelProto:
    """Each node joins the last one's output to itself: 30 of them would need terabytes."""
    model = small()
    names = ["x", *(f"d{index}" for index in range(n_nodes))]
    for before, after in itertools.pairwise(names):
        model.graph.node.append(helper.make_node("Concat", [before, before], [after], axis=1))
    return model


def with_outer_products() -> onnx.ModelProto:
    """Constants that grow by broadcasting."""
    model = small()
    for name, shape in (("column", (8192, 1)), ("line", (1, 8192))):
        model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
    model.graph.node.append(helper.make_node("Mul", ["column", "line"], ["large"]))
    return model


def with_value_info() -> onnx.ModelProto:
    model = small()
    model.graph.value_info.append(helper.make_tensor_value_info("x0", TensorProto.INT8, ["b", 9]))
    return model


def with_split_sizes_of_rank_2() -> onnx.ModelProto:
    model = small()
    next(one for one in model.graph.initializer if one.name == "parts").dims[:] = [1, 3]
    return model


FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
REFUSED = {
    "split sizes of rank 2": (with_split_sizes_of_rank_2(), r"takes its sizes as a list, not int64 \[1, 3\]"),
    "axis as a float": (node_with("Softmax", axis=1.0), "has 1.0 as 'axis', which is no whole number"),
    "slope as a whole number": (node_with("LeakyRelu", alpha=1), "has 1 as 'alpha', which is no float"),
    "loop": (node_with("Loop"), r"node 22 \('Loop'\) is not among the operators allowed"),
    "random": (node_with("RandomNormalLike"), r"'RandomNormalLike'\) is not among"),
    "large from small": (node_with("Tile"), r"'Tile'\) is not among"),
    "custom domain": (node_with("Sigmoid", domain="com.evil"), "of the domain 'com.evil'"),
    "subgraph": (with_subgraph(), "has a subgraph"),
    "tensor attribute": (node_with("Cast", value=numpy_helper.from_array(np.zeros(3))), "has a tensor"),
    "attribute twice": (with_attribute_twice(), "has the attribute 'axis' twice"),
    "list attribute": (node_with("Softmax", axis=[1]), "has a list of whole numbers"),
    "text attribute": (node_with("Softmax", axis="1"), "has text"),
    "external data": (with_external_data(), "has external data"),
    "external location": (with_location_only(), "'w' are outside the file"),
    "2 GB claim": (with_claim(32768, 16384), r"claim 2147483648 bytes \(shape \[32768, 16384\]\) and have 36"),
    "overflowing claim": (with_claim(2**62, 2**62), "claim .* bytes"),
    "negative claim": (with_claim(-3, -3), r"a dimension below 1: \[-3, -3\]"),
    "empty claim": (with_claim(0, 3), "a dimension below 1"),
    "rank": (with_claim(1, 1, 1, 3, 3), "dims too often"),
    "NaN weight": (with_weight(float("nan")), "'w' hold NaN or infinity"),
    "infinite weight": (with_weight(float("inf")), "'w' hold NaN or infinity"),
    "numbers as fields": (with_numbers_as_fields(), "float_data instead of raw_data"),
    "string weights": (with_weight_type(TensorProto.STRING), "unsupported type number 8"),
    "channels": (with_input(0, "x", FLOAT, ["b", 4]), r"input 'x' is \[b, 4\], the manifest promises \[b, 3\]"),
    "rank of dt": (with_input(1, "dt", FLOAT, ["b", 1]), r"input 'dt' is \[b, 1\], the manifest promises \[b\]"),
    "float64 input": (with_input(0, "x", DOUBLE, ["b", 3]), "input 'x' is not float32"),
    "fixed batch": (with_input(2, "state", FLOAT, [16, 4]), "'state' fixes the number of rows"),
    "no dimension": (with_input(1, "dt", FLOAT, []), "'dt' fixes the number of rows"),
    "another input": (with_input(1, "y", FLOAT, ["b"]), "input 'y' is not one of a streaming graph"),
    "input twice": (with_input(1, "x", FLOAT, ["b", 3]), "input 'x' is there twice"),
    "horizons": (with_output(1, "risk", FLOAT, ["b", 2]), r"output 'risk' is \[b, 2\]"),
    "another output": (with_output(2, "anomaly", FLOAT, ["b"]), "output 'anomaly' is not one"),
    "opset domain": (with_imports(("", 17), ("com.microsoft", 1)), "domain 'com.microsoft'"),
    "new opset": (with_imports(("", 99)), "written for opset 99, not 17"),
    "no opset": (with_imports(), "exactly one opset"),
    "functions": (with_function(), "has functions"),
    "IR version": (with_ir(99), "IR version 99"),
    "output undone": (with_output_undone(), "no node computes the output 'rul'"),
    "order": (with_order_reversed(), r"node 0 \('Mul'\) reads 'left' before anything defines it"),
    "another width": (with_another_width(), r"'risk' is computed as float32 \[b, 5\], the manifest promises .* 3\]"),
    "doubling": (with_doubling(30), "the nodes up to 37 need more memory"),
    "outer products": (with_outer_products(), "the nodes up to 22 need more memory"),
    "value info": (with_value_info(), "graph has value_info"),
    "rows across": (node_with("Softmax", axis=0), r"'Softmax'\) works along another axis than the columns"),
    "input overwritten": (with_input_overwritten(), "'state' is defined twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case):
    model, words = REFUSED[case]
    with pytest.raises(Malformed, match=words):
        onnx_graph.check(model.SerializeToString(), MANIFEST)


def test_two_graphs_in_one_file_are_refused():
    """A protobuf library would merge them into a graph that nobody has looked at."""
    more = onnx.ModelProto(graph=helper.make_graph([helper.make_node("Loop", ["x"], ["y"])], "g", [], []))
    with pytest.raises(Malformed, match="model has graph too often"):
        onnx_graph.check(MODEL + more.SerializeToString(), MANIFEST)


def varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value > 0x7F else bytes([value])


def length_delimited(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


BROKEN_NOTE = b"\xff\xff"


def with_broken_note(where: str) -> bytes:
    """The small model with `metadata_props` that are no pairs of texts, on the last node, the graph or the model."""
    if where == "model":
        return MODEL + length_delimited(14, BROKEN_NOTE)
    model = small()
    node = model.graph.node.pop().SerializeToString()
    if where == "node":
        node += length_delimited(9, BROKEN_NOTE)
    graph_bytes = model.graph.SerializeToString() + length_delimited(1, node)
    if where == "graph":
        graph_bytes += length_delimited(16, BROKEN_NOTE)
    model.ClearField("graph")
    return model.SerializeToString() + length_delimited(7, graph_bytes)


@pytest.mark.parametrize("where", ["node", "graph", "model"])
def test_notes_that_onnx_runtime_could_not_read_are_refused(where):
    with pytest.raises(Malformed, match="metadata_props ends inside a number"):
        onnx_graph.check(with_broken_note(where), MANIFEST)


def test_an_unknown_field_is_refused():
    with pytest.raises(Malformed, match="model has field 500"):
        onnx_graph.check(MODEL + bytes([0xA0, 0x1F, 0x00]), MANIFEST)


def test_every_truncation_is_refused():
    for size in range(len(MODEL)):
        with pytest.raises(Malformed):
            onnx_graph.check(MODEL[:size], MANIFEST)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, len(MODEL) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_never_raise_anything_else(flips):
    model = bytearray(MODEL)
    for place, bits in flips:
        model[place] ^= bits
    with suppress(Malformed):
        onnx_graph.check(bytes(model), MANIFEST)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data):
    with pytest.raises(Malformed):
        onnx_graph.check(data, MANIFEST)


@pytest.mark.parametrize("operator", ["Split", "Sigmoid"])
def test_a_node_without_outputs_is_refused(operator):
    model = small()
    model.graph.node.append(helper.make_node(operator, ["x"], []))
    with pytest.raises(Malformed, match=rf"node \d+ \('{operator}'\) has no output"):
        onnx_graph.check(model.SerializeToString(), MANIFEST)
