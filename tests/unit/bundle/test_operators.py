"""A node that is accepted runs in ONNX Runtime with the type and shape that were foreseen, and keeps rows apart."""

from random import Random

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from agent.bundle.operators import BOOL, FLOAT, INT8, INT32, INT64, OPERATORS, ROWS, UINT8, Node, Unfit, Value, apply

pytestmark = pytest.mark.slow

F32, I8, U8, I32, I64 = np.float32, np.int8, np.uint8, np.int32, np.int64
INPUTS = {"x": Value(FLOAT, (ROWS, 3)), "dt": Value(FLOAT, (ROWS,)), "state": Value(FLOAT, (ROWS, 4))}
CONSTANTS: dict[str, np.ndarray] = {
    "half": F32(0.5), "two": F32(2), "one1": np.ones(1, F32), "line3": np.array([1, -2, 0.5], F32),
    "line13": np.array([[1, 2, 3]], F32), "column31": np.array([[1], [2], [3]], F32), "w34": np.ones((3, 4), F32) / 4,
    "w43": np.arange(12, dtype=F32).reshape(4, 3) / 9, "w33": np.eye(3, dtype=F32), "line4": np.arange(4, dtype=F32),
    "q34": np.arange(-6, 6, dtype=I8).reshape(3, 4), "q44": np.full((4, 4), 3, I8), "u0": U8(128), "i0": I8(0),
    "i8line": np.zeros(4, I8), "i32line": np.arange(4, dtype=I32), "i32zeros": np.zeros(4, I32),
    "i8line3": np.zeros(3, I8), "parts211": np.array([2, 1, 1], I64), "parts40": np.array([4, 0], I64),
    "parts5m": np.array([5, -1], I64), "i32ones": np.ones(4, I32),
    "parts12": np.array([1, 2], I64), "parts12of2": np.array([[1, 2]], I64), "parts31": np.array([3, 1], I64),
    "axis1": np.array([1], I64), "axis0": np.array([0], I64), "cube": np.ones((1, 1, 3), F32),
}  # fmt: skip
KINDS = {np.dtype(F32): FLOAT, np.dtype(I8): INT8, np.dtype(U8): UINT8, np.dtype(I32): INT32, np.dtype(I64): INT64}
DTYPES = {FLOAT: F32, UINT8: U8, INT8: I8, INT32: I32, INT64: I64, BOOL: np.bool_}
KNOWN = INPUTS | {
    name: Value(
        KINDS[np.asarray(value).dtype],
        np.shape(value),
        tuple(value.ravel().tolist()) if np.asarray(value).dtype == I64 else (),
        is_zero=not np.any(value),
    )
    for name, value in CONSTANTS.items()
}

Step = tuple[str, tuple[str, ...], dict[str, float], int]  # operator, inputs, attributes, number of outputs


def accepted(steps: list[Step]) -> tuple[list[Step], dict[str, Value]]:
    """The steps whose rule accepts them, and all values known after them; outputs are named s0.0, s0.1, s1.0, ..."""
    known, kept = dict(KNOWN), []
    for operator, inputs, attributes, n_outputs in steps:
        if any(name and name not in known for name in inputs):
            continue
        try:
            node = Node([known[name] if name else None for name in inputs], n_outputs, attributes)
            values = apply(operator, node)
        except Unfit:
            continue
        known |= {f"s{len(kept)}.{index}": value for index, value in enumerate(values)}
        kept.append((operator, inputs, attributes, n_outputs))
    return kept, known


def session(steps: list[Step], known: dict[str, Value]) -> tuple[ort.InferenceSession, list[str]]:
    """ONNX Runtime as the agent sets it up, with every computed value as an output."""
    names = [[f"s{index}.{output}" for output in range(step[3])] for index, step in enumerate(steps)]
    nodes = [
        helper.make_node(operator, list(inputs), outputs, **attributes)
        for (operator, inputs, attributes, _), outputs in zip(steps, names, strict=True)
    ]
    flat = [name for outputs in names for name in outputs]

    def info(name: str, value: Value) -> object:
        return helper.make_tensor_value_info(name, value.kind, ["b" if dim == ROWS else dim for dim in value.shape])

    graph = helper.make_graph(
        nodes, "g", [info(name, value) for name, value in INPUTS.items()], [info(name, known[name]) for name in flat],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in CONSTANTS.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]), flat


def batch(n_rows: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 2, [n_rows if dim == ROWS else dim for dim in value.shape]).astype(F32)
        for name, value in INPUTS.items()
    }


def assert_runs_and_keeps_rows_apart(steps: list[Step], known: dict[str, Value]) -> None:
    """Every output has the type and shape foreseen, and row 1 is the same bits whatever the other rows are."""
    run, names = session(steps, known)
    for n_rows in (1, 2, 5):
        feed, other = batch(n_rows, seed=1), batch(n_rows, seed=2)
        for name, array in other.items():
            array[0], array[-1] = np.nan, 1e30
            array[n_rows // 2] = feed[name][n_rows // 2]
        for name, got, beside in zip(names, run.run(names, feed), run.run(names, other), strict=True):
            value = known[name]
            got, beside = np.asarray(got), np.asarray(beside)
            assert (got.dtype, got.shape) == (
                DTYPES[value.kind],
                tuple(n_rows if dim == ROWS else dim for dim in value.shape),
            )
            mine = slice(n_rows // 2, n_rows // 2 + 1) if ROWS in value.shape else ...
            assert got[mine].tobytes() == beside[mine].tobytes()


EXAMPLES: dict[str, list[Step]] = {
    **{name: [(name, ("x",), {}, 1)] for name in
       ("Sigmoid", "Tanh", "Relu", "Softplus", "Erf", "Exp", "Sqrt", "Reciprocal", "Neg", "Abs", "Sign", "Floor",
        "Ceil", "Round", "IsNaN", "IsInf", "Identity", "LeakyRelu", "HardSigmoid", "Softmax")},
    **{name: [(name, ("x", "line3"), {}, 1)] for name in
       ("Add", "Sub", "Mul", "Div", "Pow", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Min", "Max")},
    **{name: [("IsNaN", ("x",), {}, 1), ("IsInf", ("x",), {}, 1), (name, ("s0.0", "s1.0"), {}, 1)] for name in
       ("And", "Or", "Xor")},
    "Not": [("IsNaN", ("x",), {}, 1), ("Not", ("s0.0",), {}, 1)],
    "Cast": [("IsNaN", ("x",), {}, 1), ("Cast", ("s0.0",), {"to": FLOAT}, 1)],
    "Where": [("IsNaN", ("x",), {}, 1), ("Where", ("s0.0", "half", "x"), {}, 1)],
    "Clip": [("Clip", ("x", "", "two"), {}, 1)],
    "Concat": [("Concat", ("x", "state", "x"), {"axis": 1}, 1)],
    "Split": [("Split", ("state", "parts31"), {"axis": 1}, 2), ("Split", ("state",), {"axis": 1}, 4)],
    "Unsqueeze": [("Unsqueeze", ("dt", "axis1"), {}, 1), ("Mul", ("s0.0", "x"), {}, 1)],
    "MatMul": [("MatMul", ("x", "w34"), {}, 1)],
    "Gemm": [("Gemm", ("x", "w43", "line4"), {"transB": 1, "alpha": 0.5}, 1),
             ("Gemm", ("state", "w43", "half"), {}, 1)],
    "QuantizeLinear": [("QuantizeLinear", ("x", "half", "u0"), {}, 1)],
    "MatMulInteger": [("QuantizeLinear", ("x", "half", "u0"), {}, 1), ("MatMulInteger", ("s0.0", "q34", "u0"), {}, 1),
                      ("MatMulInteger", ("s0.0", "q34"), {}, 1), ("MatMulInteger", ("s0.0", "q34", "u0", "i0"), {}, 1)],
    "DequantizeLinear": [  # the QGemm form: weights and bias are dequantized, then Gemm is fused
        ("QuantizeLinear", ("x", "half", "u0"), {}, 1), ("DequantizeLinear", ("s0.0", "half", "u0"), {}, 1),
        ("DequantizeLinear", ("q34", "line4", "i8line"), {"axis": 1}, 1),
        ("DequantizeLinear", ("i32line", "line4", "i32zeros"), {"axis": 0}, 1),
        ("Gemm", ("s1.0", "s2.0", "s3.0"), {}, 1)],
}  # fmt: skip


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_runs_and_keeps_rows_apart(operator):
    steps, known = accepted(EXAMPLES[operator])
    assert steps == EXAMPLES[operator]
    assert_runs_and_keeps_rows_apart(steps, known)


CHOICES = {"axis": (1, -1, 0, 1.0), "to": (FLOAT, FLOAT, INT32), "transA": (0, 0, 1), "transB": (0, 1, 1.0),
           "alpha": (0.25, 0.25, 1), "beta": (2.0, 2.0, 2)}  # fmt: skip

RARE = [
    "QuantizeLinear",
    "DequantizeLinear",
    "MatMulInteger",
    "MatMul",
    "Gemm",
    "Split",
    "Unsqueeze",
    "Where",
    "Concat",
]

LIKELY = {"QuantizeLinear": {1: "half", 2: "u0"}, "MatMulInteger": {1: "q34", 2: "u0"}, "MatMul": {1: "w34"},
          "Unsqueeze": {0: "dt", 1: "axis1"}, "Gemm": {1: "w34", 2: "line4"}}  # fmt: skip


def drawn_steps(random: Random, n_tries: int = 800, n_steps_max: int = 24) -> list[Step]:
    """Steps whose operands fit, found by trying: each operator is tried on whatever there is by then."""
    steps: list[Step] = []
    known = KNOWN
    for _ in range(n_tries):
        operator = random.choice(random.choice((RARE, list(OPERATORS))))
        shape = OPERATORS[operator]
        n_inputs = random.randint(shape.n_inputs.start, min(3, shape.n_inputs.stop - 1))
        computed = [name for name, value in known.items() if not value.is_constant]
        likely = LIKELY.get(operator, {}) if random.random() < 0.3 else {}
        inputs = tuple(
            likely.get(index) or random.choice(random.choice([computed, computed, list(CONSTANTS)]))
            for index in range(n_inputs)
        )
        attributes = {name: random.choice(CHOICES[name]) for name in shape.attributes if random.random() < 0.8}
        step = (operator, inputs, attributes, random.choice((1, 2, 3)) if operator == "Split" else 1)
        steps, known = accepted([*steps, step])
        if len(steps) == n_steps_max:
            break
    return steps


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_whatever_is_accepted_runs_and_keeps_rows_apart(random):
    assert_runs_and_keeps_rows_apart(*accepted(drawn_steps(random)))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (("Loop", ("x",), {}, 1), "not among the operators"),
        (("Sigmoid", ("x", "x"), {}, 1), "has 2 inputs"),
        (("Sigmoid", ("x",), {}, 2), "has 2 outputs, must have 1"),
        (("Sigmoid", ("",), {}, 1), "has no input 0"),
        (("Sigmoid", ("x",), {"axis": 1}, 1), "the attribute 'axis', which it does not know"),
        (("Sigmoid", ("q34",), {}, 1), r"takes no int8 \[3, 4\]"),
        (("Add", ("x", "dt"), {}, 1), "cannot take"),
        (("Add", ("one1", "dt"), {}, 1), None),
        (("Mul", ("column31", "dt"), {}, 1), "would spread rows over columns"),
        (("Add", ("x", "column31"), {}, 1), "cannot take"),
        (("Add", ("x", "cube"), {}, 1), "would spread rows over columns"),
        (("Add", ("x", "state"), {}, 1), r"cannot take float32 \[b, 3\] and float32 \[b, 4\] together"),
        (("Concat", ("x", "state"), {"axis": 0}, 1), "another axis than the columns"),
        (("Concat", ("x", "state"), {}, 1), "another axis than the columns"),
        (("Concat", ("x", "line13"), {"axis": 1}, 1), r"takes \[b, n\]"),
        (("Softmax", ("x",), {"axis": 0}, 1), "another axis"),
        (("Split", ("state", "parts12"), {"axis": 1}, 2), r"cannot cut 4 columns into 2 parts of \[1, 2\]"),
        (("Split", ("state", "parts211"), {"axis": 1}, 2), "into 2 parts"),
        (("Split", ("state", "parts40"), {"axis": 1}, 2), "parts of .4, 0."),
        (("Split", ("state", "parts5m"), {"axis": 1}, 2), "parts of .5, -1."),
        (("Split", ("x", "parts12of2"), {"axis": 1}, 2), r"takes its sizes as a list, not int64 \[1, 2\]"),
        (("Split", ("x",), {"axis": 1}, 2), "cannot cut 3 columns"),
        (("Split", ("x",), {"axis": 1.0}, 3), "has 1.0 as 'axis', which is no whole number"),
        (("LeakyRelu", ("x",), {"alpha": 1}, 1), "has 1 as 'alpha', which is no float"),
        (("Split", ("x",), {"axis": 1}, 4), "cannot cut 3 columns"),
        (("Split", ("state",), {"axis": 0}, 2), "another axis"),
        (("Unsqueeze", ("dt", "axis0"), {}, 1), r"makes only \[b, 1\]"),
        (("Unsqueeze", ("x", "axis1"), {}, 1), r"makes only \[b, 1\]"),
        (("MatMul", ("x", "x"), {}, 1), "takes a constant"),
        (("MatMul", ("w33", "x"), {}, 1), r"takes \[b, n\]"),
        (("MatMul", ("x", "w43"), {}, 1), "cannot multiply"),
        (("MatMul", ("x", "line3"), {}, 1), "cannot multiply"),
        (("Gemm", ("x", "w34"), {"transA": 1}, 1), "would turn rows into columns"),
        (("Gemm", ("x", "w34", "line3"), {}, 1), "cannot take"),
        (("Cast", ("x",), {"to": INT8}, 1), "something else than float32"),
        (("Clip", ("x", "line3"), {}, 1), "takes a scalar"),
        (("Clip", ("x", "dt"), {}, 1), "takes a constant"),
        (("QuantizeLinear", ("x", "line3", "u0"), {}, 1), "takes a scalar"),
        (("QuantizeLinear", ("x", "half", "two"), {}, 1), r"takes no float32 \[\]"),
        (("DequantizeLinear", ("i32line", "line4", "i32ones"), {"axis": 0}, 1), "only 0 as the zero of int32"),
        (("DequantizeLinear", ("q34", "line3", "i8line"), {"axis": 1}, 1), "cannot scale"),
        (("DequantizeLinear", ("q34", "line3", "i8line3"), {"axis": 1}, 1), "cannot scale"),
        (("DequantizeLinear", ("q34", "line3", "i8line3"), {"axis": 0}, 1), None),
        (("DequantizeLinear", ("q34", "line3", "i8line3"), {"axis": 2}, 1), "cannot scale"),
    ],
)
def test_what_would_mix_rows_or_not_run_is_refused(step, words):
    operator, inputs, attributes, n_outputs = step
    node = Node([KNOWN[name] if name else None for name in inputs], n_outputs, attributes)
    if words is None:
        assert apply(operator, node)
    else:
        with pytest.raises(Unfit, match=words):
            apply(operator, node)


def test_type_numbers_are_those_of_onnx():
    kinds = {"FLOAT": FLOAT, "UINT8": UINT8, "INT8": INT8, "INT32": INT32, "INT64": INT64, "BOOL": BOOL}
    assert {name: TensorProto.DataType.Value(name) for name in kinds} == kinds
