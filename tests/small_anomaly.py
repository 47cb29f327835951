"""A bundle with the head `anomaly`, small enough to read, and one that has `risk` of the small bundle beside it.

Three channels. A device's own mean is learnt from its first LEARNING rows; the one chart is the square of the smoothed
distance from it. State = rows that it learnt from, and the mean (both kept over lost history); then the smoothed
distance, and the rows since it began, of which the first REFILL are not judged.
"""

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from agent.bundle.manifest import AnomalyHead, Chart, JudgePolicy, Manifest, StateBlock, ThresholdRow, ThresholdTable
from tests.small_bundle import CHANNELS, small_manifest, small_model

LEARNING, REFILL = 6, 2
F = len(CHANNELS)
BLOCKS = (
    StateBlock("learnt", 1, kept=True),
    StateBlock("own_mean", F, kept=True),
    StateBlock("smooth", F),
    StateBlock("filled", 1),
)
HEAD = AnomalyHead(
    charts=(Chart(residual="level", ahead=0, rate=0.5, mix="max", scale=0.04, share=1.0),),
    learning_rows=LEARNING,
    policy=JudgePolicy(horizon=0, m=2, n=3, clear_ratio=0.8, clear_after_s=3.0, severity_risk=1.0),
    thresholds=ThresholdTable(
        h_max_s=60.0,
        h_min_s=0.0,
        exposure_s=2000.0,
        n_devices=10,
        rows=tuple(
            ThresholdRow(threshold, false_alarms, (false_alarms + 3) / 2000, 0, 0.0, false_alarm_s=20.0 * false_alarms)
            for threshold, false_alarms in ((1.0, 9), (2.0, 2), (4.0, 0))
        ),
        failures=0,
        basis="normal",
    ),
)


def anomaly_manifest(*, with_risk: bool = False) -> Manifest:
    """Of `anomaly` alone, or of both heads."""
    small = small_manifest()
    if with_risk:
        return msgspec.structs.replace(small, name="both", state=(*small.state, *BLOCKS), anomaly=HEAD)
    of_risk = {"risk": None, "rul": None, "judge": None, "thresholds": None}
    return msgspec.structs.replace(
        small, name="alone", state=BLOCKS, warmup_rows=0, lives_s=(), anomaly=HEAD, **of_risk
    )


def anomaly_model(*, with_risk: bool = False) -> bytes:
    """The graph: x [b, 3], dt [b], state -> state_out, anomaly [b, 1], contribution [b, 3], learned [b, 1]."""
    model = onnx.ModelProto.FromString(small_model())
    graph = model.graph
    own = sum(block.size for block in BLOCKS)
    size = own
    if with_risk:
        of_risk = small_manifest().state_size
        size += of_risk
        for node in graph.node:
            node.input[:] = ["risk_state" if name == "state" else name for name in node.input]
            node.output[:] = ["risk_state_out" if name == "state_out" else name for name in node.output]
        split = helper.make_node("Split", ["state", "a_heads"], ["risk_state", "a_state"], axis=1)
        graph.node.insert(0, split)
        graph.initializer.append(numpy_helper.from_array(np.array([of_risk, own]), "a_heads"))
        joined = helper.make_node("Concat", ["risk_state_out", "a_state_out"], ["state_out"], axis=1)
        outputs = [*graph.output][1:]
    else:
        del graph.node[:], graph.initializer[:]
        joined = helper.make_node("Identity", ["a_state_out"], ["state_out"])
        graph.node.append(helper.make_node("Identity", ["state"], ["a_state"]))
        outputs = []
    graph.node.extend([*_nodes(), joined])
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), f"a_{name}") for name, value in _CONSTANTS)
    del graph.output[:], graph.input[2:]
    f32 = TensorProto.FLOAT
    graph.input.append(helper.make_tensor_value_info("state", f32, ["b", size]))
    widths = {"anomaly": 1, "contribution": F, "learned": 1}
    graph.output.append(helper.make_tensor_value_info("state_out", f32, ["b", size]))
    graph.output.extend(outputs)
    graph.output.extend(helper.make_tensor_value_info(name, f32, ["b", width]) for name, width in widths.items())
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def graph_of(manifest: Manifest) -> bytes:
    """The small graph with the heads of a manifest."""
    return small_model() if manifest.anomaly is None else anomaly_model(with_risk=manifest.risk is not None)


_CONSTANTS = (
    ("zero", np.float32(0)), ("low", np.float32(-10)), ("high", np.float32(10)), ("one", np.float32(1)),
    ("n", np.float32(LEARNING)), ("refill", np.float32(REFILL)), ("rate", np.float32(0.5)), ("half", np.float32(0.5)),
    ("scale", np.float32(HEAD.charts[0].scale)), ("parts", np.array([1, F, F, 1])), ("single", np.ones(F, np.int64)),
    ("tiny", np.float32(1e-9)), ("none", np.zeros((1, F), np.float32)),
)  # fmt: skip


def _nodes() -> list[onnx.NodeProto]:
    """From `a_state` and `x` to `a_state_out` and the heads."""
    made: list[onnx.NodeProto] = []

    def add(operator: str, inputs: str, *outputs: str, **attributes: int) -> None:
        made.append(helper.make_node(operator, inputs.split(), [*outputs], **attributes))

    add("Split", "a_state a_parts", "a_learnt", "a_mean", "a_smooth", "a_filled", axis=1)
    add("IsNaN", "x", "a_nan")
    add("Where", "a_nan a_mean x", "a_x0")
    add("Clip", "a_x0 a_low a_high", "a_y")
    add("Sub", "a_n a_learnt", "a_to_learn")  # rows that are still to come, this one among them
    add("Greater", "a_to_learn a_zero", "a_learns")
    add("Add", "a_learnt a_one", "a_next")
    add("Min", "a_next a_n", "a_learnt_out")
    add("Sub", "a_y a_mean", "a_residual")
    add("Div", "a_residual a_learnt_out", "a_step")
    add("Where", "a_learns a_step a_none", "a_taken")
    add("Add", "a_mean a_taken", "a_mean_out")
    add("Sub", "a_residual a_smooth", "a_ahead")
    add("Mul", "a_ahead a_rate", "a_part")
    add("Add", "a_smooth a_part", "a_moved")
    add("Where", "a_learns a_none a_moved", "a_smooth_out")
    add("Add", "a_filled a_one", "a_more")
    add("Min", "a_more a_refill", "a_filled_next")
    add("Where", "a_learns a_refill a_filled_next", "a_filled_out")
    add("Concat", "a_learnt_out a_mean_out a_smooth_out a_filled_out", "a_state_out", axis=1)
    add("Sub", "a_refill a_filled", "a_to_fill")
    add("Max", "a_to_learn a_to_fill", "a_to_come")
    add("Greater", "a_to_come a_zero", "a_waits")
    add("Neg", "a_to_come", "a_countdown")
    add("Mul", "a_smooth_out a_smooth_out", "a_square")
    add("Split", "a_square a_single", "a_s0", "a_s1", "a_s2", axis=1)
    add("Max", "a_s0 a_s1 a_s2", "a_greatest")
    add("Div", "a_greatest a_scale", "a_chart")
    add("Where", "a_waits a_countdown a_chart", "anomaly")
    add("Add", "a_s0 a_s1", "a_s01")
    add("Add", "a_s01 a_s2", "a_sum")
    add("Max", "a_sum a_tiny", "a_total")
    add("Div", "a_square a_total", "a_share")
    add("Where", "a_waits a_none a_share", "contribution")
    add("Abs", "a_mean_out", "a_distance")
    add("Split", "a_distance a_single", "a_d0", "a_d1", "a_d2", axis=1)
    add("Max", "a_d0 a_d1 a_d2", "a_farthest")
    add("Mul", "a_farthest a_half", "a_learned")
    add("Where", "a_learns a_zero a_learned", "learned")
    return made
