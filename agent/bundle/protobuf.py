"""Protobuf wire format -> fields by name: just enough to look into an ONNX file before anything trusts it.

A table a message names the fields that may occur. Whatever is not in it, comes more often than it may, has another wire
type or runs past its end is refused, so that no two readers can see different models in the same bytes (a protobuf
library would merge two `graph` fields, and skip what it does not know).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
_VARINT_BYTES_MAX = 10
TEXT_BYTES_MAX = 512


class Malformed(ValueError):
    """Bytes that are not the message they should be; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of up to `count_max` values, however they are stored; 0 = known and refused by its name."""

    name: str
    wire: int
    count_max: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """The fields of one kind of message, by field number."""

    kind: str
    fields: Mapping[int, Field]


@dataclass(frozen=True, slots=True)
class Message:
    """What one message holds: `numbers` of varint fields, `parts` of length-delimited ones, by field name."""

    kind: str
    numbers: dict[str, list[int]] = field(default_factory=dict)
    parts: dict[str, list[memoryview]] = field(default_factory=dict)

    def number(self, name: str, default: int = 0) -> int:
        return self.numbers.get(name, [default])[0]

    def part(self, name: str) -> memoryview:
        """The bytes of a field that must be there."""
        values = self.parts.get(name)
        if not values:
            raise Malformed(f"a {self.kind} has no {name}")
        return values[0]

    def text(self, name: str) -> str:
        """The text of a field, "" when it is absent."""
        return _text(self.parts[name][0], f"{self.kind}.{name}") if name in self.parts else ""

    def texts(self, name: str) -> list[str]:
        return [_text(part, f"{self.kind}.{name}") for part in self.parts.get(name, [])]


def read(data: memoryview, table: Table) -> Message:
    """Cut `data` into the fields of `table`. Raises Malformed."""
    message = Message(table.kind)
    counts: dict[int, int] = {}
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at, table.kind)
        number, wire = key >> 3, key & 7
        expected = table.fields.get(number)
        if expected is None:
            raise Malformed(f"a {table.kind} has field {number}, which no streaming graph needs")
        counts[number] = counts.get(number, 0) + 1
        if counts[number] > expected.count_max:
            raise Malformed(f"a {table.kind} has {expected.name}" + (" too often" if expected.count_max else ""))
        if wire == VARINT and expected.wire == VARINT:
            value, at = _varint(data, at, table.kind)
            _add(value, expected, message)
            continue
        is_packed = wire == BYTES and expected.wire == VARINT and expected.count_max > 1
        if wire != expected.wire and not is_packed:
            raise Malformed(f"{table.kind}.{expected.name} is stored as wire type {wire}, not {expected.wire}")
        size, at = _varint(data, at, table.kind) if wire == BYTES else (_FIXED_BYTES[wire], at)
        if not 0 <= size <= end - at:
            raise Malformed(
                f"{table.kind}.{expected.name} claims {size} bytes of the {end - at} that are left: cut short?"
            )
        part = data[at : at + size]
        at += size
        if not is_packed:
            message.parts.setdefault(expected.name, []).append(part)
            continue
        inside = 0
        while inside < size:
            value, inside = _varint(part, inside, table.kind)
            _add(value, expected, message)
    return message


def _add(value: int, expected: Field, message: Message) -> None:
    """Count before listing: a file may hold millions of numbers in one field, packed or not."""
    values = message.numbers.setdefault(expected.name, [])
    if len(values) == expected.count_max:
        raise Malformed(f"{message.kind}.{expected.name} has more than {expected.count_max} values")
    values.append(value)


def _varint(data: memoryview, at: int, kind: str) -> tuple[int, int]:
    """A varint as a signed 64-bit number, and the place after it."""
    value = 0
    for index, byte in enumerate(data[at : at + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >= 2**64:
                raise Malformed(f"a {kind} has a number of more than 64 bits")
            return (value - 2**64 if value >= 2**63 else value), at + index + 1
    raise Malformed(f"a {kind} ends inside a number: cut short?")


def _text(part: memoryview, where: str) -> str:
    if len(part) > TEXT_BYTES_MAX:
        raise Malformed(f"{where} is {len(part)} bytes long, at most {TEXT_BYTES_MAX}")
    try:
        return str(part, "utf-8")
    except UnicodeDecodeError:
        raise Malformed(f"{where} is not UTF-8 text") from None
