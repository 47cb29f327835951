"""What a codec is given, and what it makes of it: payloads and readings of one source, as columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.drops import Drops, SingleDrop, as_columns
from agent.reasons import ReasonName
from agent.words import Bool, Devices, Float32, Int64

IMPOSSIBLE_NS = -1  # the event time of a reading whose time cannot be


@dataclass(frozen=True, slots=True)
class Payloads:
    """The payloads of one source in one read, n of them, in their order.

    source      index of the source
    message     int64 [n]  index into the messages of the read
    device      [n]        ids, which the topics name
    payload     n of them, none longer than the configured bound
    arrived_ns  int64 [n]  time of arrival, for payloads that have no time of their own
    """

    source: int
    message: Int64
    device: Devices
    payload: Sequence[bytes]
    arrived_ns: Int64

    def single_drop(self, row: int, reason: ReasonName, detail: str) -> SingleDrop:
        """Payload `row` as one that is dropped or doubted."""
        return SingleDrop(reason, int(self.message[row]), self.source, str(self.device[row]), detail)

    def readings(self, rows: Int64 | slice, t_ns: Int64, x: Float32, drops: Sequence[SingleDrop]) -> "Readings":
        """One reading of each of the payloads `rows`, n indexes or a slice: t_ns int64 [n], x float32 [n, F]."""
        message = self.message[rows]
        source = np.full(len(message), self.source)
        return Readings(message, source, self.device[rows], t_ns, x, as_columns(drops))


@dataclass(frozen=True, slots=True)
class Readings:
    """Decoded messages in their order, n readings.

    message  int64 [n]       index into the messages of the read; a message may bring several readings
    source   int64 [n]       index
    device   [n]             ids
    t_ns     int64 [n]       event time in ns since 1970, or in cycles times 1e9
    x        float32 [n, F]  NaN = missing, infinite = beyond float32. F is the largest number of channels that a source
                             has; in the rows of a source of fewer the last columns are NaN
    drops                    messages that were left out, and those that are doubted but used
    """

    message: Int64
    source: Int64
    device: Devices
    t_ns: Int64
    x: Float32
    drops: list[Drops]

    def only(self, kept: Bool) -> "Readings":
        """The readings where `kept` bool [n] says so, with all drops."""
        return Readings(
            message=self.message[kept],
            source=self.source[kept],
            device=self.device[kept],
            t_ns=self.t_ns[kept],
            x=self.x[kept],
            drops=self.drops,
        )

    def drop(self, rows: Int64, reason: ReasonName, detail: Callable[..., str], *values: Any) -> Drops:
        """The readings `rows` int64 [k] as drops; `detail` makes a text of an element of each of `values`."""
        return Drops(reason, self.message[rows], self.source[rows], self.device[rows], detail, values)


def in_order(parts: Sequence[Readings], n_channels: int) -> Readings:
    """The readings of all parts in the order of their messages, x float32 [n, n_channels]."""
    if len(parts) == 1 and parts[0].x.shape[1] == n_channels:
        return parts[0]
    x = np.full((sum(len(part.x) for part in parts), n_channels), np.nan, np.float32)
    start = 0
    for part in parts:
        x[start : start + len(part.x), : part.x.shape[1]] = part.x
        start += len(part.x)
    message = np.concatenate([part.message for part in parts])
    order = np.argsort(message, kind="stable")
    return Readings(
        message=message[order],
        source=np.concatenate([part.source for part in parts])[order],
        device=np.concatenate([part.device for part in parts])[order],
        t_ns=np.concatenate([part.t_ns for part in parts])[order],
        x=x[order],
        drops=[drops for part in parts for drops in part.drops],
    )


def no_readings(n_channels: int) -> Readings:
    """Zero readings of n_channels channels."""
    none = np.empty(0, np.int64)
    return Readings(none, none, np.empty(0, np.object_), none, np.empty((0, n_channels), np.float32), [])
