"""A bundle small enough to read: risk rises with a leaky mean of channel `wear`.

Three channels (temp, load, wear), horizons 15, 30, 60 cycles. State = leaky mean of each channel, a step counter, and
whether the device is known to be new, which lowers its risk. Only standard operators, so the real reader, engine and
golden check run on it.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from agent.bundle.manifest import (
    Cadence,
    Channel,
    CreatedFrom,
    JudgePolicy,
    Manifest,
    Numerics,
    RiskHead,
    RulHead,
    StateBlock,
    ThresholdRow,
    ThresholdTable,
)

CHANNELS = ("temp", "load", "wear")
WEIGHT = np.array([[0.1, 0.1, 0.1], [0.0, 0.0, 0.0], [4.0, 3.0, 3.0]], np.float32)  # [F, K]
NEW = np.array([[-1.0, -1.0, -1.0]], np.float32)  # [1, K]
BIAS = np.array([-6.0, -4.0, -3.0], np.float32)


def small_manifest() -> Manifest:
    rows = tuple(
        ThresholdRow(
            threshold=t,
            false_alarms=f,
            rate_upper95_per_s=(f + 3) / 2000,
            detected=d,
            mean_lead_s=lead,
            false_alarm_s=20.0 * f,
        )
        for t, f, d, lead in ((0.2, 9, 10, 55.0), (0.5, 2, 10, 45.0), (0.8, 0, 9, 30.0))
    )
    return Manifest(
        schema_version=1,
        name="small",
        version="1.0.0",
        created_from=CreatedFrom(
            data_sha256="0" * 64,
            config="",
            code_version="test",
            seed=0,
            fit_devices=(),
            calibrate_devices=(),
            play_devices=(),
        ),
        trained_for="from_new",
        time_unit="cycle",
        channels=tuple(
            Channel(name=name, unit="-", description="", low=-2.0, high=3.0, may_be_missing=name == "load")
            for name in CHANNELS
        ),
        out_of_domain_margin=0.2,
        cadence=Cadence(every_s=1.0, dt_max_s=20.0, least_s=0.75),
        state=(
            StateBlock(name="mean", size=3),
            StateBlock(name="steps", size=1),
            StateBlock(name="new", size=1, new=1.0),
        ),
        warmup_rows=3,
        numerics=Numerics(kind="exact", tolerance=1e-4),
        risk=RiskHead(horizons_s=(15.0, 30.0, 60.0)),
        rul=RulHead(quantiles=(0.05, 0.5, 0.95), cap_s=125.0),
        judge=JudgePolicy(horizon=2, m=2, n=3, clear_ratio=0.8, clear_after_s=3.0, severity_risk=0.5),
        thresholds=ThresholdTable(h_max_s=60.0, h_min_s=5.0, exposure_s=2000.0, n_devices=10, rows=rows, failures=10),
        lives_s=(150.0, 180.0, 200.0, 250.0),
        metrics={},
        members={},
    )


def small_model() -> bytes:
    """The streaming graph of DESIGN: x [b, 3], dt [b], state [b, 5] -> state_out, risk [b, 3], rul [b, 3]."""
    constants = {
        "zero": np.float32(0), "low": np.float32(-10), "high": np.float32(10), "keep": np.float32(0.8),
        "take": np.float32(0.2), "one": np.float32(1), "w": WEIGHT, "b": BIAS, "cap": np.float32(125),
        "spread": np.array([[0.8, 1.0, 1.2]], np.float32), "parts": np.array([3, 1, 1], np.int64),
        "fresh": NEW, "thirds": np.array([1, 1, 1], np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("IsNaN", ["x"], ["nan"]),
        helper.make_node("Where", ["nan", "zero", "x"], ["x0"]),
        helper.make_node("Clip", ["x0", "low", "high"], ["x1"]),
        helper.make_node("Split", ["state", "parts"], ["mean", "steps", "new"], axis=1),
        helper.make_node("Mul", ["mean", "keep"], ["kept"]),
        helper.make_node("Mul", ["x1", "take"], ["taken"]),
        helper.make_node("Add", ["kept", "taken"], ["mean_out"]),
        helper.make_node("Add", ["steps", "one"], ["steps_out"]),
        helper.make_node("Concat", ["mean_out", "steps_out", "new"], ["state_out"], axis=1),
        helper.make_node("MatMul", ["mean_out", "w"], ["u0"]),
        helper.make_node("MatMul", ["new", "fresh"], ["u1"]),
        helper.make_node("Add", ["u0", "u1"], ["u01"]),
        helper.make_node("Add", ["u01", "b"], ["u"]),
        helper.make_node("Sigmoid", ["u"], ["hazard"]),
        helper.make_node("Sub", ["one", "hazard"], ["survive"]),
        helper.make_node("Split", ["survive", "thirds"], ["s1", "s2", "s3"], axis=1),
        helper.make_node("Mul", ["s1", "s2"], ["s12"]),
        helper.make_node("Mul", ["s12", "s3"], ["s123"]),
        helper.make_node("Concat", ["s1", "s12", "s123"], ["survived"], axis=1),
        helper.make_node("Sub", ["one", "survived"], ["risk"]),
        helper.make_node("Mul", ["s123", "cap"], ["left"]),
        helper.make_node("Mul", ["left", "spread"], ["rul"]),
    ]
    f32 = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("x", f32, ["b", 3]),
            helper.make_tensor_value_info("dt", f32, ["b"]),
            helper.make_tensor_value_info("state", f32, ["b", 5]),
        ],
        [
            helper.make_tensor_value_info("state_out", f32, ["b", 5]),
            helper.make_tensor_value_info("risk", f32, ["b", 3]),
            helper.make_tensor_value_info("rul", f32, ["b", 3]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
