"""The same readings as devices of many makers publish them: for each shape its messages and the keys of its source.

Each function writes PUBLISH packets of `n_devices` devices that take turns, `n_rows` rows of eight channels each, a row
a second, and returns how many messages and how many rows these are.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cbor2
import msgspec
import numpy as np

from bench.canned import AGE_S, topic_of
from bench.mqtt_packets import publish_packet

ROWS_A_BATCH = 50
NODES = 20  # Sparkplug edge nodes; the devices are shared among them
_ALIAS, _LONG, _FLOAT_TYPE = 0x10, 0x18, 9
_METRIC_FLOAT = 0x65  # field 12, four bytes
Value = str | int | Mapping[str, object]
Message = tuple[str, bytes]
Rows = Sequence[tuple[int, Sequence[Sequence[float]]]]  # (event time in s, values by device and channel), in turn


@dataclass(frozen=True, slots=True)
class Shape:
    """How readings are published; `source` are keys of `[[source]]` beside its name.

    has_bad  one message in a hundred cannot be read
    """

    messages: Callable[[Rows, Sequence[str]], Iterator[Message]]
    source: Mapping[str, Value]
    has_bad: bool = False


class Written(NamedTuple):
    """How many messages a file has, and the rows of all channels in them."""

    n_messages: int
    n_rows: int


def write_shape(
    path: Path, shape: Shape, *, n_devices: int, n_rows: int, channels: Sequence[str], now_s: float
) -> Written:
    """Write all messages as packets."""
    rng = np.random.default_rng(0)
    first_s = int(now_s - AGE_S)
    rows = [(first_s + row, rng.normal(0, 1, (n_devices, len(channels))).round(4).tolist()) for row in range(n_rows)]
    n_messages = 0
    with path.open("wb") as out:
        for topic, payload in shape.messages(rows, channels):
            out.write(publish_packet(topic.encode(), payload))
            n_messages += 1
    return Written(n_messages, n_rows * n_devices)


def _a_row(encode: Callable[[dict[str, object]], bytes], at: str = "") -> Callable[..., Iterator[Message]]:
    """A message a row: an object with a time and a value a channel, these inside an object `at` where it is given."""

    def messages(rows: Rows, channels: Sequence[str]) -> Iterator[Message]:
        for t_s, values in rows:
            for device, row in enumerate(values):
                named: dict[str, object] = dict(zip(channels, row, strict=True))
                yield topic_of(device), encode({"ts": t_s, at: named} if at else {"ts": t_s, **named})

    return messages


def _json(reading: object) -> bytes:
    return json.dumps(reading, separators=(",", ":")).encode()


def _bad_at_times(rows: Rows, channels: Sequence[str]) -> Iterator[Message]:
    """One in a hundred is cut off."""
    for number, (topic, payload) in enumerate(_a_row(_json)(rows, channels)):
        yield topic, payload[: len(payload) // 2] if number % 100 == 7 else payload


def _batches(rows: Rows) -> Iterator[tuple[int, list[int], list[Sequence[float]]]]:
    """(device, times, rows) of ROWS_A_BATCH rows each, devices in turn."""
    for start in range(0, len(rows), ROWS_A_BATCH):
        batch = rows[start : start + ROWS_A_BATCH]
        for device in range(len(batch[0][1])):
            yield device, [t_s for t_s, _ in batch], [values[device] for _, values in batch]


def _columns(rows: Rows, channels: Sequence[str]) -> Iterator[Message]:
    for device, times, values in _batches(rows):
        columns = dict(zip(channels, zip(*values, strict=True), strict=True))
        yield topic_of(device), _json({"ts": times, **columns})


def _packed(rows: Rows, _channels: Sequence[str]) -> Iterator[Message]:
    for device, times, values in _batches(rows):
        form = f"<q{len(values[0])}f"
        yield topic_of(device), b"".join(struct.pack(form, t, *row) for t, row in zip(times, values, strict=True))


def _a_value_a_topic(encode: Callable[[int, float], bytes]) -> Callable[..., Iterator[Message]]:
    def messages(rows: Rows, channels: Sequence[str]) -> Iterator[Message]:
        for t_s, values in rows:
            for device, row in enumerate(values):
                for channel, value in zip(channels, row, strict=True):
                    yield f"plant/{_name(device)}/{channel}", encode(t_s, value)

    return messages


def _one_channel(rows: Rows, channels: Sequence[str]) -> Iterator[Message]:
    """Eight messages a row, one channel each, as sensors of one machine that keep their own time."""
    for t_s, values in rows:
        for place, channel in enumerate(channels):
            for device, row in enumerate(values):
                yield topic_of(device), _json({"ts": t_s - 0.9 + place / 10, channel: row[place]})


def _influx(rows: Rows, channels: Sequence[str]) -> Iterator[Message]:
    for t_s, values in rows:
        for device, row in enumerate(values):
            fields = ",".join(f"{channel}={value}" for channel, value in zip(channels, row, strict=True))
            yield topic_of(device), f"pump,site=north {fields} {t_s}000000000".encode()


def _senml(rows: Rows, channels: Sequence[str]) -> Iterator[Message]:
    for t_s, values in rows:
        for device, row in enumerate(values):
            records: list[dict[str, object]] = [{"n": name, "v": v} for name, v in zip(channels, row, strict=True)]
            yield topic_of(device), _json([{"bt": t_s} | records[0], *records[1:]])


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _metric(alias: int, value: float, name: str = "") -> bytes:
    named = _field(1, name.encode()) + b"\x20" + _varint(_FLOAT_TYPE) if name else b""
    return _field(2, named + bytes([_ALIAS]) + _varint(alias) + bytes([_METRIC_FLOAT]) + struct.pack("<f", value))


def _sparkplug(rows: Rows, channels: Sequence[str]) -> Iterator[Message]:
    """Births, then a DDATA a row that names its metrics by alias; numbers run over all messages of a node."""
    sequence = [0] * NODES
    first_s = rows[0][0] - 1

    def payload(node: int, t_s: int, metrics: bytes) -> bytes:
        number, sequence[node] = sequence[node], (sequence[node] + 1) % 256
        return b"\x08" + _varint(t_s * 1000) + metrics + bytes([_LONG]) + _varint(number)

    for node in range(NODES):
        session = _field(2, _field(1, b"bdSeq") + b"\x20\x08" + b"\x58\x01")  # UInt64, long_value 1
        yield f"spBv1.0/plant/NBIRTH/n{node}", payload(node, first_s, session)
    for birth, (t_s, values) in [(True, (first_s, rows[0][1])), *((False, row) for row in rows)]:
        for device, row in enumerate(values):
            node, first_alias = device % NODES, device // NODES * len(channels)
            metrics = b"".join(
                _metric(first_alias + place, value, channels[place] if birth else "") for place, value in enumerate(row)
            )
            kind = "DBIRTH" if birth else "DDATA"
            yield f"spBv1.0/plant/{kind}/n{node}/{_name(device)}", payload(node, t_s, metrics)


def _name(device: int) -> str:
    return topic_of(device).split("/")[1]


def _inside(at: str, channels: Sequence[str]) -> dict[str, object]:
    return {channel: f"{at}.{channel}" for channel in channels}


def shapes(channels: Sequence[str]) -> dict[str, Shape]:
    """Every shape, by the name of its ratio."""
    flat, seconds = topic_of("{device}"), {"field": "ts", "unit": "s"}
    a_channel = "plant/{device}/{channel}"
    row = {"topic": flat, "time": seconds}
    return {
        "json_flat": Shape(_a_row(_json), row),
        "json_nested": Shape(_a_row(_json, "values"), {**row, "channels": _inside("values", channels)}),
        "json_columns": Shape(_columns, {**row, "payload": {"form": "columns"}}),
        "packed": Shape(_packed, {"topic": flat, "codec": "float32", "time": {"field": "int64", "unit": "s"}}),
        "value_per_topic": Shape(
            _a_value_a_topic(lambda _t_s, value: repr(value).encode()),
            {
                "topic": a_channel,
                "codec": "text",
                "channel": "{channel}",
                "time": {"unit": "arrival"},
                "align": {"every": "50ms", "max_age": "10s"},
            },
        ),
        "timed_value_per_topic": Shape(
            _a_value_a_topic(lambda t_s, value: _json({"ts": t_s, "value": value})),
            {
                **row,
                "topic": a_channel,
                "channel": "{channel}",
                "payload": {"form": "value"},
                "align": {"every": "1s", "max_age": "3s"},
            },
        ),
        "sparkplug": Shape(_sparkplug, {"topic": "spBv1.0/#", "codec": "sparkplug", "time": {}}),
        "cbor": Shape(_a_row(cbor2.dumps), {**row, "codec": "cbor"}),
        "msgpack": Shape(_a_row(msgspec.msgpack.encode), {**row, "codec": "msgpack"}),
        "influx": Shape(_influx, {"topic": flat, "codec": "influx", "time": {"field": "timestamp", "unit": "ns"}}),
        "senml": Shape(_senml, {"topic": flat, "codec": "senml", "time": {"field": "t", "unit": "s"}}),
        "grid": Shape(_one_channel, {**row, "align": {"every": "1s", "max_age": "3s"}}),
        "one_bad_in_100": Shape(_bad_at_times, row, has_bad=True),
    }
