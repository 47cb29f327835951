"""Readings of a tree to rows, in each form that `payload.form` names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Protocol

import numpy as np

from agent.decode.flat import Float64, Found, floats, matrix, number_getter, text_of
from agent.decode.readings import Batch
from agent.decode.shape import Node, Shape
from agent.decode.single_values import Doubt, cells, odd_numbers
from agent.decode.topic_channel import NO_CHANNEL, TopicChannel
from agent.decode.typed import ABSENT
from agent.sources import Source
from agent.values.times import IMPOSSIBLE_NS, NS_PER, T_NS_MAX, scaled_ns, texts_ns
from agent.words import Devices, Int64


@dataclass(frozen=True, slots=True)
class Rows:
    """k rows.

    item    int64 [k]       index of the reading that a row is from, the first of several; None where each is a row
    t_ns    int64 [k]       IMPOSSIBLE_NS for a time that cannot be
    x       float64 [k, F]  NaN for no value
    doubts  of readings, by their index
    """

    item: Int64 | None
    t_ns: Int64
    x: Float64
    doubts: Sequence[Doubt] = ()


class Form(Protocol):
    """How readings of one source become rows. `checks_numbers`: its decoder lets NaN and infinite numbers pass."""

    def __init__(self, source: Source, shape: Shape, *, checks_numbers: bool) -> None: ...

    def sizes(self, flat: Found) -> Int64 | None:
        """int64 [r]: rows that each reading brings, None for at most one each."""
        ...

    def rows(self, flat: Found, row: Int64 | None, batch: Batch, devices: Devices | None) -> Rows:
        """The rows of r readings.

        row      int64 [r]  index of the payload of each in `batch`, None where each payload has brought one
        devices  [r]        ids that the payloads name, None where topics do
        """
        ...


class Fields:
    """A reading is a row, with a field a channel."""

    def __init__(self, source: Source, shape: Shape, *, checks_numbers: bool) -> None:
        self._fields = source.fields if checks_numbers else ()
        self._times = Times(source, shape)
        places = shape.of("channel")
        self._inside = [column for column, place in enumerate(places) if not place.is_of_payload]
        self._outside = [column for column, place in enumerate(places) if place.is_of_payload]
        time = shape.places.get(("time", 0))
        self._scale = NS_PER.get(source.time_unit, 0) if time and not time.is_of_payload else 0
        inside = [places[column] for column in self._inside]
        if self._scale and time:  # a time that is a number is read with the channels, in one go
            inside.insert(0, time)
        self._n_inside = len(inside)
        n_members = len(shape.reading.members) if isinstance(shape.reading, Node) else 0
        self._of_reading = number_getter(inside, n_members)
        self._of_payload = number_getter([places[column] for column in self._outside], 0)

    def sizes(self, flat: Found) -> Int64 | None:
        """See `Form`."""
        return None

    def rows(self, flat: Found, row: Int64 | None, batch: Batch, devices: Devices | None) -> Rows:
        """See `Form`."""
        tells_null = bool(self._fields)
        numbers = matrix(self._of_reading, flat.readings, self._n_inside, tells_null=tells_null)
        if self._scale:
            t_ns, x = scaled_ns(numbers[:, 0], self._scale), numbers[:, 1:]
        else:
            t_ns, x = self._times.of(flat, row, batch), numbers
        if self._outside:
            x, inside = np.empty((len(x), len(self._inside) + len(self._outside))), x
            x[:, self._inside] = inside
            outside = matrix(self._of_payload, flat.payloads, len(self._outside), tells_null=tells_null)
            x[:, self._outside] = flat.of_payloads(outside)
        return Rows(None, t_ns, x, odd_numbers(x, self._fields))


class Value:
    """A reading is a row of one value, whose channel the topic names."""

    def __init__(self, source: Source, shape: Shape, *, checks_numbers: bool) -> None:
        self._source = source
        self._times = Times(source, shape)
        self._place = shape.places["value", 0]
        self._channel = TopicChannel(source)

    def sizes(self, flat: Found) -> Int64 | None:
        """See `Form`."""
        return None

    def rows(self, flat: Found, row: Int64 | None, batch: Batch, devices: Devices | None) -> Rows:
        """See `Form`."""
        addresses = batch.addresses if row is None else [batch.addresses[of] for of in row.tolist()]
        columns = [self._channel.column(address.tags) for address in addresses]
        x, doubts = cells(self._source, np.arange(len(columns)), columns, flat.values(self._place), len(columns))
        t_ns = self._times.of(flat, row, batch)
        if NO_CHANNEL not in columns:
            return Rows(None, t_ns, x, doubts)
        if self._source.report_extra:
            doubts += [
                Doubt(item, "extra_topic", f"no channel has the field {self._channel.field(address.tags)[:40]!r}")
                for item, (address, column) in enumerate(zip(addresses, columns, strict=True))
                if column == NO_CHANNEL
            ]
        item = np.flatnonzero(np.array(columns) != NO_CHANNEL)
        return Rows(item, t_ns[item], x[item], doubts)


class Pairs:
    """A reading is a name and a value; those of one payload, device and time are one row."""

    def __init__(self, source: Source, shape: Shape, *, checks_numbers: bool) -> None:
        self._source = source
        self._times = Times(source, shape)
        self._name, self._value = shape.places["name", 0], shape.places["value", 0]
        self._column = {field: column for column, field in enumerate(source.fields)}

    def sizes(self, flat: Found) -> Int64 | None:
        """See `Form`."""
        return None

    def rows(self, flat: Found, row: Int64 | None, batch: Batch, devices: Devices | None) -> Rows:
        """See `Form`."""
        t_ns = self._times.of(flat, row, batch)
        owner = flat.owner if flat.owner is not None else np.arange(len(t_ns))
        groups: dict[tuple[object, ...], int] = {}
        keys = zip(owner.tolist(), t_ns.tolist(), *([] if devices is None else [devices]), strict=True)
        group = np.array([groups.setdefault(key, len(groups)) for key in keys], np.int64)
        first = np.unique(group, return_index=True)[1]
        names = list(map(text_of, flat.values(self._name)))
        columns = [self._column.get(name, -1) for name in names]
        x, doubts = cells(self._source, group, columns, flat.values(self._value), len(groups))
        if self._source.report_extra and -1 in columns:
            doubts += [
                Doubt(item, "extra_channel", f"no channel is named {name[:40]!r}")
                for item, (name, column) in enumerate(zip(names, columns, strict=True))
                if column < 0
            ]
        return Rows(first, t_ns[first], x, doubts)


class Columns:
    """A reading is an array a channel and one of times: a row for each place in them."""

    def __init__(self, source: Source, shape: Shape, *, checks_numbers: bool) -> None:
        self._fields = source.fields
        self._checks_numbers = checks_numbers
        self._times = Times(source, shape)
        self._time = shape.places.get(("time", 0))
        self._channels = shape.of("channel")

    def sizes(self, flat: Found) -> Int64 | None:
        """See `Form`."""
        return self._counts(flat)

    def _counts(self, flat: Found) -> Int64:
        if self._time:
            return np.fromiter(map(len, flat.values(self._time)), np.int64, len(flat.readings))
        longest: Int64 = self._lengths(flat).max(axis=0, initial=0)
        return longest

    def _lengths(self, flat: Found) -> Int64:
        """int64 [F, r]: values of each channel in each reading, -1 where it is absent."""
        values = (flat.values(place) for place in self._channels)
        lengths = [[-1 if one is None else len(one) for one in column] for column in values]
        return np.array(lengths, np.int64).reshape(len(self._channels), len(flat.readings))

    def rows(self, flat: Found, row: Int64 | None, batch: Batch, devices: Devices | None) -> Rows:
        """See `Form`."""
        counts, lengths = self._counts(flat), self._lengths(flat)
        item = np.arange(len(counts)).repeat(counts)
        x = np.full((len(item), len(lengths)), ABSENT)
        doubts: list[Doubt] = []
        for column, (place, length) in enumerate(zip(self._channels, lengths, strict=True)):
            arrays, is_whole = flat.values(place), length == counts
            if is_whole.all():
                x[:, column] = floats(_joined(arrays), len(item), tells_null=self._checks_numbers)
                continue
            for wrong in np.flatnonzero(~is_whole & (length >= 0)).tolist():
                what = f"{self._fields[column]} has {length[wrong]} values for {counts[wrong]} times"
                doubts.append(Doubt(wrong, "bad_value", what))
            arrays = [arrays[whole] for whole in np.flatnonzero(is_whole).tolist()]
            n_values = int(counts[is_whole].sum())
            x[is_whole[item], column] = floats(_joined(arrays), n_values, tells_null=self._checks_numbers)
        if self._checks_numbers:
            doubts += (Doubt(int(item[one.item]), one.reason, one.detail) for one in odd_numbers(x, self._fields))
        if self._time:
            t_ns = self._times.of_values([*chain.from_iterable(flat.values(self._time))])
        else:
            t_ns = batch.arrived_ns[item if row is None else row[item]]
        return Rows(item, t_ns, x, doubts)


def _joined(arrays: Sequence[Sequence[Any]]) -> Callable[[], Any]:
    return lambda: chain.from_iterable(arrays)


class Times:
    """Event times of a source's readings."""

    def __init__(self, source: Source, shape: Shape) -> None:
        self._unit = source.time_unit
        self._zone = source.zone
        self._place = shape.places.get(("time", 0))

    def of(self, flat: Found, row: Int64 | None, batch: Batch) -> Int64:
        """int64 [r]: the time of each reading; see `Form.rows`."""
        if self._place is None:
            return batch.arrived_ns if row is None else batch.arrived_ns[row]
        return self.of_values(flat.values(self._place))

    def of_values(self, values: list[Any]) -> Int64:
        """int64 [n] of times as payloads have them, IMPOSSIBLE_NS for those that cannot be."""
        if self._unit == "iso8601":
            return texts_ns(values, self._zone)
        if self._unit == "ns":
            return np.array([time if 0 <= time < T_NS_MAX else IMPOSSIBLE_NS for time in values], np.int64)
        return scaled_ns(np.array(values, np.float64), NS_PER[self._unit])


FORMS: Final[dict[str, type[Form]]] = {"fields": Fields, "value": Value, "pairs": Pairs, "columns": Columns}
