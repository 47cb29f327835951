"""The nouns that leave the hot path as types. No logic."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from agent.reasons import ReasonName

Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
UInt32 = npt.NDArray[np.uint32]
Devices = npt.NDArray[np.object_]  # of str: references to the ids, not copies

DropCounts = Counter[tuple[str, ReasonName]]  # (source, reason) -> messages, "" for no source

AlertHead = Literal["risk", "anomaly"]  # of a model: what raises alerts
Severity = Literal["warning", "minor", "major", "critical"]
SEVERITIES: tuple[Severity, ...] = ("warning", "minor", "major", "critical")

TimeUnit = Literal["s", "ms", "us", "ns", "iso8601", "cycle", "arrival"]
FirstSeen = Literal["unknown", "new"]
Compression = Literal["none", "gzip", "zstd", "auto"]
InterventionKind = Literal["repaired", "replaced", "inspected"]
LabelKind = Literal["good", "bad", "note"]


class Quality(IntEnum):
    """How good a score is. Rows that are not OK neither raise nor clear (law 4)."""

    OK = 0
    WARMING_UP = 1
    GAP = 2
    OUT_OF_DOMAIN = 3
    STALE = 4
    STUCK = 5
    STOPPED = 6  # the machine stands, as planned: the row is not stepped


@dataclass(frozen=True, slots=True)
class SourceChannel:
    """How a source reads one channel: value = number * scale + offset.

    field      where a payload has it, as the codec understands names
    missing    numbers that stand for no value, as payloads have them
    words      texts that stand for numbers, NaN for no value
    max_age_s  a value is held for so long; None: as the source says
    event      it counts events: None it does not, "" the number says how many, else each such word is one
    """

    field: str
    missing: tuple[float, ...] = ()
    words: tuple[tuple[str, float], ...] = ()
    scale: float = 1.0
    offset: float = 0.0
    max_age_s: float | None = None
    event: str | None = None


def plain_channels(*fields: str) -> tuple[SourceChannel, ...]:
    """Channels whose numbers are taken as they come."""
    return tuple(map(SourceChannel, fields))


@dataclass(frozen=True, slots=True)
class PayloadForm:
    """The form of a payload that is a tree of objects and arrays: JSON, CBOR, MessagePack.

    readings         path to the readings: "" the payload itself, `metrics[]` each element, `{device}` each key names
                     the device, `{device}[]` both
    form             `fields`: a field a channel; `pairs`: an array of a name and a value each; `columns`: an array a
                     channel; `value`: one value, whose channel the topic names
    name, value      fields of a pair; `value` also of the form `value`
    numbers_as_text  "55.1" is a number
    """

    readings: str = ""
    form: Literal["fields", "pairs", "columns", "value"] = "fields"
    name: str = "name"
    value: str = "value"
    numbers_as_text: bool = False


@dataclass(frozen=True, slots=True)
class AlignRule:
    """How readings become rows.

    every_s     a row at each multiple of it in event time; 0: a row a reading
    max_age_s   a channel without a new value keeps its last one for so long; 0: nothing is held
    quorum      share of channels that must have a value for a row of the grid, one at least
    lateness_s  readings wait so long, in event time, for older ones
    """

    every_s: float = 0.0
    max_age_s: float = 0.0
    quorum: float = 0.0
    lateness_s: float = 0.0


@dataclass(frozen=True, slots=True)
class InterventionRule:
    """Where a payload says that somebody worked on the machine: a field, "" for the payload itself; and its words."""

    field: str
    words: tuple[tuple[str, InterventionKind], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Topic patterns and how to read their messages.

    topics         MQTT topics with levels that have a name, e.g. `plant/{line}/{device}/telemetry`
    time_field     payload field with the event time, "" with unit `arrival`
    time_unit      `cycle` is a counter (one second a cycle) that is never compared with arrival time
    zone           IANA time zone of texts without an offset, "" for UTC
    channels       in the order of a row's columns
    device         the device's id, made of named levels and tags: `{line}/{device}`
    channel        field of the channel that a topic names, likewise; "" where payloads name their fields
    tags           payload fields that name something: (name, path)
    codec          name in `agent.decode.codec.CODECS` of what reads the payloads
    interventions  where a payload tells of one, None for nowhere
    future_max_s   a reading further ahead of its arrival than this is dropped (`future`)
    past_max_s     a clock that is steadily further behind arrival than this is wrong
    report_extra   count payload fields that no channel names
    first_seen     what a device is when its first row is heard: of unknown age, or new
    joins          name of the source, the *owner*, whose devices its readings belong to; "" for its own
    columns        where it joins: which column of the owner's rows each channel is; () for one after the other
    width          of an owner: columns of its rows, 0 for one a channel
    silent_after_s  an alert says that nothing is read from it for so long, or for what its own pauses say; inf: none
                    does. Likewise of each device: device_silent_after_s
    """

    name: str
    topics: tuple[str, ...]
    time_field: str
    time_unit: TimeUnit
    channels: tuple[SourceChannel, ...]
    zone: str = ""
    device: str = "{device}"
    channel: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    codec: str = "json"
    compression: Compression = "none"
    payload: PayloadForm = PayloadForm()
    align: AlignRule = AlignRule()
    interventions: InterventionRule | None = None
    future_max_s: float = 300.0
    past_max_s: float = 3600.0
    report_extra: bool = True
    first_seen: FirstSeen = "unknown"
    joins: str = ""
    columns: tuple[int, ...] = ()
    width: int = 0
    silent_after_s: float | Literal["learned"] = math.inf
    device_silent_after_s: float | Literal["learned"] = math.inf

    @property
    def fields(self) -> tuple[str, ...]:
        """Payload field of each channel."""
        return tuple(channel.field for channel in self.channels)


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model scored in one call, as columns in the order of the entries.

    model name; entry int64 [n] number of the message; source int64 [n] index; device [n] its device's id;
    t_ns int64 [n] event time; quality uint8 [n]; outputs float32 [n, width] by head (agent.bundle.heads).
    """

    model: str
    entry: Int64
    source: Int64
    device: Devices
    t_ns: Int64
    quality: UInt8
    outputs: Mapping[str, Float32]


class BundleLabel(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a reader of an alert must know of a bundle, which may be gone by then.

    digest     SHA-256 of its manifest
    time_unit  what its event times count: seconds since 1970, or cycles
    horizons   of `risk`, as texts: "15 cycles", "6 h"
    quantiles  of `rul`, lowest first; none where the bundle has no `rul`
    cap_s      the longest that its `rul` was taught to say, in seconds or cycles
    channels   of `contribution`, by name; none where the bundle has no `anomaly`
    """

    name: str
    version: str
    digest: str
    time_unit: Literal["s", "cycle", "unknown"]
    horizons: tuple[str, ...]
    quantiles: tuple[float, ...]
    cap_s: float
    channels: tuple[str, ...] = ()


MAIN_MODEL = "main"  # name of a model that is given none, and of the one model of older forewarns
AlertKey = tuple[str, str, str, str]  # source, device, model, head: at most one alert stands of each

UNKNOWN_BUNDLE = BundleLabel("unknown", "unknown", "unknown", "unknown", (), (), 0.0)


class AlertEvent(msgspec.Struct, frozen=True):
    """One step in the life of an alert, complete enough to be published and stored.

    outputs  of the row that decided it, by head; empty where none did
    model  name of the `[[model]]` whose head it is; `bundle` is what that model ran when the alert was raised
    """

    kind: Literal["raised", "updated", "cleared"]
    alert: str
    sequence: int
    source: str
    device: str
    head: str
    state: Literal["unacknowledged", "normal"]
    severity: Severity
    entry: int
    t_ns: int
    raised_t_ns: int
    quality: str
    outputs: dict[str, tuple[float, ...]]
    cause: Literal[
        "risk",
        "anomaly",
        "below_threshold",
        "forgotten",
        "source_removed",
        "model_removed",
        "new_life",
        "repaired",
        "replaced",
        "inspected",
        "silence",
        "heard_again",
        "not_watched",
    ]
    clock_epoch: int = 0  # how often the device's clock or counter had begun anew when the alert was raised
    t_epoch: int = -1  # and at `t_ns`; -1 in a table of a version that did not keep it
    bundle: BundleLabel = UNKNOWN_BUNDLE  # raised the alert; older forewarns did not say in the alert table which one
    decided_by: BundleLabel | None = None  # decided this step and gave `outputs`, where `bundle` did not
    model: str = MAIN_MODEL

    @property
    def key(self) -> AlertKey:
        """Whose alert it is; the events of one key are published in their order."""
        return self.source, self.device, self.model, self.head


@dataclass(frozen=True, slots=True)
class Drop:
    """One dropped or doubtful message, a sample of what `Core.counts` counts."""

    source: str
    device: str
    topic: str
    reason: ReasonName
    detail: str


@dataclass(frozen=True, slots=True)
class Shed:
    """What one device lost of one read: `n_shed` of `n_rows` beyond its share; `topic` is one that brought them."""

    source: str
    device: str
    topic: str
    n_rows: int
    n_shed: int


class InterventionLabel(NamedTuple):
    """Somebody worked on a machine, at event time `t_ns` by the message `entry`: a label for the trainer.

    source     the one whose device it is
    time_unit  what `t_ns` counts
    note       what was said about it
    is_known   the agent had heard of the device
    """

    source: str
    device: str
    t_ns: int
    kind: InterventionKind
    entry: int
    time_unit: Literal["s", "cycle"] = "s"
    note: str = ""
    is_known: bool = True


class AlertLabel(NamedTuple):
    """What a person says of an alert; it changes no score and no alert.

    alert   id
    label   good: it was right; bad: it was a false alarm; note: a remark. Of good and bad the latest by `t_ns` counts
    t_ns    when it was said, in ns since 1970
    by      who says it, "" where nobody knows
    source  whose command says it: only alerts of its own devices can be labelled
    """

    alert: str
    label: LabelKind
    t_ns: int
    note: str = ""
    by: str = ""
    source: str = ""


class Request(NamedTuple):
    """What a source's devices must be asked for: a message to the broker that the source is read from."""

    source: str
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """What an entry gives back.

    scores        one a model, in the order of the models
    forgotten     (source, device) that fell silent for good: what is kept of their alerts may go
    requests      to be published to the brokers of their sources
    labels        what was done to machines
    rows          aligned rows in the source's columns, of a core that keeps them
    alert_labels  what people say of alerts
    """

    scores: Sequence[Scores]
    alerts: Sequence[AlertEvent]
    drops: Sequence[Drop]
    forgotten: Sequence[tuple[str, str]] = ()
    requests: Sequence[Request] = ()
    labels: Sequence[InterventionLabel] = ()
    rows: Sequence[Any] = ()  # of agent.devices.rows.Rows, which is above this module
    alert_labels: Sequence[AlertLabel] = ()
