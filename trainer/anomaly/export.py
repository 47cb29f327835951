"""The charts of `charts.py` as nodes of the streaming graph, one row of each device.

Every node works on each row by itself, and so that its bits do not depend on the batch (law 2): sums and maxima over
channels are trees of Add and Max over halves of the columns, the products of the forecaster are int8, and nothing here
needs a logarithm, whose last bit ONNX Runtime rounds otherwise at the end of a batch.
"""

from dataclasses import dataclass

import numpy as np

from trainer.anomaly.charts import EVENT_WEIGHT, SMOOTHING, ChartSpec, Pool
from trainer.anomaly.model import PREFIX, AnomalyModel, float32
from trainer.anomaly.moments import VALUE_MAX, Z_MAX
from trainer.graph.builder import GraphBuilder, GraphProduct
from trainer.model.regime_nodes import bounded, group

TINY = 1e-30
OUTPUTS = ("anomaly", "contribution", "learned")


@dataclass(frozen=True, slots=True)
class Row:
    """Names of what all charts share: float32 [b, F], but for `learns` and `since`, [b, 1].

    y, z      the row, scaled by the pool and in own deviations; the own mean and 0 where a value is missing
    there     1 where there is a value
    variance  of the channel on this device
    learns    1 while the device learns
    since     rows since the start or lost history, before this one; no more than the farthest forecast looks ahead, + 1
    """

    y: str
    z: str
    there: str
    variance: str
    learns: str
    since: str


@dataclass(frozen=True, slots=True)
class Residual:
    """Names of one kind: the number, its own mean, what teaches, values it was learnt from, floor of its variance."""

    r: str
    there: str
    bias: str
    teaches: str
    count: str
    floor: str
    needed: int


def anomaly_nodes(
    builder: GraphBuilder, product: GraphProduct, model: AnomalyModel, state: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Nodes of the head. `state`: its blocks by name; returns the new ones, and the outputs by name."""
    bank, learning = model.bank, model.bank.learning
    kept = {name.removeprefix(PREFIX): block for name, block in state.items()}
    after: dict[str, str] = {}
    x, *settings = builder.split("x", model.x_sizes) if len(model.x_sizes) > 1 else ["x"]
    row = own_normal(builder, model, x, settings, kept, after)
    residuals = {("level", 0): level(builder, model, row, after)}
    if model.aheads("smoothing"):
        residuals["smoothing", 0] = smoothing(builder, model, row, kept, after)
    if model.forecaster is not None:
        forecasts(builder, product, model, row, kept, after)
        for ahead in model.aheads("forecast"):
            residuals["forecast", ahead] = forecast(builder, model, ahead, row, kept, after)
    scores, shares = [], []
    for index, (chart, pool, scale) in enumerate(zip(bank.charts, bank.pools, model.scales, strict=True)):
        kind = ("forecast", chart.ahead) if chart.residual == "forecast" else (chart.residual, 0)
        residual = residuals[("level", 0) if chart.residual == "event" else kind]
        s, u = chart_nodes(builder, model, chart, pool, residual, index, kept, after)
        if chart.residual == "event":
            s, u = with_events(builder, model, chart, x, s, u, kept, after)
        scores.append(builder.op("Mul", s, builder.constant(1 / scale)))
        shares.append(u)
    wait = waiting(builder, bank.farthest, learning.rows, after["rows"], after["since"])
    outputs = outputs_of(builder, model, scores, shares, wait, after)
    return {PREFIX + name: block for name, block in after.items()}, outputs


def own_normal(
    builder: GraphBuilder, model: AnomalyModel, x: str, settings: list[str], kept: dict[str, str], after: dict[str, str]
) -> Row:
    """Scale the row, learn the channel's mean and variance from it while the device learns (Welford, 1962)."""
    op, constant, learning = builder.op, builder.constant, model.bank.learning
    missing = op("IsNaN", x)
    y = scaled(builder, model, op("Where", missing, constant(0.0), bounded(builder, x)), settings, kept, after)
    there = flag(builder, op("Not", missing))
    learns = flag(builder, op("Less", kept["rows"], constant(learning.rows)))
    teaches = op("Mul", there, learns)
    count = op("Add", kept["count"], teaches)
    off = op("Sub", y, kept["mean"])
    step = op("Mul", teaches, op("Div", off, op("Max", count, constant(1.0))))
    mean, after["mean_rest"] = with_rest(builder, kept["mean"], op("Add", step, kept["mean_rest"]))
    taught = op("Mul", teaches, op("Mul", off, op("Sub", y, mean)))
    squares = op("Add", kept["squares"], taught)
    variance = variance_of(builder, model, squares, count)
    y = op("Where", missing, mean, y)
    z = op("Div", op("Sub", y, mean), op("Sqrt", variance))
    z = op("Clip", z, builder.scalar(-Z_MAX), builder.scalar(Z_MAX))
    after["rows"] = op("Min", op("Add", kept["rows"], constant(1.0)), constant(learning.rows + 1))
    after["since"] = op("Min", op("Add", kept["since"], constant(1.0)), constant(model.bank.farthest + 1))
    after |= {"count": count, "mean": mean, "squares": squares}
    return Row(y, z, there, variance, learns, kept["since"])


def with_rest(builder: GraphBuilder, total: str, step: str) -> tuple[str, str]:
    """total + step, and what that lost by rounding, to be added to the next step (W. Kahan, CACM 8 (1965), 40).

    Late in a long learning a step is less than the last digit of a mean far from 0, and the mean would stand still.
    """
    after = builder.op("Add", total, step)
    return after, builder.op("Sub", step, builder.op("Sub", after, total))


def scaled(
    builder: GraphBuilder, model: AnomalyModel, x: str, settings: list[str], kept: dict[str, str], after: dict[str, str]
) -> str:
    """[b, F] in pooled units, by the row's regime."""
    if model.regimes is None:
        y = builder.affine(x, model.scale, model.offset)
    else:
        one_hot, after["settings"] = group(builder, model.regimes, settings[0], kept["settings"])
        scale, offset = (builder.op("MatMul", one_hot, builder.constant(one)) for one in (model.scale, model.offset))
        y = builder.op("Add", builder.op("Mul", x, scale), offset)
    return builder.op("Clip", y, builder.scalar(-VALUE_MAX), builder.scalar(VALUE_MAX))


def variance_of(builder: GraphBuilder, model: AnomalyModel, squares: str, count: str) -> str:
    """[b, F]: the channel's variance on this device, beside a few rows of a prior one."""
    learning = model.bank.learning
    total = builder.op("Add", squares, builder.constant(learning.prior * learning.variance))
    return builder.op("Div", total, builder.op("Add", count, builder.constant(learning.prior)))


def level(builder: GraphBuilder, model: AnomalyModel, row: Row, after: dict[str, str]) -> Residual:
    """The row itself; its own mean is the channel's."""
    floor = builder.op("Mul", row.variance, builder.constant(model.bank.learning.floor))
    teaches = builder.op("Mul", row.there, row.learns)
    needed = max(model.bank.learning.rows // 2, 1)
    return Residual(row.y, row.there, after["mean"], teaches, after["count"], floor, needed)


def smoothing(
    builder: GraphBuilder, model: AnomalyModel, row: Row, kept: dict[str, str], after: dict[str, str]
) -> Residual:
    """The row less an exponential smoothing of those before it, which starts at the channel's first value.

    A channel that was missing all the while its normal was learnt has a count of 0 for ever: its smoothing is 0 until
    it starts, and by chance again at worst.
    """
    op, constant, of_level = builder.op, builder.constant, level(builder, model, row, after)
    first = op("And", op("Greater", row.there, constant(0.5)), op("Less", kept["count"], constant(0.5)))
    first = op("And", first, op("Less", op("Abs", kept["smooth"]), constant(TINY)))
    starts = op("Or", first, op("Less", row.since, constant(0.5)))
    off = op("Mul", row.there, op("Sub", row.y, kept["smooth"]))
    after["smooth"] = op("Where", starts, row.y, op("Add", kept["smooth"], op("Mul", off, constant(SMOOTHING))))
    r = op("Where", starts, constant(0.0), off)
    after["bias"] = learnt_mean(builder, kept["bias"], r, of_level.teaches, of_level.count)
    return Residual(r, row.there, after["bias"], of_level.teaches, of_level.count, of_level.floor, of_level.needed)


def forecasts(
    builder: GraphBuilder,
    product: GraphProduct,
    model: AnomalyModel,
    row: Row,
    kept: dict[str, str],
    after: dict[str, str],
) -> None:
    """Step the forecaster, and put what it expects at the end of each ring."""
    assert model.forecaster is not None
    inputs = builder.op("Mul", row.z, builder.constant(1 / Z_MAX))
    cell = model.forecaster.cell
    h, (after["h"], after["c"]) = cell.export(builder, product, inputs, [kept["h"], kept["c"]])
    both = builder.op("Concat", inputs, h, axis=1)
    for ahead in model.aheads("forecast"):
        newest = product(builder, both, model.forecaster.readouts[ahead])
        n = model.n_channels
        later = builder.split(kept[f"ring{ahead}"], [n, (ahead - 1) * n])[1:] if ahead > 1 else []
        after[f"ring{ahead}"] = builder.op("Concat", *later, newest, axis=1)


def forecast(
    builder: GraphBuilder, model: AnomalyModel, ahead: int, row: Row, kept: dict[str, str], after: dict[str, str]
) -> Residual:
    """z less what was expected of it `ahead` rows before; learnt in the second half, when z is still."""
    op, constant, learning, n = builder.op, builder.constant, model.bank.learning, model.n_channels
    ring = kept[f"ring{ahead}"]
    expected = builder.split(ring, [n, (ahead - 1) * n])[0] if ahead > 1 else ring
    first = learning.rows // 2
    late = flag(builder, op("GreaterOrEqual", kept["rows"], constant(first)))
    ready = flag(builder, op("GreaterOrEqual", row.since, constant(ahead)))
    there = op("Mul", row.there, op("Mul", late, ready))
    teaches = op("Mul", there, row.learns)
    r = op("Sub", row.z, expected)
    count = after[f"count{ahead}"] = op("Add", kept[f"count{ahead}"], teaches)
    bias = after[f"bias{ahead}"] = learnt_mean(builder, kept[f"bias{ahead}"], r, teaches, count)
    return Residual(r, there, bias, teaches, count, constant(learning.floor), max((learning.rows - first) // 2, 1))


def learnt_mean(builder: GraphBuilder, mean: str, value: str, teaches: str, count: str) -> str:
    """The mean after one value more, where it `teaches`."""
    step = builder.op("Div", builder.op("Sub", value, mean), builder.op("Max", count, builder.constant(1.0)))
    return builder.op("Add", mean, builder.op("Mul", teaches, step))


def chart_nodes(
    builder: GraphBuilder,
    model: AnomalyModel,
    chart: ChartSpec,
    pool: Pool,
    residual: Residual,
    index: int,
    kept: dict[str, str],
    after: dict[str, str],
) -> tuple[str, str]:
    """s [b, 1] and u [b, F] of one chart; of an `event` one, of its level."""
    op, constant = builder.op, builder.constant
    centre = mixed(builder, residual.bias, pool.mean, pool.own_mean)
    d = op("Mul", residual.there, op("Sub", residual.r, centre))
    before = kept[f"chart{index}"]
    e = op("Add", before, op("Mul", op("Sub", d, before), constant(chart.rate)))
    square = op("Mul", e, e)
    total = op("Add", kept[f"spread{index}"], op("Mul", residual.teaches, square))
    after[f"chart{index}"], after[f"spread{index}"] = e, total
    own = op("Add", op("Div", total, op("Max", residual.count, constant(1.0))), residual.floor)
    spread = mixed(builder, own, pool.spread, pool.own_spread)
    pooled = (pool.own_mean == 0) & (pool.own_spread == 0)
    enough = op("GreaterOrEqual", residual.count, constant(np.where(pooled, -1.0, residual.needed)))
    judged = op("Where", enough, constant(float32(model.sensors)), constant(0.0))
    u = op("Mul", judged, op("Div", square, spread))
    if chart.mix == "max":
        return over_columns(builder, "Max", u, model.n_channels), u
    n_judged = op("Max", over_columns(builder, "Add", judged, model.n_channels), constant(1.0))
    return op("Div", over_columns(builder, "Add", u, model.n_channels), n_judged), u


def mixed(builder: GraphBuilder, own: str, pooled: object, share: object) -> str:
    """share x own + (1 - share) x pooled, by channel."""
    weight = float32(share)
    if (weight == 1).all():
        return own
    return builder.affine(own, weight, (1 - weight) * float32(pooled))


def with_events(
    builder: GraphBuilder,
    model: AnomalyModel,
    chart: ChartSpec,
    x: str,
    s: str,
    u: str,
    kept: dict[str, str],
    after: dict[str, str],
) -> tuple[str, str]:
    """A level that a recent event confirms; each gives its part of sqrt s to the contributions."""
    op, constant, n = builder.op, builder.constant, model.n_channels
    name = f"event{chart.ahead}"
    if name not in after:
        counts = op("Mul", x, constant(float32(model.bank.channels.events)))  # of a measured channel 0 or NaN
        happened = op("Greater", counts, constant(0.0))
        left = op("Max", op("Sub", kept[name], constant(1.0)), constant(0.0))
        after[name] = op("Where", happened, constant(float(chart.ahead)), left)
    recent = flag(builder, op("Greater", after[name], constant(0.5)))
    any_recent = over_columns(builder, "Max", recent, n)
    n_recent = op("Max", over_columns(builder, "Add", recent, n), constant(1.0))
    deviation = op("Sqrt", s)
    of_level = op("Mul", shares_of(builder, u, n, constant(np.zeros(n))), deviation)
    of_events = op("Div", op("Mul", recent, constant(EVENT_WEIGHT)), n_recent)
    both = op("Add", deviation, op("Mul", any_recent, constant(EVENT_WEIGHT)))
    return op("Mul", both, both), op("Add", of_level, of_events)


def waiting(builder: GraphBuilder, farthest: int, learning_rows: int, rows: str, since: str) -> str:
    """[b, 1] rows until the first number."""
    learns = builder.op("Sub", builder.constant(learning_rows + 1), rows)
    return builder.op("Max", learns, builder.op("Sub", builder.constant(farthest + 1), since))


def outputs_of(
    builder: GraphBuilder, model: AnomalyModel, scores: list[str], shares: list[str], wait: str, after: dict[str, str]
) -> dict[str, str]:
    """The head's outputs, the first chart that leads of those that are equal."""
    op, constant, n = builder.op, builder.constant, model.n_channels
    is_ready = op("Less", wait, constant(0.5))
    top, leading = scores[-1], shares[-1]
    for score, share in zip(reversed(scores[:-1]), reversed(shares[:-1]), strict=True):
        leading = op("Where", op("GreaterOrEqual", score, top), share, leading)
        top = op("Max", score, top)
    share = shares_of(builder, leading, n, constant(np.full(n, 1 / n)))
    contribution = op("Where", is_ready, share, constant(0.0))
    if model.n_x > n:  # columns that say the regime, or are for the risk alone
        none = op("Where", is_ready, constant(np.zeros((1, model.n_x - n))), constant(0.0))
        contribution = op("Concat", contribution, none, axis=1)
    deviation = op("Sqrt", variance_of(builder, model, after["squares"], after["count"]))
    ratio = op("Max", deviation, op("Div", constant(1.0), deviation))
    off = op("Max", op("Abs", after["mean"]), op("Sub", ratio, constant(1.0)))
    farthest = over_columns(builder, "Max", op("Mul", off, constant(float32(model.sensors))), n)
    has_learnt = op("Greater", after["rows"], constant(model.bank.learning.rows + 0.5))
    return {
        "anomaly": op("Where", is_ready, top, op("Neg", wait)),
        "contribution": contribution,
        "learned": op("Where", has_learnt, op("Mul", farthest, constant(1 / model.unit)), constant(0.0)),
    }


def shares_of(builder: GraphBuilder, u: str, n: int, otherwise: str) -> str:
    """u over its sum over n columns, `otherwise` where that is 0."""
    total = over_columns(builder, "Add", u, n)
    has_some = builder.op("Greater", total, builder.constant(0.0))
    divisor = builder.op("Where", has_some, total, builder.constant(1.0))
    return builder.op("Where", has_some, builder.op("Div", u, divisor), otherwise)


def over_columns(builder: GraphBuilder, kind: str, source: str, n: int) -> str:
    """[b, 1] of [b, n] by a tree of Add or Max, in the same order for any batch."""
    left_over = []
    while n > 1:
        half = n // 2
        first, second, *odd = builder.split(source, [half, half] + [1] * (n % 2))
        left_over += odd
        source, n = builder.op(kind, first, second), half
    for column in left_over:
        source = builder.op(kind, source, column)
    return source


def flag(builder: GraphBuilder, condition: str) -> str:
    """1 where it holds, else 0."""
    return builder.op("Where", condition, builder.constant(1.0), builder.constant(0.0))
