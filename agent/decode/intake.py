"""Messages -> readings: which source and device a topic means, what a payload says, and what is dropped on the way.

A read is grouped by source, and a source's codec is called once for all its payloads. So an ordinary read costs no line
of Python a message, and a message that is not ordinary costs its own price only. What comes out are columns.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from operator import itemgetter
from typing import TypeVar

import numpy as np

from agent.decode.address import Addresses
from agent.decode.codec import Remembers, codec_of
from agent.decode.layout import Layout
from agent.decode.part import Part, Reader
from agent.decode.readings import Address, Batch, Readings
from agent.drops import Drops, SingleDrop, as_columns
from agent.sources import Source
from agent.words import Bool, Devices, Float32, Int64

_SOURCE = itemgetter(0)  # of an Address
T = TypeVar("T")


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


class Intake:
    """The topics and codecs of all sources."""

    def __init__(self, sources: Sequence[Source], *, payload_bytes_max: int, device_id_bytes_max: int) -> None:
        everything: tuple[str, ...] = ()
        self._addresses = {everything: Addresses(sources, device_id_bytes_max)}  # by `among` of `read`
        self._device_id_bytes_max = device_id_bytes_max
        self._layout = Layout(sources)
        self._readers = [
            Reader(index, sources, owner, payload_bytes_max=payload_bytes_max, device_id_bytes_max=device_id_bytes_max)
            for index, owner in enumerate(self._layout.owner)
        ]
        self._sources = sources
        self._payload_bytes_max = payload_bytes_max

    def keep(self) -> dict[str, bytes]:
        """What codecs remember, by their source's name."""
        return {
            source.name: reader.codec.keep()
            for source, reader in zip(self._sources, self._readers, strict=True)
            if isinstance(reader.codec, Remembers)
        }

    def restore(self, kept: Mapping[str, bytes]) -> None:
        """Take over what codecs remembered; those that are not in `kept` begin anew.

        Raises ValueError, changing nothing, for what a codec does not take.
        """
        codecs = [codec_of(source) for source in self._sources]
        for source, codec in zip(self._sources, codecs, strict=True):
            if isinstance(codec, Remembers) and source.name in kept:
                codec.restore(kept[source.name])
        for reader, codec in zip(self._readers, codecs, strict=True):
            reader.use(codec)

    def read(
        self,
        topics: Sequence[str],
        payloads: Sequence[bytes],
        log_times_ns: Int64,
        among: tuple[str, ...] = (),
    ) -> Readings:
        """Decode one read's messages.

        log_times_ns  int64 [n], stand in for the time of a payload that has none
        among         names of the sources that they may belong to, () for all
        """
        singles: list[SingleDrop] = []
        parts = []
        for source, batch, message in self._batches(topics, payloads, log_times_ns, among, singles):
            try:
                parts.append(self._readers[source].read(batch, message))
            except Exception as error:
                error.add_note(f"in the codec {self._sources[source].codec} of the source {self._sources[source].name}")
                raise
        singles += [single for part in parts for single in part.singles]
        drops = [*as_columns(singles), *(group for part in parts for group in part.drops)]
        return self._together(parts, len(topics), drops)

    def two_topics(
        self, topics: Sequence[str], readings: Readings, is_used: Bool | None, among: tuple[str, ...] = ()
    ) -> list[Drops]:
        """Devices that are heard from two topics, by readings of a read of `topics`; is_used bool [n], None for all."""
        two_topics = self._addresses[among].two_topics
        return as_columns(two_topics.doubts(topics, readings, is_used)) if two_topics.may_tell else []

    def undecodable(self) -> list[float]:
        """Share of the newest messages of each source of which nothing could be read."""
        return [reader.undecodable.share for reader in self._readers]

    def _batches(
        self,
        topics: Sequence[str],
        payloads: Sequence[bytes],
        log_times_ns: Int64,
        among: tuple[str, ...],
        drops: list[SingleDrop],
    ) -> Iterator[tuple[int, Batch, Int64]]:
        """The messages by source: its index, what its codec is given, and their places int64 in the read."""
        if among not in self._addresses:
            self._addresses[among] = Addresses(self._sources, self._device_id_bytes_max, among)
        address_of = self._addresses[among].find(topics, drops)
        if max(map(len, payloads), default=0) > self._payload_bytes_max:
            self._leave_out_large(payloads, address_of, drops)
        message = np.arange(len(topics))
        addresses = [*filter(None, address_of)]
        if len(addresses) < len(topics):
            message = message[np.fromiter(map(bool, address_of), np.bool_, len(address_of))]
            payloads, log_times_ns = [*compress(payloads, address_of)], log_times_ns[message]
        if not addresses:
            return
        of = [0] if len(self._readers) == 1 else [*map(_SOURCE, addresses)]
        if of.count(of[0]) == len(of):
            yield of[0], Batch(payloads, log_times_ns, addresses), message
            return
        rows_of: dict[int, list[int]] = defaultdict(list)
        for row, source in enumerate(of):
            rows_of[source].append(row)
        for source, rows in rows_of.items():
            own = np.array(rows)
            yield source, Batch(Picked(payloads, rows), log_times_ns[own], Picked(addresses, rows)), message[own]

    def _leave_out_large(
        self, payloads: Sequence[bytes], addresses: list[Address | None], drops: list[SingleDrop]
    ) -> None:
        for message, (payload, address) in enumerate(zip(payloads, addresses, strict=True)):
            if address is not None and len(payload) > self._payload_bytes_max:
                drops.append(SingleDrop("too_large", message, address.source, address.device, f"{len(payload)} bytes"))
                addresses[message] = None

    def _together(self, parts: Sequence[Part], n_messages: int, drops: list[Drops]) -> Readings:
        """The readings of all parts in the order of their messages."""
        interventions = [one for part in parts for one in part.interventions]
        interventions.sort(key=lambda one: one.message)
        requests = [(part.source, request) for part in parts for request in part.requests]
        labels = sorted((label for part in parts for label in part.labels), key=itemgetter(0))
        commands = sorted((command for part in parts for command in part.commands), key=itemgetter(0))
        by_source = [(part.source, part.message) for part in parts]
        return Readings(*self._columns(parts, n_messages), drops, interventions, requests, labels, by_source, commands)

    def _columns(self, parts: Sequence[Part], n_messages: int) -> tuple[Int64, Int64, Devices, Int64, Float32]:
        """message, source, device, t_ns and x of `Readings`, of a read of so many messages."""
        layout, owner = self._layout, self._layout.owner
        if not parts:
            nothing = np.empty(0, np.int64)
            return nothing, nothing, nothing.astype(np.object_), nothing, np.empty((0, layout.n_columns), np.float32)
        if len(parts) == 1:
            (part,) = parts
            source = np.full(len(part.message), owner[part.source])
            return part.message, source, part.device, part.t_ns, layout.rows(part.source, part.x)
        n_readings = sum(len(part.message) for part in parts)
        message, source, t_ns = (np.empty(n_readings, np.int64) for _ in range(3))
        device = np.empty(n_readings, np.object_)
        x = np.full((n_readings, layout.n_columns), np.nan, np.float32)
        is_whole = n_readings == n_messages and all(part.is_one_each for part in parts)
        places = [part.message for part in parts] if is_whole else _places(parts)
        for part, place in zip(parts, places, strict=True):
            message[place], source[place] = part.message, owner[part.source]
            device[place], t_ns[place] = part.device, part.t_ns
            layout.put(x, place, part.source, part.x)
        return message, source, device, t_ns, x


def _places(parts: Sequence[Part]) -> Sequence[Int64]:
    """The place of each part's readings among those of all, in the order of their messages."""
    order = np.concatenate([part.message for part in parts]).argsort(kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    ends = np.cumsum([len(part.message) for part in parts])
    return np.split(place, ends[:-1])
