"""What a model file may be, checked on its bytes before ONNX Runtime sees them (no `onnx` package on a gateway).

One flat graph of standard operators whose every weight is in the file and finite. Operators that loop, allocate by a
number in the model, draw random numbers or call other functions are not among those of `operators.py`, whose rules also
show that no row depends on another and how much memory a batch can take.
"""

import struct
from collections.abc import Iterable
from math import prod

import numpy as np
import numpy.typing as npt

from agent.bundle.heads import widths
from agent.bundle.manifest import Manifest
from agent.bundle.operators import BOOL, FLOAT, INT8, INT32, INT64, ROWS, UINT8, Node, Unfit, Value, apply
from agent.bundle.protobuf import BYTES, FIXED32, VARINT, Field, Malformed, Message, Table, read
from agent.bundle.work import NO_WORK, Work, work_of

IR_VERSIONS = range(7, 11)
OPSET_VERSION = 17
NODES_MAX = 4096
INITIALIZERS_MAX = 4096
RANK_MAX = 4
OPERANDS_MAX = 64
NUMBERS_MAX = 64
ATTRIBUTE_FLOAT, ATTRIBUTE_INT = 1, 2  # AttributeProto.type
ROW_NUMBERS_MAX = 2**18
CONSTANT_NUMBERS_MAX = 2**24
ITEM_TYPES: dict[int, npt.DTypeLike] = {
    FLOAT: np.float32, UINT8: np.uint8, INT8: np.int8, INT32: np.int32, INT64: np.int64, BOOL: np.bool_,
}  # fmt: skip

_IGNORED = Field("doc_string", BYTES)
_PROPERTIES = Field("metadata_props", BYTES, 64)

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
        14: _PROPERTIES,
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
        13: Field("value_info", BYTES, 0),
        14: Field("quantization_annotation", BYTES, 0),
        15: Field("sparse_initializer", BYTES, 0),
        16: _PROPERTIES,
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
        9: _PROPERTIES,
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
        7: Field("a list of numbers", BYTES, 0),
        8: Field("a list of whole numbers", BYTES, 0),
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
PROPERTY = Table("metadata_props", {1: Field("key", BYTES), 2: Field("value", BYTES)})
DIM = Table("dim", {1: Field("dim_value", VARINT), 2: Field("dim_param", BYTES), 3: Field("denotation", BYTES)})


def check(model: bytes, manifest: Manifest) -> Work:
    """Raise Malformed unless `model` is a streaming graph with the inputs and outputs that `manifest` promises.

    Inputs x [b, F], dt [b], state [b, S], outputs state_out [b, S] and one for each head of the manifest, as wide as it
    says; all float32, with b left open. Returns how much work it is.
    """
    proto = read(memoryview(model), MODEL)
    _check_properties(proto)
    ir_version = proto.number("ir_version")
    if ir_version not in IR_VERSIONS:
        raise Malformed(f"IR version {ir_version} is not among {IR_VERSIONS.start} to {IR_VERSIONS.stop - 1}")
    _check_opset(proto)
    graph = read(proto.part("graph"), GRAPH)
    _check_properties(graph)
    rows: dict[str, tuple[int, ...]] = {"x": (manifest.n_channels,), "dt": (), "state": (manifest.state_size,)}
    promised: dict[str, tuple[int, ...]] = {"state_out": (manifest.state_size,)}
    promised |= {name: (width,) for name, width in widths(manifest).items()}
    _check_values("input", graph.parts.get("input", []), rows)
    _check_values("output", graph.parts.get("output", []), promised)
    defined = {name: Value(FLOAT, (ROWS, *shape)) for name, shape in rows.items()}
    for part in graph.parts.get("initializer", []):
        name, value = _initializer(part)
        _define(name, value, defined)
    sizes = {True: 0, False: 0}  # of the constants and of the rows that nodes compute
    work = NO_WORK
    for index, part in enumerate(graph.parts.get("node", [])):
        values, node_work = _check_node(index, part, defined)
        work += node_work
        for value in values:
            sizes[value.is_constant] += prod(dim for dim in value.shape if dim != ROWS)
        if sizes[False] > ROW_NUMBERS_MAX or sizes[True] > CONSTANT_NUMBERS_MAX:
            raise Malformed(f"the nodes up to {index} need more memory than a streaming graph may")
    for name, shape in promised.items():
        if name not in defined:
            raise Malformed(f"no node computes the output {name!r}")
        if defined[name] != (want := Value(FLOAT, (ROWS, *shape))):
            raise Malformed(f"the output {name!r} is computed as {defined[name]}, the manifest promises {want}")
    return work


def _check_properties(message: Message) -> None:
    """Notes of whoever made the model, which nobody reads here; ONNX Runtime refuses those that are no texts."""
    for part in message.parts.get("metadata_props", []):
        read(part, PROPERTY)


def _check_opset(proto: Message) -> None:
    for part in proto.parts.get("opset_import", []):
        opset = read(part, OPSET)
        domain, version = opset.text("domain"), opset.number("version")
        if domain:
            raise Malformed(f"it needs operators of the domain {domain!r}; only standard ones are allowed")
        if version != OPSET_VERSION:
            raise Malformed(f"it is written for opset {version}, not {OPSET_VERSION}")
    if len(proto.parts.get("opset_import", [])) != 1:
        raise Malformed("it must import exactly one opset")


def _check_values(side: str, parts: Iterable[memoryview], promised: dict[str, tuple[int, ...]]) -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    for part in parts:
        value = read(part, VALUE)
        name = value.text("name")
        if name not in promised or name in shapes:
            raise Malformed(f"{side} {name!r} is {'there twice' if name in shapes else 'not one of a streaming graph'}")
        tensor = read(read(value.part("type"), TYPE).part("tensor_type"), TENSOR_TYPE)
        if tensor.number("elem_type") != FLOAT:
            raise Malformed(f"{side} {name!r} is not float32")
        dims = [read(dim, DIM) for dim in read(tensor.part("shape"), SHAPE).parts.get("dim", [])]
        if not dims or "dim_value" in dims[0].numbers:
            raise Malformed(f"{side} {name!r} fixes the number of rows; it must be open")
        shapes[name] = tuple(dim.number("dim_value") for dim in dims[1:])
        if shapes[name] != promised[name]:
            got, want = (", ".join(("b", *map(str, shape))) for shape in (shapes[name], promised[name]))
            raise Malformed(f"{side} {name!r} is [{got}], the manifest promises [{want}]")
    for name in promised:
        if name not in shapes:
            raise Malformed(f"{side} {name!r} is missing")


def _initializer(part: memoryview) -> tuple[str, Value]:
    """Name and value of a constant."""
    tensor = read(part, TENSOR)
    name = tensor.text("name")
    if tensor.number("data_location"):
        raise Malformed(f"the weights {name!r} are outside the file")
    kind = tensor.number("data_type")
    if kind not in ITEM_TYPES:
        raise Malformed(f"the weights {name!r} have the unsupported type number {kind}")
    dims = tuple(tensor.numbers.get("dims", []))
    raw = tensor.parts.get("raw_data", [memoryview(b"")])[0]
    if any(dim < 1 for dim in dims):
        raise Malformed(f"the weights {name!r} have a dimension below 1: {list(dims)}")
    item_type = np.dtype(ITEM_TYPES[kind])
    claimed = prod(dims) * item_type.itemsize
    if claimed != len(raw):
        raise Malformed(f"the weights {name!r} claim {claimed} bytes (shape {list(dims)}) and have {len(raw)}")
    values = np.frombuffer(raw, item_type)
    if kind == FLOAT and not np.isfinite(values).all():
        raise Malformed(f"the weights {name!r} hold NaN or infinity")
    numbers = tuple(values.tolist()) if kind == INT64 and len(values) <= NUMBERS_MAX else ()
    return name, Value(kind, dims, numbers, is_zero=not values.any())


def _check_node(index: int, part: memoryview, defined: dict[str, Value]) -> tuple[list[Value], Work]:
    """The values that a node adds to the known ones, and its work."""
    node = read(part, NODE)
    _check_properties(node)
    operator, domain = node.text("op_type"), node.text("domain")
    where = f"node {index} ({operator!r})"
    if domain:
        raise Malformed(f"{where} is of the domain {domain!r}; only standard operators are allowed")
    attributes: dict[str, float] = {}
    for attribute in node.parts.get("attribute", []):
        name, number = _attribute(attribute)
        if name in attributes:
            raise Malformed(f"{where} has the attribute {name!r} twice")
        attributes[name] = number
    inputs = node.texts("input")
    for name in inputs:
        if name and name not in defined:
            raise Malformed(f"{where} reads {name!r} before anything defines it")
    names = node.texts("output")
    if not names:
        raise Malformed(f"{where} has no output")
    given = [defined[name] if name else None for name in inputs]
    try:
        values = apply(operator, Node(given, len(names), attributes))
    except Unfit as error:
        raise Malformed(f"{where} {error}") from None
    for name, value in zip(names, values, strict=True):
        _define(name, value, defined)
    return values, work_of(operator, given, values)


def _attribute(part: memoryview) -> tuple[str, float]:
    attribute = read(part, ATTRIBUTE)
    name, kind = attribute.text("name"), attribute.number("type")
    if kind == ATTRIBUTE_INT and "i" in attribute.numbers:
        return name, attribute.number("i")
    if kind == ATTRIBUTE_FLOAT and "f" in attribute.parts:
        return name, float(struct.unpack("<f", attribute.part("f"))[0])
    raise Malformed(f"the attribute {name!r} is neither a whole number nor a float")


def _define(name: str, value: Value, defined: dict[str, Value]) -> None:
    if not name or name in defined:
        raise Malformed(f"the value {name!r} is defined twice" if name else "a value has no name")
    defined[name] = value
