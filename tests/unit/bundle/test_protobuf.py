"""Protobuf bytes -> fields: only what the table allows and bounds, and nothing that two readers could differ on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bundle.protobuf import BYTES, FIXED32, TEXT_BYTES_MAX, VARINT, Field, Malformed, Table, _varint, read

TABLE = Table(
    "thing",
    {1: Field("size", VARINT), 2: Field("name", BYTES), 3: Field("dims", VARINT, 4), 4: Field("ratio", FIXED32),
     5: Field("part", BYTES, 2), 6: Field("evil", BYTES, 0)},
)  # fmt: skip


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, wire: int, content: bytes) -> bytes:
    return varint(number << 3 | wire) + (varint(len(content)) + content if wire == BYTES else content)


def wire(*fields: bytes):
    return read(memoryview(b"".join(fields)), TABLE)


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_are_signed_64_bit(value):
    assert wire(field(1, VARINT, varint(value))).number("size") == value


@given(st.lists(st.integers(-9, 2**40), max_size=4))
def test_a_list_may_be_packed_or_not(values):
    packed = wire(field(3, BYTES, b"".join(map(varint, values))))
    plain = wire(*(field(3, VARINT, varint(value)) for value in values))
    assert packed.numbers.get("dims", []) == plain.numbers.get("dims", []) == values


def test_texts_and_parts():
    message = wire(
        field(2, BYTES, "bär".encode()), field(5, BYTES, b"1"), field(5, BYTES, b""), field(4, FIXED32, b"abcd")
    )
    assert (message.text("name"), message.texts("part"), bytes(message.part("ratio"))) == ("bär", ["1", ""], b"abcd")
    assert (wire().text("name"), wire().texts("part"), wire().number("size", 7)) == ("", [], 7)
    with pytest.raises(Malformed, match="a thing has no name"):
        wire().part("name")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (field(1, VARINT, varint(1)) * 2, "a thing has size too often"),
        (field(3, VARINT, varint(1)) * 5, "a thing has dims too often"),
        (field(3, BYTES, varint(1) * 5), "thing.dims has more than 4 values"),
        (field(3, BYTES, varint(1) * 4) * 2, "thing.dims has more than 4 values"),
        (field(3, BYTES, varint(1) * 4) + field(3, VARINT, varint(1)), "thing.dims has more than 4 values"),
        (field(4, BYTES, b"abcdabcd"), "thing.ratio is stored as wire type 2, not 5"),
        (field(6, BYTES, b""), "a thing has evil$"),
        (field(7, VARINT, varint(1)), "a thing has field 7"),
        (field(0, VARINT, varint(1)), "a thing has field 0"),
        (field(1, BYTES, b"\1"), "thing.size is stored as wire type 2, not 0"),
        (field(2, VARINT, varint(1)), "thing.name is stored as wire type 0, not 2"),
        (varint(1 << 3 | 3), "wire type 3"),
        (field(2, BYTES, b"abc")[:-1], "thing.name claims 3 bytes of the 2 that are left"),
        (field(4, FIXED32, b"abc"), "thing.ratio claims 4 bytes of the 3"),
        (varint(2 << 3 | BYTES) + varint(2**62), "claims 4611686018427387904 bytes of the 0"),
        (varint(2 << 3 | BYTES) + varint(-1), "claims -1 bytes of the 0"),
        (varint(1 << 3) + b"\xff" * 11, "ends inside a number"),
        (varint(1 << 3) + b"\xff" * 9 + b"\x02", "more than 64 bits"),
        (varint(1 << 3) + b"\x80", "ends inside a number"),
    ],
)  # fmt: skip
def test_everything_else_is_refused(data, words):
    with pytest.raises(Malformed, match=words):
        read(memoryview(data), TABLE)


def test_texts_are_bounded_utf8():
    assert wire(field(2, BYTES, b"n" * TEXT_BYTES_MAX)).text("name") == "n" * TEXT_BYTES_MAX
    for content, words in ((b"n" * (TEXT_BYTES_MAX + 1), "513 bytes long, at most 512"), (b"\xff", "is not UTF-8")):
        with pytest.raises(Malformed, match=words):
            wire(field(2, BYTES, content)).text("name")


def test_a_long_packed_list_is_left_at_its_bound(monkeypatch):
    """The work is that of the bound, not of the list: five numbers of a million are looked at, and key and size."""
    looked_at = []
    monkeypatch.setattr("agent.bundle.protobuf._varint", lambda *place: looked_at.append(place) or _varint(*place))
    with pytest.raises(Malformed, match="more than 4 values"):
        wire(field(3, BYTES, varint(1) * 1_000_000))
    assert len(looked_at) == 2 + 5


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_within_their_bounds(data):
    try:
        message = read(memoryview(data), TABLE)
    except Malformed:
        return
    assert sum(len(part) for parts in message.parts.values() for part in parts) <= len(data)
