"""Sparkplug data that are like data before them, but for their numbers: read without taking protobuf apart again.

A device sends the same metrics again and again. In the bytes of such payloads all but the numbers is equal: tags,
lengths, names, aliases, and of numbers in varints the bits that say where they end. So one comparison under a mask
tells that a payload has the form of an earlier one, whose metrics are known, and one `struct` gives its numbers. What
is unlike the earlier one in anything else is for `sparkplug_metrics`, which reads it metric by metric.
"""

import math
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from agent.decode.sparkplug_payload import ABSENT, integer

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_VARINT_BYTES_MAX = 9  # the tenth has bits that count for nothing
_TIME, _METRICS, _SEQ = 1, 2, 3  # fields of a payload
_NAME, _ALIAS, _METRIC_TIME, _DATATYPE, _HISTORICAL = 1, 2, 3, 4, 5  # of a metric
_VALUES: Final = {10: VARINT, 11: VARINT, 12: FIXED32, 13: FIXED64, 14: VARINT}
_PLAIN: Final = {_NAME, _ALIAS, _METRIC_TIME, _DATATYPE, _HISTORICAL, *_VALUES}  # fields that a channel may have
Resolve = Callable[[int, bytes, int], tuple[int, int]]  # alias, name, datatype -> column, datatype


class Field(NamedTuple):
    """A field of a message: what its bytes say if it is a varint, and where they are."""

    wire: int
    value: int
    start: int
    end: int


class Numbers(NamedTuple):
    """The numbers of a payload, of one time; newest_ms is the payload's own, 0 for none."""

    seq: int
    time_ms: int
    newest_ms: int
    values: list[float]


class Layout:
    """Where the numbers of a payload are; `columns` of the channels in their order."""

    def __init__(self, data: bytes, columns: list[int], places: dict[str, Field], datatypes: list[int]) -> None:
        """places: of `seq`, `newest`, and `time 0`, `value 0` and so on of the channels, as far as they are there."""
        mask = bytearray(b"\xff" * len(data))
        pieces: list[str] = []
        order = sorted(places, key=lambda name: places[name].start)
        at = 0
        for name in order:
            wire, _, start, end = places[name]
            mask[start:end] = (b"\x80" if wire == VARINT else b"\0") * (end - start)
            pieces.append(f"{start - at}x{'f' if wire == FIXED32 else 'd' if wire == FIXED64 else f'{end - start}s'}")
            at = end
        self.columns = columns
        self._mask = int.from_bytes(mask, "little")
        self._form = int.from_bytes(data, "little") & self._mask
        self._unpack = _struct(f"<{''.join(pieces)}{len(data) - at}x").unpack
        self._seq, self._newest = order.index("seq"), order.index("newest") if "newest" in places else None
        self._times = [order.index(f"time {index}") for index in range(len(columns)) if f"time {index}" in places]
        self._values = [order.index(f"value {index}") for index in range(len(columns))]
        self._integers = [
            (index, datatype) for index, datatype in enumerate(datatypes) if places[f"value {index}"].wire == VARINT
        ]

    def read(self, data: bytes) -> Numbers | None:
        """The numbers of a payload as long as the first; None for one of another form, or of several times."""
        if int.from_bytes(data, "little") & self._mask != self._form:
            return None
        parts = self._unpack(data)
        newest = parts[self._newest] if self._newest is not None else b""
        time = newest
        if self._times:
            times = [parts[place] for place in self._times]
            time = times[0]
            if times.count(time) != len(times):
                return None
        newest_ms = _number(newest)
        time_ms = newest_ms if time == newest else _number(time)
        values = [parts[place] for place in self._values]
        for index, datatype in self._integers:
            values[index] = integer(_number(values[index]), datatype)
        if not time_ms or not math.isfinite(sum(values)):
            return None
        return Numbers(_number(parts[self._seq]), time_ms, newest_ms, values)


def layout_of(data: bytes, resolve: Resolve) -> Layout | None:
    """The layout of a payload that was read; None where it has more than numbers of channels at one time can be."""
    try:
        payload = [*_fields(data, 0, len(data))]
        places: dict[str, Field] = {}
        columns: list[int] = []
        datatypes: list[int] = []
        for number, found in payload:
            if number == _METRICS and found.wire == BYTES:
                metric = _only_once(_fields(data, found.start, found.end))
                column, datatype = _resolved(data, metric, resolve)
                if column < 0:
                    continue
                ((value, of_value),) = ((value, one) for value, one in metric.items() if value in _VALUES)
                if not metric.keys() <= _PLAIN or of_value.wire != _VALUES[value]:
                    return None
                places[f"value {len(columns)}"] = of_value
                if _METRIC_TIME in metric:
                    places[f"time {len(columns)}"] = metric[_METRIC_TIME]
                columns.append(column)
                datatypes.append(datatype)
        own = _only_once((number, found) for number, found in payload if number != _METRICS)
        if own.keys() - {_TIME, _SEQ} or own[_SEQ].wire != VARINT or own.get(_TIME, own[_SEQ]).wire != VARINT:
            return None
    except (ValueError, KeyError):
        return None
    places |= {"seq": own[_SEQ]} | ({"newest": own[_TIME]} if _TIME in own else {})
    n_times = sum(name.startswith("time ") for name in places)
    is_plain = columns and len({*columns}) == len(columns) and n_times in (0, len(columns))
    return Layout(data, columns, places, datatypes) if is_plain else None


def _resolved(data: bytes, metric: dict[int, Field], resolve: Resolve) -> tuple[int, int]:
    """Column and datatype of a metric; below 0 where it is no channel. Raises ValueError where that is doubtful."""
    texts = metric.get(_NAME, Field(BYTES, 0, 0, 0))
    numbers = [metric.get(number, Field(VARINT, none, 0, 0)) for number, none in ((_ALIAS, ABSENT), (_DATATYPE, 0))]
    times = metric.get(_METRIC_TIME, numbers[0])
    if texts.wire != BYTES or any(one.wire != VARINT for one in (*numbers, times)):
        raise ValueError
    return resolve(numbers[0].value, data[texts.start : texts.end], numbers[1].value)


def _only_once(fields: Iterator[tuple[int, Field]]) -> dict[int, Field]:
    """By number. Raises ValueError where one comes again."""
    by_number: dict[int, Field] = {}
    for number, field in fields:
        if number in by_number:
            raise ValueError
        by_number[number] = field
    return by_number


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, Field]]:
    """Raises ValueError for what is longer than it may be, or of a wire type that nobody uses."""
    while at < end:
        tag, at = _varint(data, at, end)
        wire, value, start = tag & 7, 0, at
        if wire == VARINT:
            value, at = _varint(data, at, end)
        elif wire == BYTES:
            size, start = _varint(data, at, end)
            at = start + size
        elif wire in (FIXED32, FIXED64):
            at += 4 if wire == FIXED32 else 8
        else:
            raise ValueError
        if at > end:
            raise ValueError
        yield tag >> 3, Field(wire, value, start, at)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    for after in range(at, min(end, at + _VARINT_BYTES_MAX)):
        if data[after] < 0x80:
            return _number(data[at : after + 1]), after + 1
    raise ValueError


def _number(varint: bytes) -> int:
    number = 0
    for byte in reversed(varint):
        number = number << 7 | byte & 0x7F
    return number


@lru_cache(maxsize=1024)
def _struct(form: str) -> struct.Struct:
    return struct.Struct(form)
