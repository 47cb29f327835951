"""Sparkplug B payloads: protobuf bytes -> metrics, and what number a metric is.

The protobuf library takes bytes apart; onnxruntime brings it anyway. The message types are made here, from the numbers
and types of the specification, of those fields alone that are read. Two things differ from the specification's own
file, and mean the same bytes: texts are bytes, so that one that is not UTF-8 costs nothing and harms nobody, and an
alias or a sequence number that is absent reads as ABSENT.

Source: Eclipse Sparkplug 3.0, section 6.4 (payloads).
"""

import math
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

ABSENT: Final = 2**64 - 1  # an integer that is not there
METRICS_MAX = 10_000  # of a payload
SEQ_MAX = 255
BD_SEQ, REBIRTH = b"bdSeq", b"Node Control/Rebirth"
BOOLEAN = 11

_SIGNED_BITS = {1: 8, 2: 16, 3: 32, 4: 64}
_UNSIGNED_MAX = {5: 2**8 - 1, 6: 2**16 - 1, 7: 2**32 - 1, 8: ABSENT, BOOLEAN: 1, 13: ABSENT}
_INTEGERS = {1: "int_value", 2: "int_value", 3: "int_value", 4: "long_value", 5: "int_value", 6: "int_value",
             7: "int_value", 8: "long_value", BOOLEAN: "boolean_value", 13: "long_value"}  # fmt: skip


class Metric(Protocol):
    """One metric of a payload."""

    name: bytes
    alias: int
    timestamp: int
    datatype: int
    is_null: bool
    int_value: int
    long_value: int
    float_value: float
    double_value: float
    boolean_value: int
    string_value: bytes

    def WhichOneof(self, group: str) -> str | None: ...  # the library's name


class Payload(Protocol):
    """A payload; `timestamp` is 0 and `seq` is ABSENT where they are not there."""

    timestamp: int
    seq: int
    metrics: Any  # a sequence of Metric that can add one


class Malformed(ValueError):
    """Bytes that are no payload; the text says why."""


def _message_class() -> type[Any]:
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="forewarn/sparkplug.proto", package="forewarn", syntax="proto2")
    metric, payload = file.message_type.add(name="Metric"), file.message_type.add(name="Payload")
    metric.oneof_decl.add(name="value")
    for number, name, type_ in (
        (1, "name", kind.TYPE_BYTES), (2, "alias", kind.TYPE_UINT64), (3, "timestamp", kind.TYPE_UINT64),
        (4, "datatype", kind.TYPE_UINT32), (7, "is_null", kind.TYPE_BOOL),
        (10, "int_value", kind.TYPE_UINT64), (11, "long_value", kind.TYPE_UINT64), (12, "float_value", kind.TYPE_FLOAT),
        (13, "double_value", kind.TYPE_DOUBLE), (14, "boolean_value", kind.TYPE_UINT64),
        (15, "string_value", kind.TYPE_BYTES), (16, "bytes_value", kind.TYPE_BYTES),
        (17, "dataset_value", kind.TYPE_BYTES), (18, "template_value", kind.TYPE_BYTES),
        (19, "extension_value", kind.TYPE_BYTES),
    ):  # fmt: skip
        field = metric.field.add(number=number, name=name, type=type_, label=kind.LABEL_OPTIONAL)
        if number >= 10:
            field.oneof_index = 0
        if type_ in (kind.TYPE_FLOAT, kind.TYPE_DOUBLE):
            field.default_value = "nan"
        elif name == "alias" or name in _INTEGERS.values():
            field.default_value = str(ABSENT)
    payload.field.add(number=1, name="timestamp", type=kind.TYPE_UINT64, label=kind.LABEL_OPTIONAL)
    payload.field.add(
        number=2, name="metrics", type=kind.TYPE_MESSAGE, type_name=".forewarn.Metric", label=kind.LABEL_REPEATED
    )
    seq = payload.field.add(number=3, name="seq", type=kind.TYPE_UINT64, label=kind.LABEL_OPTIONAL)
    seq.default_value = str(ABSENT)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return cast(type[Any], message_factory.GetMessageClass(pool.FindMessageTypeByName("forewarn.Payload")))


_Payload = _message_class()
_parse: Callable[[bytes], Payload] = _Payload.FromString


def parse(data: bytes) -> Payload:
    """Raises Malformed. What is stored as another type than the specification says counts as absent."""
    if not data:
        raise Malformed("no bytes")
    try:
        payload = _parse(data)
    except DecodeError:
        raise Malformed("it is cut off, damaged, or no Sparkplug B payload") from None
    if len(payload.metrics) > METRICS_MAX:
        raise Malformed(f"{len(payload.metrics)} metrics, at most {METRICS_MAX} are read")
    if SEQ_MAX < payload.seq < ABSENT:
        raise Malformed(f"the sequence number is {payload.seq}, at most {SEQ_MAX} is one")
    return payload


def rebirth_command(time_ms: int) -> bytes:
    """The payload that asks an edge node for its births."""
    payload = _Payload(timestamp=time_ms)
    payload.metrics.add(name=REBIRTH, timestamp=time_ms, datatype=BOOLEAN, boolean_value=1)
    return cast(bytes, payload.SerializeToString())


def value(metric: Metric, datatype: int) -> object:
    """What a metric says: a number, a text, None for no value, bytes for what is none of these.

    datatype  as the birth has it, or the metric itself; 0 for unknown

    Raises ValueError for an integer that its datatype cannot hold.
    """
    which = metric.WhichOneof("value")
    if metric.is_null or which is None:
        return None
    content = getattr(metric, which)
    if which in _INTEGERS.values():
        exact = integer(content, datatype)
        if exact != exact:
            raise ValueError(f"{content}, which is none of datatype {datatype}")
        return exact
    if which == "string_value":
        return bytes(content).decode(errors="replace")
    return content


def integer(stored: int, datatype: int) -> float:
    """The number that an unsigned field stands for, NaN for one that its datatype cannot hold.

    A signed integer is the two's complement of its 8, 16, 32 or 64 bits; some publishers extend its sign to 32 or 64
    bits, which is read as well.
    """
    if datatype == BOOLEAN:
        return float(stored != 0)
    bits = _SIGNED_BITS.get(datatype)
    if bits is None:
        return stored if stored <= _UNSIGNED_MAX.get(datatype, ABSENT) else math.nan
    half = 1 << (bits - 1)
    if stored < half:
        return stored
    for end in (1 << bits, 1 << 32, 1 << 64):
        if end >= 2 * half and end - half <= stored < end:
            return stored - end
    return math.nan
