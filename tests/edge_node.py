"""An edge node that speaks Sparkplug B, written from the specification alone: it shares no line with the codec."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

DATATYPES = [
    "Unknown", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float", "Double", "Boolean",
    "String", "DateTime", "Text", "UUID", "DataSet", "Bytes", "File", "Template",
]  # fmt: skip
_VALUE_FIELDS = {
    "Int8": 10, "Int16": 10, "Int32": 10, "UInt8": 10, "UInt16": 10, "UInt32": 10, "Int64": 11, "UInt64": 11,
    "DateTime": 11, "Float": 12, "Double": 13, "Boolean": 14, "String": 15, "Text": 15, "UUID": 15, "Bytes": 16,
    "File": 16, "DataSet": 17, "Template": 18,
}  # fmt: skip
_BITS = {"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64}

Message = tuple[str, bytes]


def varint(number: int) -> bytes:
    digits = bytearray()
    while number >= 128:
        digits.append(number % 128 + 128)
        number //= 128
    return bytes([*digits, number])


def tagged(number: int, value: int | bytes) -> bytes:
    """A varint field, or one of bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def metric(
    value: object = None,
    datatype: str = "",
    *,
    name: str = "",
    alias: int | None = None,
    time_ms: int = 0,
    as_type: str = "",
    is_null: bool = False,
    is_historical: bool = False,
) -> bytes:
    """`as_type` says how the value is stored where the datatype is not told."""
    parts = [tagged(1, name.encode())] if name else []
    parts += [tagged(2, alias)] if alias is not None else []
    parts += [tagged(3, time_ms)] if time_ms else []
    parts += [tagged(4, DATATYPES.index(datatype))] if datatype else []
    parts += [tagged(5, 1)] if is_historical else []
    parts += [tagged(7, 1)] if is_null else []
    if value is not None:
        parts.append(_stored(value, as_type or datatype))
    return b"".join(parts)


def _stored(value: object, datatype: str) -> bytes:
    number = _VALUE_FIELDS[datatype]
    if datatype == "Float":
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if datatype == "Double":
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, str):
        return tagged(number, value.encode())
    if isinstance(value, bytes):
        return tagged(number, value)
    assert isinstance(value, int)
    return tagged(number, value % 2 ** _BITS.get(datatype, 64))


def payload(*metrics: bytes, time_ms: int = 0, seq: int | None = None) -> bytes:
    parts = [tagged(1, time_ms)] if time_ms else []
    parts += [tagged(2, one) for one in metrics]
    parts += [tagged(3, seq)] if seq is not None else []
    return b"".join(parts)


@dataclass
class EdgeNode:
    """Counts as the specification says. `channels` of a device: name -> datatype; its aliases are counted on."""

    group: str = "G"
    name: str = "n1"
    bd_seq: int = 0
    seq: int = 0
    aliases: dict[tuple[str, str], int] = field(default_factory=dict)

    def topic(self, kind: str, device: str = "") -> str:
        return f"spBv1.0/{self.group}/{kind}/{self.name}" + (f"/{device}" if device else "")

    def birth(self, time_ms: int, *metrics: bytes) -> Message:
        self.seq = 0
        own = metric(self.bd_seq, "Int64", name="bdSeq", time_ms=time_ms)
        rebirth = metric(0, "Boolean", name="Node Control/Rebirth", time_ms=time_ms)
        return self.topic("NBIRTH"), payload(own, rebirth, *metrics, time_ms=time_ms, seq=0)

    def death(self) -> Message:
        return self.topic("NDEATH"), payload(metric(self.bd_seq, "Int64", name="bdSeq"))

    def device_birth(self, device: str, time_ms: int, values: Mapping[str, tuple[str, object]]) -> Message:
        """`values`: name -> datatype and value."""
        metrics = []
        for name, (datatype, value) in values.items():
            alias = self.aliases.setdefault((device, name), len(self.aliases) + 1)
            metrics.append(metric(value, datatype, name=name, alias=alias, time_ms=time_ms))
        return self.topic("DBIRTH", device), payload(*metrics, time_ms=time_ms, seq=self._next())

    def data(self, device: str, time_ms: int, values: Mapping[str, tuple[str, object]]) -> Message:
        """By alias, without datatypes."""
        metrics = [
            metric(value, alias=self.aliases[device, name], time_ms=time_ms, as_type=datatype)
            for name, (datatype, value) in values.items()
        ]
        return self.message("DDATA", device, metrics, time_ms)

    def device_death(self, device: str, time_ms: int) -> Message:
        return self.message("DDEATH", device, [], time_ms)

    def message(self, kind: str, device: str, metrics: Iterable[bytes], time_ms: int) -> Message:
        return self.topic(kind, device), payload(*metrics, time_ms=time_ms, seq=self._next())

    def _next(self) -> int:
        self.seq = (self.seq + 1) % 256
        return self.seq
