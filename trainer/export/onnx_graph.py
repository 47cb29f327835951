"""The streaming graph as ONNX: standard operators only, no subgraphs, every operation on each row by itself.

A test holds fp32 equal to `trainer/export/streaming.py`; int8 differs from it in the products of the cells alone.
"""

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, checker, helper

from trainer.export.streaming import WEIGHT_MIN, X_MAX, Streaming
from trainer.graph.builder import PRODUCTS, Form, Linear, Tape
from trainer.model.regimes import Groups

OPSET = 17
IR_VERSION = 9


def export(model: Streaming, form: Form) -> bytes:
    """The graph: x [b, X], dt [b], state [b, S] to state_out [b, S], risk [b, K], rul [b, 3], all float32."""
    tape, product = Tape(), PRODUCTS[form]
    sizes = [block.size for block in model.blocks]
    kept = dict(zip([block.name for block in model.blocks], tape.split("state", sizes), strict=True))
    x, *said = tape.split("x", model.x_sizes) if model.groups else ["x"]
    hots = []
    for index, (groups, now) in enumerate(zip(model.groups, said, strict=True)):
        one, kept[f"settings{index}"] = group(tape, groups, now, kept[f"settings{index}"])
        hots.append(one)
    y = scaled(tape, model, x, hots, kept)
    means = []
    for index, rate in enumerate(model.mean_rates):
        total, weight = f"sum{index}", f"weight{index}"
        kept[total], kept[weight], mean = running_mean(tape, y, kept[total], kept[weight], rate)
        means.append(mean)
    kept["age"] = time_seen(tape, kept["age"], model.cadence_s)
    seen = tape.op("Min", tape.op("Mul", kept["age"], tape.constant(model.age_scale)), tape.constant(1.0))
    new = tape.affine(kept["new"], 0.0, 1.0) if model.all_new else kept["new"]
    known = [tape.op("Mul", one, tape.constant(model.known)) for one in (new, *hots)]
    h = tape.op("Concat", y, *means, seen, *known, axis=1)  # [b, 3F + 2 + G]
    after: list[str] = []
    for layer, cell in enumerate(model.cells):
        h, told = cell.export(tape, product, h, [kept.pop(f"{name}{layer}") for name, _ in cell.blocks])
        after += told
    tape.named("state_out", tape.op("Concat", *after, *kept.values(), axis=1))
    tape.named("risk", risk(tape, h, model))
    tape.named("rul", rul(tape, h, model))
    written: bytes = proto(tape, model).SerializeToString(deterministic=True)
    return written


def group(tape: Tape, groups: Groups, said: str, last: str) -> tuple[str, str]:
    """[b, G] with a 1 for the nearest centre, and the settings [b, S] within +-1, the last ones where missing."""
    u = tape.affine(bounded(tape, said), groups.scale, groups.offset)
    u = tape.op("Clip", u, tape.constant(-1.0), tape.constant(1.0))
    u = tape.op("Where", tape.op("IsNaN", said), last, u)
    distance = tape.linear(u, Linear(-2 * groups.centres.T.copy(), (groups.centres**2).sum(axis=1)))
    least = tape.op("Min", *tape.split(distance, [1] * len(groups.centres)))
    is_nearest = tape.op("LessOrEqual", distance, least)
    return tape.op("Where", is_nearest, tape.constant(1.0), tape.constant(0.0)), u


def bounded(tape: Tape, x: str) -> str:
    return tape.op("Clip", x, tape.constant(-X_MAX), tape.constant(X_MAX))


def scaled(tape: Tape, model: Streaming, x: str, hots: list[str], kept: dict[str, str]) -> str:
    """[b, F] within +-1 by the row's regime; huge values end there, missing ones at the device's own slow mean."""
    missing = tape.op("IsNaN", x)
    present = tape.op("Where", missing, tape.constant(0.0), bounded(tape, x))
    if model.regimes is None:
        y = tape.affine(present, model.scale, model.offset)
    else:
        scale = tape.op("MatMul", hots[0], tape.constant(model.scale))
        offset = tape.op("MatMul", hots[0], tape.constant(model.offset))
        y = tape.op("Add", tape.op("Mul", present, scale), offset)
    y = tape.op("Clip", y, tape.constant(-1.0), tape.constant(1.0))
    mean = tape.op("Div", kept["sum1"], tape.op("Max", kept["weight1"], tape.constant(WEIGHT_MIN)))
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
        [value("x", "b", sum(model.x_sizes)), value("dt", "b"), value("state", "b", size)],
        [value("state_out", "b", size), value("risk", "b", n_risk), value("rul", "b", 3)],
        list(tape.constants.values()),
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    checker.check_model(made, full_check=True)
    return made
