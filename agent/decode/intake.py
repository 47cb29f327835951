"""Messages -> readings: which source and device a topic means, what a payload says, and what is dropped on the way.

A read is grouped by source, and a source's codec is called once for all its payloads. So an ordinary read costs no line
of Python a message, and a message that is not ordinary costs its own price only. What comes out are columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from operator import itemgetter

import numpy as np

from agent.decode.codec import CODECS, Codec
from agent.decode.readings import Payloads, Readings, in_order, no_readings
from agent.decode.topic import Address, Addresses, Pattern
from agent.drops import SingleDrop, as_columns
from agent.words import Int64, Source

_SOURCE, _DEVICE = itemgetter(0), itemgetter(1)  # of an Address


@dataclass(frozen=True, slots=True)
class SourceDecoder:
    """What decodes the messages of one source; `fields` are the payload fields of its channels."""

    pattern: Pattern
    codec: Codec
    fields: tuple[str, ...]

    @classmethod
    def of(cls, source: Source) -> "SourceDecoder":
        return cls(Pattern.parse(source.topic), CODECS[source.codec](source), source.fields)

    def decode(self, payloads: Payloads) -> Readings:
        """The source's readings but for those without any value or with a time that cannot be; x float32 [n, F]."""
        readings = self.codec.decode(payloads)
        missing, impossible = np.isnan(readings.x), readings.t_ns < 0
        if not np.count_nonzero(missing) and not np.count_nonzero(impossible):
            return readings
        n_missing = np.count_nonzero(missing, axis=1)
        is_empty = n_missing == len(self.fields)
        short = np.flatnonzero((n_missing > 0) & ~is_empty)
        missing_text = partial(_missing_text, self.fields)
        drops = (
            readings.drop(np.flatnonzero(impossible), "impossible_time", _impossible_text),
            readings.drop(np.flatnonzero(is_empty), "no_channels", partial(_empty_text, self.fields)),
            readings.drop(short, "missing_channel", missing_text, missing[short].argmax(axis=1), n_missing[short]),
        )
        readings.drops.extend(one for one in drops if len(one.message))
        return readings.only(~(impossible | is_empty))


class Intake:
    """The decoders of all sources."""

    def __init__(self, sources: Sequence[Source], *, payload_bytes_max: int, device_id_bytes_max: int) -> None:
        self._decoders = [SourceDecoder.of(source) for source in sources]
        self._addresses = Addresses([decoder.pattern for decoder in self._decoders], device_id_bytes_max)
        self._payload_bytes_max = payload_bytes_max
        self._n_channels = max(len(decoder.fields) for decoder in self._decoders)

    def read(self, topics: Sequence[str], payloads: Sequence[bytes], log_times_ns: Int64) -> Readings:
        """Decode one read's messages; log_times_ns int64 [n] stand in for the time of a payload that has none."""
        drops: list[SingleDrop] = []
        found = self._addresses.find(topics, drops)
        self._leave_out_large(payloads, found, drops)
        message = np.arange(len(topics))
        addresses = [*filter(None, found)]
        if len(addresses) < len(topics):
            payloads = [*compress(payloads, found)]
            message = np.array([*compress(range(len(topics)), found)], np.int64)
        if not addresses:
            return replace(no_readings(self._n_channels), drops=as_columns(drops))
        source = np.fromiter(map(_SOURCE, addresses), np.int64, len(addresses))
        device = np.fromiter(map(_DEVICE, addresses), np.object_, len(addresses))
        arrived_ns = log_times_ns[message]
        ends = [len(source)]
        if len(self._decoders) > 1:
            order = np.argsort(source, kind="stable")
            source, message, device, arrived_ns = source[order], message[order], device[order], arrived_ns[order]
            payloads = [payloads[row] for row in order.tolist()]
            ends = [*(np.flatnonzero(source[1:] != source[:-1]) + 1).tolist(), len(source)]
        parts, start = [], 0
        for end in ends:
            index, rows = int(source[start]), slice(start, end)
            of_source = Payloads(index, message[rows], device[rows], payloads[rows], arrived_ns[rows])
            parts.append(self._decoders[index].decode(of_source))
            start = end
        readings = in_order(parts, self._n_channels)
        return replace(readings, drops=[*as_columns(drops), *readings.drops])

    def _leave_out_large(
        self, payloads: Sequence[bytes], addresses: list[Address | None], drops: list[SingleDrop]
    ) -> None:
        if max(map(len, payloads), default=0) <= self._payload_bytes_max:
            return
        for message, (payload, address) in enumerate(zip(payloads, addresses, strict=True)):
            if address is not None and len(payload) > self._payload_bytes_max:
                drops.append(SingleDrop("too_large", message, *address, f"{len(payload)} bytes"))
                addresses[message] = None


def _impossible_text() -> str:
    return "before 1970 or after 2116: is the unit of the time right?"


def _empty_text(fields: Sequence[str]) -> str:
    return f"no value in any of the fields {', '.join(fields)}"


def _missing_text(fields: Sequence[str], first: int, n_missing: int) -> str:
    others = f", nor have {n_missing - 1} more" if n_missing > 1 else ""
    return f"{fields[first]} has no value{others}; the reading is used"
