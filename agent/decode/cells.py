"""Single values, each of a device, a time and a channel, to readings: those of one payload, device and time are one.

For codecs whose payloads name each value apart. Readings of a payload come out in the order of their times, since such
payloads often are by channel.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from agent.decode.readings import Batch, Decoded, Fault, Intervened, readings_max
from agent.decode.unread import Unread
from agent.reasons import ReasonName
from agent.sources import Source
from agent.words import InterventionKind

Doubts = dict[ReasonName, str]  # one of a kind a payload, of its first value that is doubted


class Cells(NamedTuple):
    """Values of one device and time: the device, "" where the topic names it, and (column, value), NaN for no value.

    kind  what was done to the machine
    """

    device: str
    t_ns: int
    values: list[tuple[int, float]]
    kind: InterventionKind | None = None


CellsOf = Callable[[bytes, tuple[str, ...], int, Doubts], Sequence[Cells]]
"""Payload, tags of its topic and time of arrival in ns -> its values; adds to the doubts. Raises Unread."""


def decode_cells(batch: Batch, source: Source, cells_of: CellsOf, *, names_devices: bool) -> Decoded:
    """A reading of each device and time in a payload; names_devices: by the payload, not by the topic."""
    readings = CellReadings(source, names_devices=names_devices)
    faults: list[Fault] = []
    for row, payload in enumerate(batch.payloads):
        doubts: Doubts = {}
        try:
            readings.take(row, cells_of(payload, batch.addresses[row].tags, int(batch.arrived_ns[row]), doubts))
        except Unread as error:
            faults.append(Fault(row, error.reason, str(error)))
        else:
            faults += [Fault(row, reason, detail) for reason, detail in doubts.items()]
    return readings.decoded(faults)


class CellReadings:
    """The readings of n payloads, payload by payload. Of two values for one place the last counts."""

    def __init__(self, source: Source, *, names_devices: bool) -> None:
        self._n_channels = len(source.channels)
        self._names_devices = names_devices
        self._readings_max = readings_max(self._n_channels)
        self._row: list[int] = []  # of each reading, as the next two
        self._t_ns: list[int] = []
        self._device: list[str] = []
        self._values: dict[int, float] = {}  # by place in all readings, one after the other
        self._interventions: list[Intervened] = []

    def take(self, row: int, cells: Sequence[Cells]) -> None:
        """Add what the payload `row` brings. Raises Unread, and adds nothing, for too many readings."""
        start = len(self._row)
        readings: dict[tuple[str, int], int] = {}
        values: dict[int, float] = {}
        for device, t_ns, pairs, _ in cells:
            if not pairs:
                continue
            first = (start + readings.setdefault((device, t_ns), len(readings))) * self._n_channels
            for column, value in pairs:
                values[first + column] = value
        if len(readings) > self._readings_max:
            raise Unread("too_many_readings", f"{len(readings)} readings, at most {self._readings_max} are read")
        self._values |= values
        for device, t_ns in readings:
            self._row.append(row)
            self._t_ns.append(t_ns)
            self._device.append(device)
        self._interventions += [
            Intervened(row, device if self._names_devices else None, t_ns, kind)
            for device, t_ns, _, kind in cells
            if kind is not None
        ]

    def decoded(self, faults: Sequence[Fault]) -> Decoded:
        """The readings of all payloads."""
        row, t_ns = np.array(self._row, np.int64), np.array(self._t_ns, np.int64)
        x = np.full(len(row) * self._n_channels, np.nan)
        n_values = len(self._values)
        x[np.fromiter(self._values, np.int64, n_values)] = np.fromiter(self._values.values(), np.float64, n_values)
        order = np.lexsort((t_ns, row))  # stable, so devices of one time keep their order
        device = np.array(self._device, np.object_)[order] if self._names_devices else None
        x = x.reshape(len(row), self._n_channels)[order]
        return Decoded(row[order], t_ns[order], x, faults, device, self._interventions)
