"""JSON object payload -> reading: one field a channel, one field for the time.

msgspec decodes straight into a struct made for the source, so a payload costs no dict. Strict about types: `true`,
`"21,4"` and NaN are not numbers. A missing or null channel is NaN; fields that no channel names are noted.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from agent.words import Bool, Int64, Source, TimeUnit

NS_PER: dict[TimeUnit, int] = {"s": 10**9, "ms": 10**6, "us": 10**3, "cycle": 10**9}
Reading = tuple[Any, ...]  # time as it came, then one float | None a channel
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_T_NS_MAX = 2**62


class Undecodable(Exception):
    """A payload that is dropped: `reason` is counted, `detail` is logged."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class JsonObjectCodec:
    """Decodes the payloads of one source."""

    def __init__(self, source: Source) -> None:
        self._time_unit = source.time_unit
        strict, lenient = (_decoder(source, forbid_unknown=forbid) for forbid in (True, False))
        self._strict = strict if source.report_extra else lenient
        self._lenient = lenient

    def decode(self, payload: bytes) -> tuple[Reading, str]:
        """A reading, and what was doubtful about it ("" or `extra_channel`). Raises Undecodable."""
        try:
            return self._reading(self._strict(payload)), ""
        except msgspec.ValidationError as error:
            if "unknown field" not in str(error):
                raise Undecodable(*_reason(error)) from None
            doubt = "extra_channel"
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Undecodable("empty" if not payload else "malformed", str(error)) from None
        try:
            return self._reading(self._lenient(payload)), doubt
        except msgspec.ValidationError as error:
            raise Undecodable(*_reason(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Undecodable("malformed", str(error)) from None

    def _reading(self, decoded: msgspec.Struct) -> Reading:
        values = msgspec.structs.astuple(decoded)
        return (None, *values) if self._time_unit == "arrival" else values

    def times_ns(self, times: list[Any], arrived_ns: Int64) -> tuple[Int64, Bool]:
        """Event times int64 [n] in ns since 1970 (or in cycles times 1e9), and which of them cannot be: bool [n]."""
        if self._time_unit == "arrival":
            return arrived_ns, np.zeros(len(arrived_ns), np.bool_)
        if self._time_unit in ("iso8601", "ns"):
            exact = times if self._time_unit == "ns" else [_since_epoch_ns(time) for time in times]
            possible = np.fromiter((0 <= time < _T_NS_MAX for time in exact), np.bool_, len(exact))
            t_ns = np.array([time if 0 <= time < _T_NS_MAX else 0 for time in exact], np.int64)
            return t_ns, ~possible
        scale = NS_PER[self._time_unit]
        given = np.array(times, np.float64)
        possible = (given >= 0) & (given < _T_NS_MAX / scale)
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


def _reason(error: msgspec.ValidationError) -> tuple[str, str]:
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
