"""The operators a streaming graph may use: what each takes, what it gives, and that it keeps rows apart.

Every value is a constant or has the batch as its first dimension, `ROWS`, and each rule below gives row i of its result
from rows i of its inputs and from constants alone. So a graph that passes cannot let one device see another (law 2),
whatever its weights are. The rules know all types and shapes, so that the memory and the work of a batch are bounded
and ONNX Runtime has little left to refuse. They are those of opset 17; a new operator is a rule and a line in
`OPERATORS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

FLOAT, UINT8, INT8, INT32, INT64, BOOL = 1, 2, 3, 6, 7, 9  # TensorProto.DataType
TYPE_NAMES = {FLOAT: "float32", UINT8: "uint8", INT8: "int8", INT32: "int32", INT64: "int64", BOOL: "bool"}
ROWS = -1


class Unfit(ValueError):
    """A node that its operator's rule refuses."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor as far as it is known beforehand: also the numbers of a short int64 constant, and whether all are 0."""

    kind: int
    shape: tuple[int, ...]
    numbers: tuple[int, ...] = ()
    is_zero: bool = False

    @property
    def is_constant(self) -> bool:
        return ROWS not in self.shape

    def __str__(self) -> str:
        dims = ("b" if dim == ROWS else str(dim) for dim in self.shape)
        return f"{TYPE_NAMES[self.kind]} [{', '.join(dims)}]"


@dataclass(frozen=True, slots=True)
class Node:
    """What an operator is applied to; an input that is left out is None."""

    inputs: Sequence[Value | None]
    n_outputs: int
    attributes: Mapping[str, float]

    def value(self, index: int, *kinds: int) -> Value:
        """The input at `index`, which must be there and of one of `kinds`."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise Unfit(f"has no input {index}")
        if kinds and value.kind not in kinds:
            raise Unfit(f"takes no {value} as input {index}")
        return value

    def rows(self, index: int, kind: int) -> Value:
        """The input at `index`, which must be [b, n]."""
        value = self.value(index, kind)
        if len(value.shape) != 2 or value.shape[0] != ROWS:
            raise Unfit(f"takes [b, n], not {value}, as input {index}")
        return value

    def constant(self, index: int, *kinds: int) -> Value:
        value = self.value(index, *kinds)
        if not value.is_constant:
            raise Unfit(f"takes a constant, not {value}, as input {index}")
        return value

    def scalar(self, index: int, *kinds: int) -> Value:
        value = self.constant(index, *kinds)
        if value.shape != ():
            raise Unfit(f"takes a scalar, not {value}, as input {index}")
        return value

    def needs_columns(self, default: int | None = None) -> None:
        """The attribute `axis` must mean columns."""
        if self.attributes.get("axis", default) not in (1, -1):
            raise Unfit("works along another axis than the columns")


def broadcast(values: Sequence[Value]) -> tuple[int, ...]:
    """The shape of an operation element by element. Rows may only meet rows and what is repeated for all of them."""
    shape = []
    for dims in zip_longest(*(reversed(value.shape) for value in values), fillvalue=1):
        wide = {dim for dim in dims if dim != 1}
        if len(wide) > 1:
            raise Unfit(f"cannot take {' and '.join(map(str, values))} together")
        shape.append(wide.pop() if wide else 1)
    shape.reverse()
    if ROWS in shape[1:]:
        raise Unfit(f"would spread rows over columns: {' and '.join(map(str, values))}")
    return tuple(shape)


def each(takes: int, gives: int, n_inputs: int) -> Callable[[Node], list[Value]]:
    """Element by element, over `n_inputs` inputs of one type."""

    def rule(node: Node) -> list[Value]:
        return [Value(gives, broadcast([node.value(index, takes) for index in range(n_inputs)]))]

    return rule


def extreme(node: Node) -> list[Value]:
    """Min, Max: element by element, over any number of inputs."""
    return each(FLOAT, FLOAT, len(node.inputs))(node)


def identity(node: Node) -> list[Value]:
    return [node.value(0)]


def cast(node: Node) -> list[Value]:
    if node.attributes.get("to") != FLOAT:
        raise Unfit("makes something else than float32")
    return [Value(FLOAT, node.value(0).shape)]


def where(node: Node) -> list[Value]:
    return [Value(FLOAT, broadcast([node.value(0, BOOL), node.value(1, FLOAT), node.value(2, FLOAT)]))]


def clip(node: Node) -> list[Value]:
    for index in range(1, len(node.inputs)):
        if node.inputs[index] is not None:
            node.scalar(index, FLOAT)
    return [node.value(0, FLOAT)]


def softmax(node: Node) -> list[Value]:
    node.needs_columns(default=-1)
    return [node.rows(0, FLOAT)]


def concat(node: Node) -> list[Value]:
    node.needs_columns()
    parts = [node.rows(index, FLOAT) for index in range(len(node.inputs))]
    return [Value(FLOAT, (ROWS, sum(part.shape[1] for part in parts)))]


def split(node: Node) -> list[Value]:
    node.needs_columns()
    columns = node.rows(0, FLOAT).shape[1]
    sizes: Sequence[int] = [columns // node.n_outputs] * node.n_outputs
    if len(node.inputs) > 1:
        given = node.constant(1, INT64)
        if len(given.shape) != 1:
            raise Unfit(f"takes its sizes as a list, not {given}")
        sizes = given.numbers
    if sum(sizes) != columns or len(sizes) != node.n_outputs or min(sizes) < 1:
        raise Unfit(f"cannot cut {columns} columns into {node.n_outputs} parts of {list(sizes)}")
    return [Value(FLOAT, (ROWS, size)) for size in sizes]


def unsqueeze(node: Node) -> list[Value]:
    value, axes = node.value(0, FLOAT), node.constant(1, INT64)
    if value.shape != (ROWS,) or axes.shape != (1,) or axes.numbers not in ((1,), (-1,)):
        raise Unfit(f"makes only [b, 1] of [b], not {list(axes.numbers)} of {value}")
    return [Value(FLOAT, (ROWS, 1))]


def matmul(node: Node) -> list[Value]:
    return [_product(FLOAT, node.rows(0, FLOAT), node.constant(1, FLOAT), transposed=False)]


def gemm(node: Node) -> list[Value]:
    if node.attributes.get("transA", 0):
        raise Unfit("would turn rows into columns")
    rows, weight = node.rows(0, FLOAT), node.constant(1, FLOAT)
    product = _product(FLOAT, rows, weight, transposed=bool(node.attributes.get("transB", 0)))
    if len(node.inputs) > 2 and broadcast([product, node.constant(2, FLOAT)]) != product.shape:
        raise Unfit(f"cannot add {node.inputs[2]} to {product}")
    return [product]


def matmul_integer(node: Node) -> list[Value]:
    rows, weight = node.rows(0, UINT8), node.constant(1, INT8)
    for index, kind in ((2, UINT8), (3, INT8)):
        if len(node.inputs) > index:
            node.scalar(index, kind)
    return [_product(INT32, rows, weight, transposed=False)]


def _product(kind: int, rows: Value, weight: Value, *, transposed: bool) -> Value:
    """[b, n] by [n, m], or by [m, n] when transposed."""
    shape = weight.shape[::-1] if transposed else weight.shape
    if len(shape) != 2 or shape[0] != rows.shape[1]:
        raise Unfit(f"cannot multiply {rows} by {weight}")
    return Value(kind, (ROWS, shape[1]))


def quantize(node: Node) -> list[Value]:
    """With one scale for all, so that it is the same in any batch."""
    node.scalar(1, FLOAT)
    zero = node.scalar(2, UINT8, INT8)
    return [Value(zero.kind, node.value(0, FLOAT).shape)]


def dequantize(node: Node) -> list[Value]:
    """Rows with one scale for all; constants with one, or one for each place of `axis`."""
    value, scale = node.value(0, UINT8, INT8, INT32), node.constant(1, FLOAT)
    zero = node.constant(2, value.kind)
    axis = int(node.attributes.get("axis", 1))
    per_axis = value.is_constant and 0 <= axis < len(value.shape) and scale.shape == (value.shape[axis],)
    if zero.shape != scale.shape or not (scale.shape == () or per_axis):
        raise Unfit(f"cannot scale {value} by {scale}, with {zero} as zero")
    if value.kind == INT32 and not zero.is_zero:
        raise Unfit("takes only 0 as the zero of int32")
    return [Value(FLOAT, value.shape)]


@dataclass(frozen=True, slots=True)
class Operator:
    """A rule, how many inputs it reads, and the attributes it knows."""

    rule: Callable[[Node], list[Value]]
    n_inputs: range
    attributes: frozenset[str] = frozenset()


def _of(rule: Callable[[Node], list[Value]], at_least: int, at_most: int, *attributes: str) -> Operator:
    return Operator(rule, range(at_least, at_most + 1), frozenset(attributes))


UNARY = _of(each(FLOAT, FLOAT, 1), 1, 1)
BINARY = _of(each(FLOAT, FLOAT, 2), 2, 2)
COMPARE = _of(each(FLOAT, BOOL, 2), 2, 2)
LOGIC = _of(each(BOOL, BOOL, 2), 2, 2)

OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(("Sigmoid", "Tanh", "Relu", "Softplus", "Erf", "Exp", "Sqrt", "Reciprocal"), UNARY),
    **dict.fromkeys(("Neg", "Abs", "Sign", "Floor", "Ceil", "Round"), UNARY),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow"), BINARY),
    **dict.fromkeys(("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"), COMPARE),
    **dict.fromkeys(("And", "Or", "Xor"), LOGIC),
    "Not": _of(each(BOOL, BOOL, 1), 1, 1),
    "IsNaN": _of(each(FLOAT, BOOL, 1), 1, 1),
    "IsInf": _of(each(FLOAT, BOOL, 1), 1, 1),
    "HardSigmoid": _of(each(FLOAT, FLOAT, 1), 1, 1, "alpha", "beta"),
    "LeakyRelu": _of(each(FLOAT, FLOAT, 1), 1, 1, "alpha"),
    "Min": _of(extreme, 1, 64),
    "Max": _of(extreme, 1, 64),
    "Identity": _of(identity, 1, 1),
    "Cast": _of(cast, 1, 1, "to"),
    "Where": _of(where, 3, 3),
    "Clip": _of(clip, 1, 3),
    "Softmax": _of(softmax, 1, 1, "axis"),
    "Concat": _of(concat, 1, 64, "axis"),
    "Split": _of(split, 1, 2, "axis"),
    "Unsqueeze": _of(unsqueeze, 2, 2),
    "MatMul": _of(matmul, 2, 2),
    "Gemm": _of(gemm, 2, 3, "alpha", "beta", "transA", "transB"),
    "MatMulInteger": _of(matmul_integer, 2, 4),
    "QuantizeLinear": _of(quantize, 3, 3),
    "DequantizeLinear": _of(dequantize, 3, 3, "axis"),
}

FLOAT_ATTRIBUTES = frozenset({"alpha", "beta"})  # all others are whole numbers
PRODUCTS = frozenset({"MatMul", "Gemm", "MatMulInteger"})  # rows by the constant that is input 1


def apply(operator: str, node: Node) -> list[Value]:
    """The outputs of a node. Raises Unfit."""
    allowed = OPERATORS.get(operator)
    if allowed is None:
        raise Unfit("is not among the operators allowed in a bundle")
    if len(node.inputs) not in allowed.n_inputs:
        raise Unfit(f"has {len(node.inputs)} inputs")
    unknown = sorted(set(node.attributes) - allowed.attributes)
    if unknown:
        raise Unfit(f"has the attribute {unknown[0]!r}, which it does not know")
    for name, number in node.attributes.items():
        kind = float if name in FLOAT_ATTRIBUTES else int
        if not isinstance(number, kind):
            raise Unfit(f"has {number!r} as {name!r}, which is no {'float' if kind is float else 'whole number'}")
    outputs = allowed.rule(node)
    if len(outputs) != node.n_outputs:
        raise Unfit(f"has {node.n_outputs} outputs, must have {len(outputs)}")
    return outputs
