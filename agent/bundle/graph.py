"""What a model file may be, checked on its bytes before ONNX Runtime sees them (no `onnx` package on a gateway).

One flat graph of standard operators whose every weight is in the file and finite. Operators that loop, allocate by a
number in the model (Expand, Tile, Range, ConstantOfShape), draw random numbers or call other functions are not among
the allowed ones. That no row depends on another is for the golden check to show.
"""

from collections.abc import Iterable
from math import prod

import numpy as np

from agent.bundle.manifest import Manifest
from agent.bundle.wire import BYTES, FIXED32, VARINT, Field, Malformed, Message, Table, read

IR_VERSIONS = range(7, 11)
OPSETS = range(13, 22)
NODES_MAX = 4096
INITIALIZERS_MAX = 4096
RANK_MAX = 4
OPERANDS_MAX = 64
OPERATORS = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Neg", "Abs", "Sign", "Sqrt", "Pow", "Exp", "Log", "Erf", "Reciprocal"),
        *("Min", "Max", "Clip", "Ceil", "Floor", "Round", "Where", "Cast", "Identity", "IsNaN", "IsInf"),
        *("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Not", "Xor"),
        *("Sigmoid", "Tanh", "Relu", "LeakyRelu", "HardSigmoid", "HardSwish", "Softplus", "Softmax"),
        *("Concat", "Split", "Unsqueeze", "MatMul", "Gemm"),
        *("MatMulInteger", "QuantizeLinear", "DequantizeLinear"),
    }
)
FLOAT = 1
ITEM_TYPES = {FLOAT: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_}

_IGNORED = Field("doc_string", BYTES)
_PROPERTIES_MAX = 64

MODEL = Table(
    "model",
    {
        1: Field("ir_version", VARINT),
        2: Field("producer_name", BYTES),
        3: Field("producer_version", BYTES),
        4: Field("domain", BYTES),
        5: Field("model_version", VARINT),
        6: _IGNORED,
        7: Field("graph", BYTES),
        8: Field("opset_import", BYTES, 8),
        14: Field("metadata_props", BYTES, _PROPERTIES_MAX),
        20: Field("training_info", BYTES, 0),
        25: Field("functions", BYTES, 0),
    },
)
OPSET = Table("opset_import", {1: Field("domain", BYTES), 2: Field("version", VARINT)})
GRAPH = Table(
    "graph",
    {
        1: Field("node", BYTES, NODES_MAX),
        2: Field("name", BYTES),
        5: Field("initializer", BYTES, INITIALIZERS_MAX),
        10: _IGNORED,
        11: Field("input", BYTES, 16),
        12: Field("output", BYTES, 16),
        13: Field("value_info", BYTES, NODES_MAX),
        14: Field("quantization_annotation", BYTES, 0),
        15: Field("sparse_initializer", BYTES, 0),
        16: Field("metadata_props", BYTES, _PROPERTIES_MAX),
    },
)
NODE = Table(
    "node",
    {
        1: Field("input", BYTES, OPERANDS_MAX),
        2: Field("output", BYTES, OPERANDS_MAX),
        3: Field("name", BYTES),
        4: Field("op_type", BYTES),
        5: Field("attribute", BYTES, 16),
        6: _IGNORED,
        7: Field("domain", BYTES),
        8: Field("overload", BYTES),
        9: Field("metadata_props", BYTES, _PROPERTIES_MAX),
    },
)
ATTRIBUTE = Table(
    "attribute",
    {
        1: Field("name", BYTES),
        2: Field("f", FIXED32),
        3: Field("i", VARINT),
        4: Field("text", BYTES, 0),
        5: Field("a tensor", BYTES, 0),
        6: Field("a subgraph", BYTES, 0),
        7: Field("floats", FIXED32, OPERANDS_MAX),
        8: Field("ints", VARINT, OPERANDS_MAX),
        10: Field("tensors", BYTES, 0),
        11: Field("subgraphs", BYTES, 0),
        13: _IGNORED,
        20: Field("type", VARINT),
    },
)
TENSOR = Table(
    "initializer",
    {
        1: Field("dims", VARINT, RANK_MAX),
        2: Field("data_type", VARINT),
        3: Field("segment", BYTES, 0),
        8: Field("name", BYTES),
        9: Field("raw_data", BYTES),
        12: _IGNORED,
        13: Field("external data", BYTES, 0),
        14: Field("data_location", VARINT),
        4: Field("float_data instead of raw_data", BYTES, 0),
        5: Field("int32_data instead of raw_data", BYTES, 0),
        6: Field("string_data", BYTES, 0),
        7: Field("int64_data instead of raw_data", BYTES, 0),
    },
)
VALUE = Table("value", {1: Field("name", BYTES), 2: Field("type", BYTES), 3: _IGNORED})
TYPE = Table("type", {1: Field("tensor_type", BYTES), 6: Field("denotation", BYTES)})
TENSOR_TYPE = Table("tensor_type", {1: Field("elem_type", VARINT), 2: Field("shape", BYTES)})
SHAPE = Table("shape", {1: Field("dim", BYTES, RANK_MAX)})
DIM = Table("dim", {1: Field("dim_value", VARINT), 2: Field("dim_param", BYTES), 3: Field("denotation", BYTES)})


def check(model: bytes, manifest: Manifest) -> None:
    """Raise Malformed unless `model` is a streaming graph with the inputs and outputs that `manifest` promises.

    Inputs x [b, F], dt [b], state [b, S] and outputs state_out [b, S], risk [b, K] and, when the manifest has `rul`,
    rul [b, Q]; all float32, with b left open.
    """
    proto = read(memoryview(model), MODEL)
    ir_version = proto.number("ir_version")
    if ir_version not in IR_VERSIONS:
        raise Malformed(f"IR version {ir_version} is not among {IR_VERSIONS.start} to {IR_VERSIONS.stop - 1}")
    _check_opset(proto)
    graph = read(proto.part("graph"), GRAPH)
    rows: dict[str, tuple[int, ...]] = {"x": (manifest.n_channels,), "dt": (), "state": (manifest.state_size,)}
    promised: dict[str, tuple[int, ...]] = {
        "state_out": (manifest.state_size,),
        "risk": (len(manifest.risk.horizons_s),),
    }
    if manifest.rul is not None:
        promised["rul"] = (len(manifest.rul.quantiles),)
    _check_values("input", graph.parts.get("input", []), rows)
    _check_values("output", graph.parts.get("output", []), promised)
    known = set(rows)
    for part in graph.parts.get("initializer", []):
        _define(_check_initializer(part), known)
    for index, part in enumerate(graph.parts.get("node", [])):
        _check_node(index, part, known)
    for name in promised:
        if name not in known:
            raise Malformed(f"no node computes the output {name!r}")


def _check_opset(proto: Message) -> None:
    for part in proto.parts.get("opset_import", []):
        opset = read(part, OPSET)
        domain, version = opset.text("domain"), opset.number("version")
        if domain:
            raise Malformed(f"it needs operators of the domain {domain!r}; only standard ones are allowed")
        if version not in OPSETS:
            raise Malformed(f"opset {version} is not among {OPSETS.start} to {OPSETS.stop - 1}")
    if len(proto.parts.get("opset_import", [])) != 1:
        raise Malformed("it must import exactly one opset")


def _check_values(side: str, parts: Iterable[memoryview], promised: dict[str, tuple[int, ...]]) -> None:
    found: dict[str, tuple[int, ...]] = {}
    for part in parts:
        value = read(part, VALUE)
        name = value.text("name")
        if name not in promised or name in found:
            raise Malformed(f"{side} {name!r} is {'there twice' if name in found else 'not one of a streaming graph'}")
        tensor = read(read(value.part("type"), TYPE).part("tensor_type"), TENSOR_TYPE)
        if tensor.number("elem_type") != FLOAT:
            raise Malformed(f"{side} {name!r} is not float32")
        dims = [read(dim, DIM) for dim in read(tensor.part("shape"), SHAPE).parts.get("dim", [])]
        if not dims or "dim_value" in dims[0].numbers:
            raise Malformed(f"{side} {name!r} fixes the number of rows; it must be open")
        found[name] = tuple(dim.number("dim_value") for dim in dims[1:])
        if found[name] != promised[name]:
            got, want = (", ".join(("b", *map(str, shape))) for shape in (found[name], promised[name]))
            raise Malformed(f"{side} {name!r} is [{got}], the manifest promises [{want}]")
    for name in promised:
        if name not in found:
            raise Malformed(f"{side} {name!r} is missing")


def _check_initializer(part: memoryview) -> str:
    """Returns the name."""
    tensor = read(part, TENSOR)
    name = tensor.text("name")
    if tensor.number("data_location"):
        raise Malformed(f"the weights {name!r} are outside the file")
    item_type = ITEM_TYPES.get(tensor.number("data_type"))
    if item_type is None:
        raise Malformed(f"the weights {name!r} have the unsupported type number {tensor.number('data_type')}")
    dims = tensor.numbers.get("dims", [])
    raw = tensor.parts.get("raw_data", [memoryview(b"")])[0]
    if any(dim < 0 for dim in dims):
        raise Malformed(f"the weights {name!r} have a negative dimension: {dims}")
    claimed = prod(dims) * np.dtype(item_type).itemsize
    if claimed != len(raw):
        raise Malformed(f"the weights {name!r} claim {claimed} bytes (shape {dims}) and have {len(raw)}")
    if item_type is np.float32 and not np.isfinite(np.frombuffer(raw, np.float32)).all():
        raise Malformed(f"the weights {name!r} hold NaN or infinity")
    return name


def _check_node(index: int, part: memoryview, known: set[str]) -> None:
    node = read(part, NODE)
    operator, domain = node.text("op_type"), node.text("domain")
    if domain:
        raise Malformed(f"node {index} ({operator!r}) is of the domain {domain!r}; only standard operators are allowed")
    if operator not in OPERATORS:
        raise Malformed(f"node {index} is {operator!r}, which is not among the operators allowed in a bundle")
    for attribute in node.parts.get("attribute", []):
        read(attribute, ATTRIBUTE)
    for name in node.texts("input"):
        if name and name not in known:
            raise Malformed(f"node {index} ({operator}) reads {name!r} before anything defines it")
    for name in node.texts("output"):
        _define(name, known)


def _define(name: str, known: set[str]) -> None:
    if not name or name in known:
        raise Malformed(f"the value {name!r} is defined twice" if name else "a value has no name")
    known.add(name)
