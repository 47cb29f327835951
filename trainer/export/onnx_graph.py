"""The streaming graph as ONNX: standard operators only, no subgraphs, every operation on each row by itself.

A test holds fp32 equal to `trainer/export/streaming.py`; int8 differs from it in the products of the cells alone.
"""

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, checker, helper

from agent.bundle.manifest import StateBlock
from trainer.anomaly.export import anomaly_nodes
from trainer.anomaly.model import AnomalyModel
from trainer.export.streaming import WEIGHT_MIN, Streaming
from trainer.graph.builder import PRODUCTS, Form, GraphBuilder, GraphProduct, Linear
from trainer.model.regime_nodes import bounded, group

OPSET = 17
IR_VERSION = 9


def export(model: Streaming | None, form: Form, anomaly: AnomalyModel | None = None) -> bytes:
    """The graph of the risk, of the anomaly or of both, which share nothing but `x`: the risk's state comes first.

    x [b, X], dt [b], state [b, S] to state_out [b, S], risk [b, K] and rul [b, 3], anomaly [b, 1], contribution [b, F]
    and learned [b, 1], all float32.
    """
    builder, product = GraphBuilder(), PRODUCTS[form]
    blocks = state_blocks(model, anomaly)
    kept = dict(zip([one.name for one in blocks], builder.split("state", [one.size for one in blocks]), strict=True))
    widths: dict[str, int] = {}
    after: list[str] = []
    outputs: dict[str, str] = {}
    h = ""
    if model is not None:
        h, after = risk_state(builder, product, model, {one.name: kept[one.name] for one in model.blocks})
        widths |= {"risk": len(model.hazard.bias), "rul": 3}
    if anomaly is not None:
        own = {one.name: kept[one.name] for one in anomaly.blocks}
        changed, outputs = anomaly_nodes(builder, product, anomaly, own)
        after += [changed[one.name] for one in anomaly.blocks]
        widths |= {"anomaly": 1, "contribution": anomaly.n_x, "learned": 1}
    builder.named("state_out", builder.op("Concat", *after, axis=1))
    if model is not None:
        outputs = {"risk": risk(builder, h, model), "rul": rul(builder, h, model)} | outputs
    for name, output in outputs.items():
        builder.named(name, output)
    n_x = sum(model.x_sizes) if model is not None else anomaly.n_x if anomaly is not None else 0
    content: bytes = proto(builder, n_x, sum(one.size for one in blocks), widths).SerializeToString(deterministic=True)
    return content


def state_blocks(model: Streaming | None, anomaly: AnomalyModel | None) -> tuple[StateBlock, ...]:
    """Layout of the state, the risk's blocks first."""
    return (*(() if model is None else model.blocks), *(() if anomaly is None else anomaly.blocks))


def risk_state(
    builder: GraphBuilder, product: GraphProduct, model: Streaming, kept: dict[str, str]
) -> tuple[str, list[str]]:
    """What the heads of the risk read, [b, W], and the new blocks of its state in their order."""
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
    return h, [*after, *kept.values()]


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


def proto(builder: GraphBuilder, n_x: int, state_size: int, widths: dict[str, int]) -> ModelProto:
    """The checked model around the builder; `widths` of the heads by name."""

    def value(name: str, *shape: int | str) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    graph = helper.make_graph(
        builder.nodes,
        "g",
        [value("x", "b", n_x), value("dt", "b"), value("state", "b", state_size)],
        [value("state_out", "b", state_size), *(value(name, "b", width) for name, width in widths.items())],
        list(builder.constants.values()),
    )
    model_proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    checker.check_model(model_proto, full_check=True)
    return model_proto
