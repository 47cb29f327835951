"""The streaming graph as ONNX: standard operators only, no subgraphs, every operation on each row by itself.

fp32 and int8 differ in one thing, the product of a layer's input with its weights (`PRODUCTS`); a test holds fp32
equal to `trainer/streaming.py`. Names are short since they are a good part of what is not weights.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

from trainer.quantize import ACTIVATION_SCALE, ACTIVATION_ZERO, quantize
from trainer.streaming import WEIGHT_MIN, Linear, Streaming

OPSET = 17
IR_VERSION = 9
Form = Literal["fp32", "int8"]


class Tape:
    """Nodes and initializers in the order they are written."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[bytes, TensorProto] = {}

    def op(self, kind: str, *inputs: str, axis: int | None = None, to: int | None = None) -> str:
        """Append a node with one output; returns the output's name."""
        return self.ops(kind, 1, *inputs, axis=axis, to=to)[0]

    def ops(self, kind: str, n_outputs: int, *inputs: str, axis: int | None = None, to: int | None = None) -> list[str]:
        """Append a node, leaving out attributes that are None; returns its outputs' names."""
        outputs = [f"{len(self.nodes)}{'abcdefghijklmnop'[index]}" for index in range(n_outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, axis=axis, to=to))
        return outputs

    def named(self, name: str, source: str) -> None:
        """Give a value the name of a graph output."""
        self.nodes.append(helper.make_node("Identity", [source], [name]))

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """An initializer, shared between equal values; returns its name."""
        array = np.asarray(value, dtype=dtype)
        key = f"{array.dtype}{array.shape}".encode() + array.tobytes()
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, f"k{len(self.constants)}")
        return self.constants[key].name

    def split(self, source: str, sizes: list[int]) -> list[str]:
        """Columns of `source` in runs of `sizes`."""
        return self.ops("Split", len(sizes), source, self.constant(sizes, np.int64), axis=1)

    def affine(self, source: str, scale: npt.ArrayLike, offset: npt.ArrayLike) -> str:
        return self.op("Add", self.op("Mul", source, self.constant(scale)), self.constant(offset))

    def linear(self, source: str, layer: Linear) -> str:
        return self.op("Add", self.op("MatMul", source, self.constant(layer.weight)), self.constant(layer.bias))


def float_product(tape: Tape, source: str, layer: Linear) -> str:
    """source @ weight + bias in float32."""
    return tape.linear(source, layer)


def integer_product(tape: Tape, source: str, layer: Linear) -> str:
    """The same with 8-bit inputs, 7-bit weights and 32-bit sums, which are exact in any order and any batch."""
    quantized = quantize(layer.weight)
    zero = tape.constant(ACTIVATION_ZERO, np.uint8)
    read = tape.op("QuantizeLinear", source, tape.constant(ACTIVATION_SCALE), zero)
    sums = tape.op("MatMulInteger", read, tape.constant(quantized.values, np.int8), zero)
    return tape.affine(tape.op("Cast", sums, to=TensorProto.FLOAT), quantized.scale * ACTIVATION_SCALE, layer.bias)


PRODUCTS: dict[Form, Callable[[Tape, str, Linear], str]] = {"fp32": float_product, "int8": integer_product}


def export(model: Streaming, form: Form) -> bytes:
    """The graph: x [b, F], dt [b], state [b, S] to state_out [b, S], risk [b, K], rul [b, 3]; all float32."""
    tape, product = Tape(), PRODUCTS[form]
    *cells, sum0, sum1, weight0, weight1, age = tape.split("state", [block.size for block in model.blocks])
    y = scaled(tape, model, sum1, weight1)
    sum0, weight0, mean0 = running_mean(tape, y, sum0, weight0, model.mean_rates[0])
    sum1, weight1, mean1 = running_mean(tape, y, sum1, weight1, model.mean_rates[1])
    age = time_seen(tape, age, model.cadence_s)
    seen = tape.op("Min", tape.op("Mul", age, tape.constant(model.age_scale)), tape.constant(1.0))
    h = tape.op("Concat", y, mean0, mean1, seen, axis=1)  # [b, 3F + 1]
    after = []
    for index, layer in enumerate(model.layers):
        h, c = lstm(tape, product(tape, tape.op("Concat", h, cells[2 * index], axis=1), layer), cells[2 * index + 1])
        after += [h, c]
    tape.named("state_out", tape.op("Concat", *after, sum0, sum1, weight0, weight1, age, axis=1))
    tape.named("risk", risk(tape, h, model))
    tape.named("rul", rul(tape, h, model))
    written: bytes = proto(tape, model).SerializeToString(deterministic=True)
    return written


def scaled(tape: Tape, model: Streaming, total: str, weight: str) -> str:
    """[b, F] within +-1; infinities and huge values end at the clip, missing ones at the device's own slow mean."""
    missing = tape.op("IsNaN", "x")
    present = tape.op("Where", missing, tape.constant(0.0), "x")
    y = tape.op("Clip", tape.affine(present, model.scale, model.offset), tape.constant(-1.0), tape.constant(1.0))
    mean = tape.op("Div", total, tape.op("Max", weight, tape.constant(WEIGHT_MIN)))
    return tape.op("Where", missing, mean, y)


def running_mean(tape: Tape, y: str, total: str, weight: str, rate: float) -> tuple[str, str, str]:
    """Sum, weight and mean after `y`; the weight makes up for the zeros that the sum started from."""
    total = tape.op("Add", tape.op("Mul", total, tape.constant(1 - rate)), tape.op("Mul", y, tape.constant(rate)))
    weight = tape.affine(weight, 1 - rate, rate)
    return total, weight, tape.op("Div", total, weight)


def time_seen(tape: Tape, age: str, cadence_s: float) -> str:
    """[b, 1] in rows' worth of time: 1 at the first row, whose age is 0."""
    dt = tape.op("Unsqueeze", "dt", tape.constant([1], np.int64))
    later = tape.op("Add", age, tape.op("Div", dt, tape.constant(cadence_s)))
    return tape.op("Where", tape.op("Equal", age, tape.constant(0.0)), tape.constant(1.0), later)


def lstm(tape: Tape, gates: str, c: str) -> tuple[str, str]:
    """The cell of `trainer/cells/lstm.py` after its product; gates [b, 4H] and c [b, H] to the new h and c."""
    i, f, g, o = tape.ops("Split", 4, gates, axis=1)
    kept = tape.op("Mul", tape.op("Sigmoid", f), c)
    c = tape.op("Add", kept, tape.op("Mul", tape.op("Sigmoid", i), tape.op("Tanh", g)))
    return tape.op("Mul", tape.op("Sigmoid", o), tape.op("Tanh", c)), c


def risk(tape: Tape, h: str, model: Streaming) -> str:
    """[b, K] from hazards: 1 minus the product of what survives each, so it never falls with the horizon."""
    negated = Linear(-model.hazard.weight, -model.hazard.bias)
    survives = tape.op("Sigmoid", tape.linear(h, negated))
    so_far, *rest = tape.split(survives, [1] * len(model.hazard.bias))
    products = [so_far]
    for one in rest:
        products.append(tape.op("Mul", products[-1], one))
    return tape.op("Sub", tape.constant(1.0), tape.op("Concat", *products, axis=1))


def rul(tape: Tape, h: str, model: Streaming) -> str:
    """[b, 3] low, estimate and high in seconds, in this order by construction."""
    centre = tape.linear(h, model.estimate)
    distance = tape.op("Mul", tape.op("Sigmoid", tape.linear(h, model.spread)), tape.constant(model.stretch))
    low, high = tape.split(distance, [1, 1])
    three = tape.op("Concat", tape.op("Sub", centre, low), centre, tape.op("Add", centre, high), axis=1)
    return tape.op("Mul", tape.op("Clip", three, tape.constant(0.0), tape.constant(1.0)), tape.constant(model.cap_s))


def proto(tape: Tape, model: Streaming) -> ModelProto:
    """The checked model around the tape."""
    size = sum(block.size for block in model.blocks)
    n_risk = len(model.hazard.bias)

    def value(name: str, *shape: int | str) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    graph = helper.make_graph(
        tape.nodes,
        "g",
        [value("x", "b", model.n_channels), value("dt", "b"), value("state", "b", size)],
        [value("state_out", "b", size), value("risk", "b", n_risk), value("rul", "b", 3)],
        list(tape.constants.values()),
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    checker.check_model(made, full_check=True)
    return made
