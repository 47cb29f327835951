"""The codec `json`: a payload is one JSON object, with a field a channel and one for the time.

msgspec decodes straight into a struct made for the source, so a payload costs no dict. Strict about types: `true`,
`"21,4"` and NaN are not numbers. A missing or null channel is NaN; fields that no channel names are noted.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import astuple

from agent.decode.readings import Batch, Decoded, Fault
from agent.errors import Unreadable
from agent.reasons import ReasonName
from agent.values.times import IMPOSSIBLE_NS, NS_PER, T_NS_MAX, scaled_ns
from agent.words import Int64, Source

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def field_problem(field: str) -> str:
    """Why no payload field of this name can be read, "" when one can: msgspec takes names that JSON need not escape."""
    if any(char in '"\\' or char < " " for char in field):
        return f"{field!r} holds a quote, a backslash or a control character, which no payload field may that is read"
    return ""


class JsonCodec:
    """Decodes the payloads of one source, a JSON object each, without a Python call of ours for an ordinary one.

    Where the strict decoder raises one of `Unreadable`, that payload alone is looked at again.
    """

    def __init__(self, source: Source) -> None:
        self._time_unit = source.time_unit
        self._n_channels = len(source.fields)
        strict, self._lenient = (_decoder(source, forbid_unknown=forbid) for forbid in (True, False))
        self._strict = strict if source.report_extra else self._lenient

    @staticmethod
    def problems(source: Source) -> Iterator[tuple[str, str]]:
        """See `agent.decode.codec`."""
        for field in source.fields:
            if problem := field_problem(field):
                yield "channels", problem
        if problem := field_problem(source.time_field):
            yield "time.field", problem

    def decode(self, batch: Batch) -> Decoded:
        """A reading of each payload that is one; see `agent.decode.codec`."""
        payloads, arrived_ns = batch.payloads, batch.arrived_ns
        objects: list[msgspec.Struct] = []
        faults: list[Fault] = []
        dropped: list[int] = []
        rest = map(self._strict, payloads)
        while True:
            try:
                objects.extend(rest)  # what it has decoded stays when it raises, and it goes on with the next payload
                break
            except Unreadable as error:
                row = len(objects) + len(dropped)
                doubted, reason, detail = self._look_again(payloads[row], error)
                faults.append(Fault(row, reason, detail))
                if doubted is None:
                    dropped.append(row)
                else:
                    objects.append(doubted)
        if not dropped:
            return Decoded(None, *self._columns(objects, arrived_ns), faults)
        is_read = np.ones(len(payloads), np.bool_)
        is_read[dropped] = False
        rows = is_read.nonzero()[0]
        return Decoded(rows, *self._columns(objects, arrived_ns[rows]), faults)

    def _look_again(self, payload: bytes, error: Exception) -> tuple[msgspec.Struct | None, ReasonName, str]:
        """The reading of a payload that is doubted, None for one that is dropped; and why."""
        if not payload:
            return None, "empty", str(error)
        if not isinstance(error, msgspec.ValidationError):
            return None, "malformed", str(error)
        if "unknown field" not in str(error):
            return None, *_reason(error)
        try:
            return self._lenient(payload), "extra_channel", str(error)
        except msgspec.ValidationError as other:
            return None, *_reason(other)
        except Unreadable as other:
            return None, "malformed", str(other)

    def _columns(self, objects: Sequence[msgspec.Struct], arrived_ns: Int64) -> tuple[Int64, npt.NDArray[np.float64]]:
        """Event times int64 [n] and channels float64 [n, F]; arrived_ns int64 [n] for a source without a time."""
        has_float_time = self._time_unit in NS_PER
        has_exact_time = self._time_unit in ("iso8601", "ns")  # so not by way of a float
        row_of = _channels if has_exact_time else astuple
        values = _matrix(row_of, objects, self._n_channels + has_float_time)
        x = values[:, has_float_time:]
        if has_float_time:
            return scaled_ns(values[:, 0], NS_PER[self._time_unit]), x
        if self._time_unit == "arrival":
            return arrived_ns, x
        times = [reading.t for reading in objects]  # type: ignore[attr-defined]  # _decoder gives it
        exact = times if self._time_unit == "ns" else [_since_epoch_ns(time) for time in times]
        return np.array([time if 0 <= time < T_NS_MAX else IMPOSSIBLE_NS for time in exact], np.int64), x


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
