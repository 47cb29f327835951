"""JSON object payload -> reading: one field a channel, one field for the time.

msgspec decodes straight into a struct made for the source, so a payload costs no dict. Strict about types: `true`,
`"21,4"` and NaN are not numbers. A missing or null channel is NaN; fields that no channel names are noted.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import astuple

from agent.errors import Unreadable
from agent.reasons import ReasonName
from agent.words import Bool, Float32, Int64, Source, TimeUnit

NS_PER: dict[TimeUnit, int] = {"s": 10**9, "ms": 10**6, "us": 10**3, "cycle": 10**9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_T_NS_MAX = 2**62


class Undecodable(Exception):
    """A payload that is dropped: `reason` is counted, `detail` is logged."""

    def __init__(self, reason: ReasonName, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def field_problem(field: str) -> str:
    """Why no payload field of this name can be read, "" when one can: msgspec takes names that JSON need not escape."""
    if any(char in '"\\' or char < " " for char in field):
        return f"{field!r} holds a quote, a backslash or a control character, which no payload field may that is read"
    return ""


class JsonObjectCodec:
    """Decodes the payloads of one source, and turns what it decoded into columns.

    `decode_strict` is the way of an ordinary payload, without a Python call of ours; where it raises one of
    `Unreadable`, `decode` says why or what was doubtful.
    """

    def __init__(self, source: Source) -> None:
        self._time_unit = source.time_unit
        self._n_channels = len(source.fields)
        strict, lenient = (_decoder(source, forbid_unknown=forbid) for forbid in (True, False))
        self.decode_strict = strict if source.report_extra else lenient
        self._lenient = lenient

    def decode(self, payload: bytes) -> tuple[msgspec.Struct, str]:
        """A reading, and which field no channel names ("" for none). Raises Undecodable."""
        try:
            return self.decode_strict(payload), ""
        except msgspec.ValidationError as error:
            if "unknown field" not in str(error):
                raise Undecodable(*_reason(error)) from None
            extra = str(error)
        except Unreadable as error:
            raise Undecodable("empty" if not payload else "malformed", str(error)) from None
        try:
            return self._lenient(payload), extra
        except msgspec.ValidationError as error:
            raise Undecodable(*_reason(error)) from None
        except Unreadable as error:
            raise Undecodable("malformed", str(error)) from None

    def columns(self, readings: Sequence[msgspec.Struct], arrived_ns: Int64) -> tuple[Int64, Bool, Float32]:
        """Readings as columns of n rows; arrived_ns int64 [n] is the time of a source whose payloads say none.

        Returns event times int64 [n] in ns since 1970 (or in cycles times 1e9), which of them cannot be bool [n], and
        the channels float32 [n, F], NaN = missing, infinite = beyond float32.
        """
        has_float_time = self._time_unit in NS_PER
        has_exact_time = self._time_unit in ("iso8601", "ns")  # so not by way of a float
        row_of = _channels if has_exact_time else astuple
        values = _matrix(row_of, readings, self._n_channels + has_float_time)
        with np.errstate(over="ignore"):  # the graph clips an infinite value, and the quality says out_of_domain
            x = values[:, has_float_time:].astype(np.float32)
        if has_float_time:
            return *_scaled(values[:, 0], NS_PER[self._time_unit]), x
        if self._time_unit == "arrival":
            return arrived_ns, np.zeros(len(readings), np.bool_), x
        times = [reading.t for reading in readings]  # type: ignore[attr-defined]  # _decoder gives it
        exact = times if self._time_unit == "ns" else [_since_epoch_ns(time) for time in times]
        possible = np.fromiter((0 <= time < _T_NS_MAX for time in exact), np.bool_, len(exact))
        return np.array([time if 0 <= time < _T_NS_MAX else 0 for time in exact], np.int64), ~possible, x


def _matrix(
    row_of: Callable[[msgspec.Struct], tuple[Any, ...]], readings: Sequence[msgspec.Struct], n_columns: int
) -> npt.NDArray[np.float64]:
    """float64 [n, n_columns] of what `row_of` gives for each reading; None becomes NaN."""
    try:
        flat = np.fromiter(chain.from_iterable(map(row_of, readings)), np.float64, len(readings) * n_columns)
    except TypeError:  # a null among them: the slower way reads it as NaN
        flat = np.array(list(map(row_of, readings)), np.float64)
    return flat.reshape(len(readings), n_columns)


def _channels(reading: msgspec.Struct) -> tuple[Any, ...]:
    return astuple(reading)[1:]


def _scaled(given: npt.NDArray[np.float64], scale: int) -> tuple[Int64, Bool]:
    """Times in units of `scale` ns as int64 [n] ns, and which of them cannot be: bool [n]."""
    possible = (given >= 0) & (given < _T_NS_MAX / scale)
    if np.count_nonzero(possible) < len(possible):
        given = np.where(possible, given, 0)
    whole = np.floor(given)  # kept apart: a float64 of nanoseconds since 1970 would be off by up to 128 of them
    return whole.astype(np.int64) * scale + np.rint((given - whole) * scale).astype(np.int64), ~possible


def _decoder(source: Source, *, forbid_unknown: bool) -> Callable[[bytes], msgspec.Struct]:
    time_type: type = {"iso8601": datetime, "ns": int}.get(source.time_unit, float)
    members: list[Any] = []
    if source.time_unit != "arrival":
        members.append(("t", time_type))
    members += [(f"c{index}", float | None, math.nan) for index in range(len(source.fields))]
    names = {f"c{index}": name for index, name in enumerate(source.fields)} | {"t": source.time_field}
    reading = msgspec.defstruct("Reading", members, gc=False, rename=names, forbid_unknown_fields=forbid_unknown)
    return msgspec.json.Decoder(reading).decode


def _reason(error: msgspec.ValidationError) -> tuple[ReasonName, str]:
    text = str(error)
    if "missing required field" in text:
        return "no_time", text
    if "out of range" in text:
        return "out_of_range", text
    return "wrong_type", text


def _since_epoch_ns(time: datetime) -> int:
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    delta = time - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 10**9 + delta.microseconds * 1_000
