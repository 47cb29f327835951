"""Messages -> readings: which source and device a topic means, what a payload says, and what is dropped on the way.

A read is grouped by source, and a source's codec is called once for all its payloads. So an ordinary read costs no line
of Python a message, and a message that is not ordinary costs its own price only. What comes out are columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise
from operator import itemgetter
from typing import TypeVar

import numpy as np

from agent.decode.codec import CODECS, Codec, Remembers
from agent.decode.readings import Address, Batch, Decoded, Intervention, Readings
from agent.decode.topic import Addresses, Pattern
from agent.drops import SingleDrop, as_columns
from agent.words import Devices, Int64, Source

_SOURCE, _DEVICE = itemgetter(0), itemgetter(1)  # of an Address
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Addressed:
    """Messages of a read whose source and device are known, n of them.

    message int64 [n] index into the messages of the read; source int64 [n] index; device [n] ids; payload n of them;
    address n of them
    """

    message: Int64
    source: Int64
    device: Devices
    payload: Sequence[bytes]
    address: Sequence[Address]


class Picked(Sequence[T]):
    """Some of the items of a read. They are not copied into a list first: that alone would cost 4 % of decoding."""

    def __init__(self, items: Sequence[T], rows: Sequence[int]) -> None:
        self._items, self._rows = items, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> T:  # type: ignore[override]  # nobody asks for a slice
        return self._items[self._rows[row]]

    def __iter__(self) -> Iterator[T]:
        return map(self._items.__getitem__, self._rows)


@dataclass(frozen=True, slots=True)
class Part:
    """What one source's codec made of its rows int64 [k], indexes into `Addressed`."""

    rows: Int64
    decoded: Decoded


class Intake:
    """The topics and codecs of all sources."""

    def __init__(self, sources: Sequence[Source], *, payload_bytes_max: int, device_id_bytes_max: int) -> None:
        self._addresses = Addresses([Pattern.parse(source.topics[0]) for source in sources], device_id_bytes_max)
        self._sources = sources
        self._codecs = self._new_codecs()
        self._fields = [source.fields for source in sources]
        self._payload_bytes_max = payload_bytes_max
        n_channels = np.array([len(fields) for fields in self._fields])
        self._n_channels = int(n_channels.max())
        self._has_channel = np.arange(self._n_channels) < n_channels[:, None]  # bool [sources, F]
        self._has_all = bool(self._has_channel.all())

    def keep(self) -> dict[str, bytes]:
        """What codecs remember, by their source's name."""
        return {
            source.name: codec.keep()
            for source, codec in zip(self._sources, self._codecs, strict=True)
            if isinstance(codec, Remembers)
        }

    def restore(self, kept: Mapping[str, bytes]) -> None:
        """Take over what codecs remembered; those that are not in `kept` begin anew.

        Raises ValueError, changing nothing, for what a codec does not take.
        """
        codecs = self._new_codecs()
        for source, codec in zip(self._sources, codecs, strict=True):
            if isinstance(codec, Remembers) and source.name in kept:
                codec.restore(kept[source.name])
        self._codecs = codecs

    def _new_codecs(self) -> list[Codec]:
        return [CODECS[source.codec](source) for source in self._sources]

    def read(self, topics: Sequence[str], payloads: Sequence[bytes], log_times_ns: Int64) -> Readings:
        """Decode one read's messages; log_times_ns int64 [n] stand in for the time of a payload that has none."""
        drops: list[SingleDrop] = []
        messages = self._address(topics, payloads, drops)
        parts = list(self._decode(messages, log_times_ns[messages.message]))
        for part in parts:
            for row, reason, detail in part.decoded.faults:
                place = part.rows[row]
                source, device = int(messages.source[place]), str(messages.device[place])
                drops.append(SingleDrop(reason, int(messages.message[place]), source, device, detail))
        return self._without_faulty(self._in_order(messages, parts, drops))

    def _address(self, topics: Sequence[str], payloads: Sequence[bytes], drops: list[SingleDrop]) -> Addressed:
        addresses = self._addresses.find(topics, drops)
        if max(map(len, payloads), default=0) > self._payload_bytes_max:
            self._leave_out_large(payloads, addresses, drops)
        message = np.arange(len(topics))
        kept = [*filter(None, addresses)]
        if len(kept) < len(topics):
            message = np.array([*compress(range(len(topics)), addresses)], np.int64)
            payloads = [*compress(payloads, addresses)]
        source = np.fromiter(map(_SOURCE, kept), np.int64, len(kept))
        device = np.fromiter(map(_DEVICE, kept), np.object_, len(kept))
        return Addressed(message, source, device, payloads, kept)

    def _leave_out_large(
        self, payloads: Sequence[bytes], addresses: list[Address | None], drops: list[SingleDrop]
    ) -> None:
        for message, (payload, address) in enumerate(zip(payloads, addresses, strict=True)):
            if address is not None and len(payload) > self._payload_bytes_max:
                drops.append(SingleDrop("too_large", message, address.source, address.device, f"{len(payload)} bytes"))
                addresses[message] = None

    def _decode(self, messages: Addressed, arrived_ns: Int64) -> Iterator[Part]:
        """Call the codec of each source that has messages."""
        if len(self._codecs) == 1 or not len(messages.source):
            batch = Batch(messages.payload, arrived_ns, messages.address)
            yield Part(np.arange(len(messages.source)), self._codecs[0].decode(batch))
            return
        order = messages.source.astype(np.uint16).argsort(kind="stable")  # numpy sorts 16 bits by radix
        source, rows, arrived_ns = messages.source[order], order.tolist(), arrived_ns[order]
        ends = (source[1:] != source[:-1]).nonzero()[0] + 1
        for start, end in pairwise([0, *ends.tolist(), len(source)]):
            codec = self._codecs[source[start]]
            own = rows[start:end]
            batch = Batch(Picked(messages.payload, own), arrived_ns[start:end], Picked(messages.address, own))
            yield Part(order[start:end], codec.decode(batch))

    def _in_order(self, messages: Addressed, parts: Sequence[Part], drops: Sequence[SingleDrop]) -> Readings:
        """The readings of all parts in the order of their messages."""
        row, places = _places(parts)
        message, source, device = messages.message[row], messages.source[row], messages.device[row]
        t_ns = np.empty(len(message), np.int64)
        x = np.full((len(message), self._n_channels), np.nan, np.float32)
        for part, place in zip(parts, places, strict=True):
            decoded = part.decoded
            t_ns[place] = decoded.t_ns
            with np.errstate(over="ignore"):  # the graph clips an infinite value, and the quality says out_of_domain
                x[place, : decoded.x.shape[1]] = decoded.x
            if decoded.device is not None:
                device[place] = decoded.device
        interventions, requests = _beside(messages, parts)
        return Readings(message, source, device, t_ns, x, as_columns(drops), interventions, requests)

    def _without_faulty(self, readings: Readings) -> Readings:
        """All but those with a time that cannot be or without any value."""
        missing, impossible = np.isnan(readings.x), readings.t_ns < 0
        if not self._has_all:
            missing &= self._has_channel[readings.source]
        if not np.count_nonzero(missing) and not np.count_nonzero(impossible):
            return readings
        n_missing = np.count_nonzero(missing, axis=1)
        is_empty = n_missing == np.count_nonzero(self._has_channel, axis=1)[readings.source]
        empty, short = np.flatnonzero(is_empty), np.flatnonzero((n_missing > 0) & ~is_empty)
        readings.drop(np.flatnonzero(impossible), "impossible_time", _impossible_text)
        readings.drop(empty, "no_channels", self._empty_text, readings.source[empty])
        first = missing[short].argmax(axis=1)
        readings.drop(short, "missing_channel", self._missing_text, readings.source[short], first, n_missing[short])
        return readings.only(~(impossible | is_empty))

    def _empty_text(self, source: int) -> str:
        return f"no value in any of the fields {', '.join(self._fields[source])}"

    def _missing_text(self, source: int, first: int, n_missing: int) -> str:
        others = f", nor have {n_missing - 1} more" if n_missing > 1 else ""
        return f"{self._fields[source][first]} has no value{others}"


def _places(parts: Sequence[Part]) -> tuple[Int64 | slice, Sequence[Int64]]:
    """The rows of `Addressed` that the readings of a read are from, and the place of each part's among those."""
    if all(part.decoded.row is None for part in parts):
        return slice(None), [part.rows for part in parts]
    rows = [part.rows if part.decoded.row is None else part.rows[part.decoded.row] for part in parts]
    if len(rows) == 1:
        return rows[0], [np.arange(len(rows[0]))]
    row = np.concatenate(rows)
    order = row.argsort(kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    ends = np.cumsum([len(of_part) for of_part in rows])
    return row[order], np.split(place, ends[:-1])


def _beside(
    messages: Addressed, parts: Sequence[Part]
) -> tuple[Sequence[Intervention], Sequence[tuple[int, tuple[str, bytes]]]]:
    """What messages bring beside readings: interventions in their order, and what devices must be sent."""
    interventions: list[Intervention] = []
    requests: list[tuple[int, tuple[str, bytes]]] = []
    for part in parts:
        for row, device, t_ns, kind in part.decoded.interventions:
            place = part.rows[row]
            source, topics_device = int(messages.source[place]), str(messages.device[place])
            interventions.append(
                Intervention(int(messages.message[place]), source, device or topics_device, t_ns, kind)
            )
        if part.decoded.requests:
            source = int(messages.source[part.rows[0]])
            requests += [(source, message) for message in part.decoded.requests]
    interventions.sort(key=lambda one: one.message)
    return interventions, requests


def _impossible_text() -> str:
    return "before 1970 or after 2116: is the unit of the time right?"
