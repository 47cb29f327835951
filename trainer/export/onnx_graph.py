"""The streaming graph as ONNX: standard operators only, no subgraphs, every operation on each row by itself.

A test holds fp32 equal to `trainer/export/streaming.py`; int8 differs from it in the products of the cells alone.
"""

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, checker, helper

from trainer.export.streaming import WEIGHT_MIN, X_MAX, Streaming
from trainer.graph.builder import PRODUCTS, Form, GraphBuilder, Linear
from trainer.model.regimes import Groups

OPSET = 17
IR_VERSION = 9


def export(model: Streaming, form: Form) -> bytes:
    """The graph: x [b, X], dt [b], state [b, S] to state_out [b, S], risk [b, K], rul [b, 3], all float32."""
    builder, product = GraphBuilder(), PRODUCTS[form]
    sizes = [block.size for block in model.blocks]
    kept = dict(zip([block.name for block in model.blocks], builder.split("state", sizes), strict=True))
    x, *settings = builder.split("x", model.x_sizes) if model.groups else ["x"]
    one_hots = []
    for index, (groups, now) in enumerate(zip(model.groups, settings, strict=True)):
        one_hot, kept[f"settings{index}"] = group(builder, groups, now, kept[f"settings{index}"])
        one_hots.append(one_hot)
    y = scaled(builder, model, x, one_hots, kept)
    means = []
    for index, rate in enumerate(model.mean_rates):
        total, weight = f"sum{index}", f"weight{index}"
        kept[total], kept[weight] = running_sum(builder, y, kept[total], kept[weight], rate)
        if model.reads_means:
            means.append(builder.op("Div", kept[total], kept[weight]))
    kept["age"] = time_seen(builder, kept["age"], model.cadence_s)
    seen = builder.op("Min", builder.op("Mul", kept["age"], builder.constant(model.age_scale)), builder.constant(1.0))
    new = builder.affine(kept["new"], 0.0, 1.0) if model.all_new else kept["new"]
    flags = [builder.op("Mul", columns, builder.constant(model.flag)) for columns in (new, *one_hots)]
    h = builder.op("Concat", y, *(means if model.reads_means else ()), seen, *flags, axis=1)  # [b, 3F + 2 + G]
    after: list[str] = []
    for layer, cell in enumerate(model.cells):
        h, blocks = cell.export(builder, product, h, [kept.pop(f"{name}{layer}") for name, _ in cell.blocks])
        after += blocks
    builder.named("state_out", builder.op("Concat", *after, *kept.values(), axis=1))
    builder.named("risk", risk(builder, h, model))
    builder.named("rul", rul(builder, h, model))
    content: bytes = proto(builder, model).SerializeToString(deterministic=True)
    return content


def group(builder: GraphBuilder, groups: Groups, settings: str, last: str) -> tuple[str, str]:
    """One-hot [b, G] of the nearest centre, and the settings [b, S] within +-1, the last ones where missing."""
    u = builder.affine(bounded(builder, settings), groups.scale, groups.offset)
    u = builder.op("Clip", u, builder.scalar(-1.0), builder.scalar(1.0))
    u = builder.op("Where", builder.op("IsNaN", settings), last, u)
    distance = builder.linear(u, Linear(-2 * groups.centres.T.copy(), (groups.centres**2).sum(axis=1)))
    least = builder.op("Min", *builder.split(distance, [1] * len(groups.centres)))
    is_nearest = builder.op("LessOrEqual", distance, least)
    return builder.op("Where", is_nearest, builder.constant(1.0), builder.constant(0.0)), u


def bounded(builder: GraphBuilder, x: str) -> str:
    return builder.op("Clip", x, builder.scalar(-X_MAX), builder.scalar(X_MAX))


def scaled(builder: GraphBuilder, model: Streaming, x: str, one_hots: list[str], kept: dict[str, str]) -> str:
    """[b, F] within +-1 by the row's regime; huge values end there, missing ones at the device's own slow mean."""
    missing = builder.op("IsNaN", x)
    present = builder.op("Where", missing, builder.constant(0.0), bounded(builder, x))
    if model.regimes is None:
        y = builder.affine(present, model.scale, model.offset)
    else:
        scale = builder.op("MatMul", one_hots[0], builder.constant(model.scale))
        offset = builder.op("MatMul", one_hots[0], builder.constant(model.offset))
        y = builder.op("Add", builder.op("Mul", present, scale), offset)
    y = builder.op("Clip", y, builder.scalar(-1.0), builder.scalar(1.0))
    slowest = len(model.mean_rates) - 1
    total, weight = kept[f"sum{slowest}"], kept[f"weight{slowest}"]
    mean = builder.op("Div", total, builder.op("Max", weight, builder.constant(WEIGHT_MIN)))
    return builder.op("Where", missing, mean, y)


def running_sum(builder: GraphBuilder, y: str, total: str, weight: str, rate: float) -> tuple[str, str]:
    """Sum and weight after `y`, whose quotient is the mean: the weight makes up for the zeros the sum started from."""
    total = builder.op(
        "Add", builder.op("Mul", total, builder.constant(1 - rate)), builder.op("Mul", y, builder.constant(rate))
    )
    weight = builder.affine(weight, 1 - rate, rate)
    return total, weight


def time_seen(builder: GraphBuilder, age: str, cadence_s: float) -> str:
    """[b, 1] in rows' worth of time: 1 at the first row, whose age is 0."""
    dt = builder.op("Unsqueeze", "dt", builder.constant([1], np.int64))
    later = builder.op("Add", age, builder.op("Div", dt, builder.constant(cadence_s)))
    return builder.op("Where", builder.op("Equal", age, builder.constant(0.0)), builder.constant(1.0), later)


def risk(builder: GraphBuilder, h: str, model: Streaming) -> str:
    """[b, K] from hazards: 1 minus the product of what survives each, so it never falls with the horizon."""
    negated = Linear(-model.hazard.weight, -model.hazard.bias)
    survives = builder.op("Sigmoid", builder.linear(h, negated))
    so_far, *rest = builder.split(survives, [1] * len(model.hazard.bias))
    products = [so_far]
    for survival in rest:
        products.append(builder.op("Mul", products[-1], survival))
    return builder.op("Sub", builder.constant(1.0), builder.op("Concat", *products, axis=1))


def rul(builder: GraphBuilder, h: str, model: Streaming) -> str:
    """[b, 3] low, estimate and high in seconds, in this order by construction."""
    centre = builder.linear(h, model.estimate)
    distance = builder.op(
        "Mul", builder.op("Sigmoid", builder.linear(h, model.spread)), builder.constant(model.stretch)
    )
    low, high = builder.split(distance, [1, 1])
    three = builder.op("Concat", builder.op("Sub", centre, low), centre, builder.op("Add", centre, high), axis=1)
    return builder.op(
        "Mul", builder.op("Clip", three, builder.scalar(0.0), builder.scalar(1.0)), builder.constant(model.cap_s)
    )


def proto(builder: GraphBuilder, model: Streaming) -> ModelProto:
    """The checked model around the builder."""
    size = sum(block.size for block in model.blocks)
    n_risk = len(model.hazard.bias)

    def value(name: str, *shape: int | str) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    graph = helper.make_graph(
        builder.nodes,
        "g",
        [value("x", "b", sum(model.x_sizes)), value("dt", "b"), value("state", "b", size)],
        [value("state_out", "b", size), value("risk", "b", n_risk), value("rul", "b", 3)],
        list(builder.constants.values()),
    )
    model_proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    checker.check_model(model_proto, full_check=True)
    return model_proto
