"""The codec `float32`: rows of little-endian float32, one or many a payload, each after its time if it has one.

A row has a number a channel, in the order of the source's channels; or, where the fields of the channels are numbers,
each stands for a place in the row (0 is the first), and the highest is the last of the row. NaN is no value.
All payloads are read in one piece, so a row costs nanoseconds.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agent.decode.readings import Batch, Decoded, Fault
from agent.decode.unused_settings import unused_settings
from agent.sources import Source
from agent.values.times import IMPOSSIBLE_NS, NS_PER, T_NS_MAX, scaled_ns
from agent.words import Float32, Int64

TIMES: Final = {"int64": "<i8", "float64": "<f8"}  # by the name of the field
PLACE_MAX: Final = 16_383  # of a row of 64 KiB
_PLACE: Final = re.compile(r"0|[1-9][0-9]{0,4}")


class PackedFloat32Codec:
    """Decodes the payloads of one source."""

    def __init__(self, source: Source) -> None:
        self._places = _places(source.fields)
        n_numbers = max(self._places) + 1 if self._places else max(len(source.fields), 1)
        members: list[Any] = [("x", "<f4", (n_numbers,))]
        if source.time_unit != "arrival":
            members.insert(0, ("t", TIMES[source.time_field]))
        self._row = np.dtype(members)
        self._ns_per = {"arrival": 0, "ns": 1}.get(source.time_unit) or NS_PER.get(source.time_unit, 0)
        self._fields = source.fields

    @staticmethod
    def problems(source: Source) -> Iterator[tuple[str, str]]:
        """Settings of a source that the codec cannot use; see `agent.decode.codec`."""
        yield from unused_settings(source, "time")
        if source.time_unit == "iso8601":
            yield "time.unit", "a packed row has no texts: s, ms, us, ns or cycle"
        if source.time_unit != "arrival" and source.time_field not in TIMES:
            yield "time.field", 'says what stands before each row: "int64" or "float64"'
        if not source.channels:
            yield "channels", 'the numbers of a row have no names: give each channel its place, such as "0"'
        numbers = [field for field in source.fields if field.isdecimal()]
        if numbers and _places(source.fields) is None:
            what = f"{numbers[0]!r} is a place in the row, so all fields must be one, from 0 to {PLACE_MAX}; or none"
            yield "channels", what

    def decode(self, batch: Batch) -> Decoded:
        """A reading of each row; see `agent.decode.codec`."""
        sizes = np.fromiter(map(len, batch.payloads), np.int64, len(batch.payloads))
        n_rows, n_more = np.divmod(sizes, self._row.itemsize)
        is_read = (n_rows > 0) & (n_more == 0)
        payloads: Iterator[bytes] | Sequence[bytes] = batch.payloads
        faults: list[Fault] = []
        if not is_read.all():
            faults = [self._fault(row, size) for row, size in enumerate(sizes.tolist()) if not is_read[row]]
            payloads, n_rows = compress(batch.payloads, is_read), np.where(is_read, n_rows, 0)
        rows = np.frombuffer(b"".join(payloads), self._row)
        row = (
            None
            if len(rows) == len(sizes) and not faults and (n_rows == 1).all()
            else np.arange(len(sizes)).repeat(n_rows)
        )
        x: Float32 = rows["x"] if self._places is None else rows["x"][:, self._places]
        t_ns = self._t_ns(rows, batch.arrived_ns if row is None else batch.arrived_ns[row])
        if (is_infinite := np.isinf(x)).any():
            faults += self._doubts(np.arange(len(sizes)) if row is None else row, x, is_infinite)
            x = np.where(is_infinite, np.float32(np.nan), x)
        return Decoded(row, t_ns, x, faults)

    def _t_ns(self, rows: npt.NDArray[np.void], arrived_ns: Int64) -> Int64:
        if not self._ns_per:
            return arrived_ns
        given = rows["t"]
        if given.dtype.kind == "f":
            return scaled_ns(given, self._ns_per)
        is_possible = (given >= 0) & (given < T_NS_MAX // self._ns_per)
        t_ns: Int64 = np.where(is_possible, np.where(is_possible, given, 0) * self._ns_per, IMPOSSIBLE_NS)
        return t_ns

    def _fault(self, row: int, size_bytes: int) -> Fault:
        if not size_bytes:
            return Fault(row, "empty", "no row")
        return Fault(row, "malformed", f"{size_bytes} bytes are no whole rows of {self._row.itemsize} bytes")

    def _doubts(self, row: Int64, x: Float32, is_infinite: npt.NDArray[np.bool_]) -> Iterator[Fault]:
        """One a payload that has an infinite value."""
        at, columns = is_infinite.nonzero()
        payloads, first = np.unique(row[at], return_index=True)
        for payload, one in zip(payloads.tolist(), first.tolist(), strict=True):
            yield Fault(payload, "bad_value", f"{self._fields[columns[one]]} is {x[at[one], columns[one]]}")


def _places(fields: Sequence[str]) -> list[int] | None:
    """Places in a row, None where the fields are no such numbers."""
    if not all(map(_PLACE.fullmatch, fields)) or max(map(int, fields), default=PLACE_MAX + 1) > PLACE_MAX:
        return None
    return list(map(int, fields))
