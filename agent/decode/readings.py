"""What a codec makes of the payloads of one source, and what all sources' messages of a read become: columns."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from agent.drops import Drops
from agent.reasons import ReasonName
from agent.words import AlertCommand, AlertLabel, Bool, Devices, Float32, Int64, InterventionKind

READINGS_MAX: Final = 4096  # of one payload
CELLS_MAX: Final = 2**16  # its readings times channels: twice the numbers that 64 KiB can hold


def readings_max(n_channels: int) -> int:
    """So many readings may a payload bring: a few bytes can ask for a row of 1,024 channels."""
    return max(1, min(READINGS_MAX, CELLS_MAX // max(1, n_channels)))


class Address(NamedTuple):
    """What a topic means: index of the source, the device, and the texts of the pattern's named levels in its order.

    The device is "" where the payload has to name it. `topic` is the whole, for a codec that knows what it means.
    """

    source: int
    device: str
    tags: tuple[str, ...] = ()
    topic: str = ""


class Batch(msgspec.Struct, frozen=True):
    """n payloads of one source.

    arrived_ns  int64 [n]  the event time of payloads that have none of their own
    addresses   n of them: what their topics mean
    """

    payloads: Sequence[bytes]
    arrived_ns: Int64
    addresses: Sequence[Address]


class Intervened(NamedTuple):
    """Somebody worked on a machine: the row of the payload that says so, and the device where the payload names it."""

    row: int
    device: str | None
    t_ns: int
    kind: InterventionKind
    note: str = ""


class Fault(NamedTuple):
    """A payload that is dropped, or doubted and used: its row among those given, and why."""

    row: int
    reason: ReasonName
    detail: str


class Decoded(msgspec.Struct, frozen=True):
    """The readings of one source's payloads, n of them in the order of the payloads.

    row     int64 [n]       index of the payload that a reading is from; a payload may bring none, one or several. None
                            where each has brought one
    t_ns    int64 [n]       event time in ns since 1970 or in cycles times 1e9, IMPOSSIBLE_NS for one that cannot be
    x       float [n, F]    numbers of the source's F channels as they came, NaN = missing; float32 or float64
    faults                  payloads that were dropped or doubted
    device  [n]             ids that the payloads name; None where the topic's device is the one that is meant
    interventions           in the order of the payloads; a payload may bring one instead of a reading, or beside it
    requests                (topic, payload) of messages that the devices must be sent
    labels                  (row, what is said of an alert); a payload brings one at most, and nothing else
    commands                likewise (row, what is to be done with alerts), whose source is not named yet
    """

    row: Int64 | None
    t_ns: Int64
    x: npt.NDArray[np.floating[Any]]
    faults: Sequence[Fault] = ()
    device: Devices | None = None
    interventions: Sequence[Intervened] = ()
    requests: Sequence[tuple[str, bytes]] = ()
    labels: Sequence[tuple[int, AlertLabel]] = ()
    commands: Sequence[tuple[int, AlertCommand]] = ()


class Intervention(NamedTuple):
    """Somebody worked on a machine: index of the message that says so, index of the source, the device, when, what."""

    message: int
    source: int
    device: str
    t_ns: int
    kind: InterventionKind
    note: str = ""


class Readings(msgspec.Struct, frozen=True):
    """Decoded messages in their order, n readings.

    message  int64 [n]       index into the messages of the read
    source   int64 [n]       index
    device   [n]             ids
    t_ns     int64 [n]       event time in ns since 1970, or in cycles times 1e9
    x        float32 [n, F]  NaN = missing, infinite = beyond float32. F is the largest number of channels that a source
                             has; in the rows of a source of fewer the last columns are NaN
    drops                    messages that were left out, and those that are doubted but used
    interventions            in the order of the messages
    requests                 (source, (topic, payload)) of messages that devices must be sent
    labels                   (message, source, what is said of an alert) in the order of the messages
    commands                 likewise (message, source, what is to be done with alerts)
    by_source                of each source that brought readings its index, and the messages int64 of these, rising; a
                             source that joins another is named itself, not its owner
    """

    message: Int64
    source: Int64
    device: Devices
    t_ns: Int64
    x: Float32
    drops: list[Drops]
    interventions: Sequence[Intervention] = ()
    requests: Sequence[tuple[int, tuple[str, bytes]]] = ()
    labels: Sequence[tuple[int, int, AlertLabel]] = ()
    by_source: Sequence[tuple[int, Int64]] = ()
    commands: Sequence[tuple[int, int, AlertCommand]] = ()

    def only(self, kept: Bool | slice) -> "Readings":
        """The readings where `kept` bool [n] says so, or those of a slice, with all drops."""
        return Readings(
            message=self.message[kept],
            source=self.source[kept],
            device=self.device[kept],
            t_ns=self.t_ns[kept],
            x=self.x[kept],
            drops=self.drops,
            interventions=self.interventions,
            requests=self.requests,
            labels=self.labels,
            by_source=self.by_source,
            commands=self.commands,
        )

    def drop(self, rows: Int64, reason: ReasonName, detail: Callable[..., str], *values: Any) -> None:
        """Note in `drops` the readings `rows` int64 [k]; `detail` makes a text of an element of each of `values`."""
        if len(rows):
            self.drops.append(Drops(reason, self.message[rows], self.source[rows], self.device[rows], detail, values))
