"""What a source is, for who reads it: topics, payloads, channels, rows. No logic."""

import math
from dataclasses import dataclass
from typing import Literal

from agent.words import Compression, FirstSeen, InterventionKind, TimeUnit


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
