"""Payloads near the cap, of what is dear to read: many fields, readings, pairs, values that are wrong, long texts.

Fuzzing makes inputs longer only slowly, so these are among what it begins with.
"""

import struct
from collections.abc import Callable

import cbor2
import msgspec

from tests import edge_node
from tests.fuzz.reads import PAYLOAD_BYTES_MAX

T_S = 1_700_000_000
Encode = Callable[[object], bytes]


def _as_many(make: Callable[[int], object], encode: Encode) -> bytes:
    """The largest payload of `make` of a number of things that is under the cap."""
    low, high = 1, PAYLOAD_BYTES_MAX
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if len(encode(make(middle))) <= PAYLOAD_BYTES_MAX else (low, middle)
    return encode(make(low))


def _large_trees(encode: Encode) -> list[bytes]:
    """Of the fields that the variants of trees read."""
    reading = {"ts": T_S, "temp": 1, "load": 2}
    shapes: list[Callable[[int], object]] = [
        lambda n: reading | {f"x{at}": 1 for at in range(n)},
        lambda n: {"ts": T_S, **{f"channel {at}": "a" for at in range(n)}},
        lambda n: {"ts": T_S, "values": {f"x{at}": {"value": 1} for at in range(n)}},
        lambda n: [reading] * n,
        lambda n: [{}] * n,
        lambda n: [{"ts": "2026-11-27T21:24:54Z"[: 4 + at % 17], "temp": "a"} for at in range(n)],
        lambda n: {"metrics": [reading] * n},
        lambda n: {"metrics": [{"ts": 1, "temp": {}}] * n},
        lambda n: {f"d{at}": [reading] for at in range(n)},
        lambda n: {f"d{at}": [] for at in range(n)},
        lambda n: {"p1": [{"ts": 1, "temp": "a"}] * n},
        lambda n: {"ts": T_S, "tags": [{"name": "temp", "value": 1}] * n},
        lambda n: {"ts": T_S, "tags": [{"name": f"n{at}", "value": "x"} for at in range(n)]},
        lambda n: {"ts": [T_S] * n, "temp": [1] * n, "load": ["a"] * n},
        lambda n: {"ts": ["2026-11-27T21:24:54.5Z"[: 10 + at % 13] for at in range(n)], "temp": [None] * n},
        lambda n: {"ts": T_S, "temp": "1" * n, "event": "fixed"},
        lambda n: {"ts": "2" * n, "head": {"id": "x" * n, "at": "2026-11-27"}},
        lambda n: [{"ts": T_S, "a": {f"channel {at}": {"value": at} for at in range(n)}}],
        lambda n: [{"ts": T_S, "a": {f"channel {at}": {"value": "x"}}} for at in range(n)],
    ]
    return [_as_many(shape, encode) for shape in shapes]


def _large_packs(encode: Encode) -> list[bytes]:
    """SenML."""
    shapes: list[Callable[[int], object]] = [
        lambda n: [{"n": "temp", "v": 1, "t": at} for at in range(n)],
        lambda n: [{"n": f"n{at}", "vs": "x"} for at in range(n)],
        lambda n: [{"bn": f"m{at}", "bt": T_S, "bv": 1, "bs": 1, "n": "temp"} for at in range(n)],
        lambda n: [{}] * n,
        lambda n: [{"bn": "m" * n, "n": "temp", "v": 1}, {"n": "open", "vb": True}],
    ]
    return [_as_many(shape, encode) for shape in shapes]


def _large_lines() -> list[bytes]:
    shapes: list[Callable[[int], object]] = [
        lambda n: "\n".join(f"press temp={at} {at}" for at in range(n)),
        lambda n: "m " + ",".join(f"c{at}=1" for at in range(n)),
        lambda n: "m," + ",".join(f"t{at}=1" for at in range(n)) + " temp=1",
        lambda n: "\n".join(["x"] * n),
        lambda n: "m a=\"" + "\\\"" * n + "\"",
        lambda n: "m " + ",".join(["temp=x"] * n) + " 1",
        lambda n: "m\\ " * n + " temp=1",
    ]  # fmt: skip
    return [_as_many(shape, lambda text: str(text).encode()) for shape in shapes]


def _large_births() -> list[bytes]:
    metric = edge_node.metric
    shapes: list[Callable[[int], object]] = [
        lambda n: [metric(1.0, "Float", name="temp", alias=at) for at in range(n)],
        lambda n: [metric(1, "Int8", name=f"n{at}", alias=at) for at in range(n)],
        lambda n: [metric(alias=at, value=1, as_type="Int8", time_ms=at + 1) for at in range(n)],
        lambda n: [b""] * n,
        lambda n: [metric("x" * n, "String", name="temp")],
    ]
    return [_as_many(shape, lambda metrics: edge_node.payload(*metrics, time_ms=T_S * 1000, seq=0)) for shape in shapes]


LARGE: dict[str, Callable[[], list[bytes]]] = {
    "cbor": lambda: _large_trees(cbor2.dumps),
    "float32": lambda: [struct.pack("<f", 1.5) * (PAYLOAD_BYTES_MAX // 4), b"\xff" * PAYLOAD_BYTES_MAX],
    "influx": _large_lines,
    "json": lambda: _large_trees(msgspec.json.encode),
    "msgpack": lambda: _large_trees(msgspec.msgpack.encode),
    "senml": lambda: _large_packs(msgspec.json.encode),
    "senml_cbor": lambda: _large_packs(cbor2.dumps),
    "sparkplug": _large_births,
    "text": lambda: [b"1" * PAYLOAD_BYTES_MAX, b" " * PAYLOAD_BYTES_MAX, b"\xff" * PAYLOAD_BYTES_MAX, b"_" * 60_000],
}
